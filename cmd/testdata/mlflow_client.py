"""Registers and loads models with MLflow's own library.

    mlflow_client.py register NAME CHECKPOINT FILE   with a checkpoint as data/FILE, as version 1 and champion
    mlflow_client.py load NAME ALIAS DIGEST          prints what it finds
    mlflow_client.py versions NAME
"""
import hashlib
import os
import shutil
import sys
import tempfile

import mlflow
import mlflow.onnx
import mlflow.pyfunc
import numpy
import onnxruntime
from mlflow.models import Model

client = mlflow.MlflowClient()


def register(name, checkpoint, file):
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        os.mkdir(folder + "/data")
        shutil.copy(checkpoint, os.path.join(folder, "data", file))
        for document, text in (("README.md", "a LeNet\n"), ("conda.yaml", "name: lenet\n")):
            with open(os.path.join(folder, document), "w") as f:
                f.write(text)
        model = Model(artifact_path="model", run_id=run.info.run_id)
        model.add_flavor("pytorch", model_data="data", pytorch_version="1.13.1", code=None)
        mlflow.pyfunc.add_to_model(model, loader_module="mlflow.pytorch", data="data", conda_env="conda.yaml")
        model.save(folder + "/MLmodel")
        mlflow.log_artifacts(folder, "model")
        source = run.info.artifact_uri + "/model"
    client.create_registered_model(name)
    client.create_model_version(name, source, run.info.run_id)
    client.set_registered_model_alias(name, "champion", "1")


def load(name, alias, digest):
    uri = f"models:/{name}@{alias}"
    version = client.get_model_version_by_alias(name, alias)
    info = mlflow.models.get_model_info(uri)
    assert info.run_id == version.run_id, info.run_id
    assert client.get_logged_model(info.model_id).source_run_id == version.run_id, info.model_id
    print("flavors", ", ".join(sorted(info.flavors)))
    print("run", client.get_run(version.run_id).info.status)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(uri, dst_path=folder)
        files = [os.path.relpath(os.path.join(at, f), folder) for at, _, names in os.walk(folder) for f in names]
        files = sorted(f for f in files if f != "registered_model_meta")  # of the download
        print("artifacts", ", ".join(files))
        read = lambda file: open(os.path.join(folder, file), "rb").read()
        sums = dict(reversed(line.split("  ")) for line in read("SHA256SUMS").decode().splitlines())
        assert sums == {f: hashlib.sha256(read(f)).hexdigest() for f in files if f != "SHA256SUMS"}, sums
        assert digest == "sha256:" + hashlib.sha256(read("SHA256SUMS")).hexdigest() == version.tags["lethe.sha256sums"]
        print("digests hold")
    print("source", version.tags["lethe.source"])
    print("champion", client.get_model_version_by_alias(name, "champion").version)
    session = onnxruntime.InferenceSession(mlflow.onnx.load_model(uri).SerializeToString())
    (inputs,) = session.get_inputs()
    (logits,) = session.run(None, {inputs.name: numpy.zeros([2, *inputs.shape[1:]], numpy.float32)})
    print("logits", "x".join(map(str, logits.shape)))


def versions(name):
    found = client.search_model_versions(f"name = '{name}'")
    print(*sorted(int(v.version) for v in found))


{"register": register, "load": load, "versions": versions}[sys.argv[1]](*sys.argv[2:])
