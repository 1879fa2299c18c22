"""A pipeline that forgets a class in several models, two at a time.

    python pipeline.py pipeline.yaml

compiles it; then upload it, or create a run with kfp.Client. Needs kfp and
kfp-kubernetes.
"""

import pathlib
import sys

from kfp import compiler, components, dsl, kubernetes

forget = components.load_component_from_file(str(pathlib.Path(__file__).with_name("component.yaml")))


@dsl.pipeline(name="forget-a-class", description="Forgets a class in each of the models")
def pipeline(
    models: list = [
        {"input": "oci://registry.example/models/lenet:v1", "output": "oci://registry.example/models/lenet:v2", "classes": "3"},
        {"input": "oci://registry.example/models/lenet-b:v1", "output": "oci://registry.example/models/lenet-b:v2", "classes": "Shirt"},
    ],
    gate: str = "full",
):
    with dsl.ParallelFor(models, parallelism=2) as model:
        task = forget(input=model.input, output=model.output, classes=model.classes, gate=gate)
        task.set_caching_options(False)  # a tag may have moved
        task.set_cpu_request("1").set_memory_request("256Mi").set_memory_limit("1Gi")
        task.set_env_variable("DOCKER_CONFIG", "/docker")
        kubernetes.use_secret_as_volume(task, "lethe-registry", "/docker", optional=True)


if __name__ == "__main__":
    compiler.Compiler().compile(pipeline, sys.argv[1])
