"""Writes the node tests of the installed onnx as files.

    python3 dump.py FOLDER

Wheels of onnx up to 1.17 hold these tests as files; later ones make them when
they are asked. FOLDER/node/NAME gets model.onnx, data.json with the tolerances,
and test_data_set_N with input_N.pb and output_N.pb. What is printed is the
version, and the folder in which the wheel keeps its other suites.
"""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")

import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases


def encode(value, info):
    kind = info.type.WhichOneof("value")
    if isinstance(value, TensorProto):
        return value
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name)
    if kind == "map_type":
        return numpy_helper.from_dict(value, info.name)
    return numpy_helper.from_array(value, info.name)


def write(path, content):
    with open(path, "wb") as f:
        f.write(content)


for case in collect_testcases():
    folder = os.path.join(sys.argv[1], "node", case.name)
    os.makedirs(folder)
    write(os.path.join(folder, "model.onnx"), case.model.SerializeToString())
    write(os.path.join(folder, "data.json"), json.dumps({"rtol": case.rtol, "atol": case.atol}).encode())
    for i, (inputs, outputs) in enumerate(case.data_sets):
        part = os.path.join(folder, f"test_data_set_{i}")
        os.makedirs(part)
        for kind, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
            for j, value in enumerate(values):
                write(os.path.join(part, f"{kind}_{j}.pb"), encode(value, infos[j]).SerializeToString())

print(onnx.__version__, os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data"))
