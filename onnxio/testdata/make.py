"""Writes the ONNX files of this folder, and models.json with what onnx's own
reader finds in them. Made with torch 2.15, onnxscript 0.7 and onnx 1.23:

    python3 make.py models

torch_dynamo*.onnx and torch_script.onnx come from torch's two exporters. The
others are made with onnx.helper in the manner of other writers: tf2onnx (names
with slashes and colons, weights in raw_data, constants as initializers),
skl2onnx (typed data, ai.onnx.ml) and onnx itself (every element type, external
data, functions, training information, Constant nodes, subgraphs).
"""

import hashlib
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUT = sys.argv[1]
rng = np.random.default_rng(0)


def real(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def save(name, graph, opsets, ir=8, functions=(), producer="onnx-example", **more):
    model = helper.make_model(
        graph, producer_name=producer, ir_version=ir, functions=list(functions),
        opset_imports=[helper.make_opsetid(d, v) for d, v in opsets.items()])
    for key, text in more.items():
        model.metadata_props.add(key=key, value=text)
    path = os.path.join(OUT, name + ".onnx")
    onnx.save(model, path)
    return model, path


def torch_models():
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Flatten(), nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 3)).eval()
    net[1].running_mean.uniform_(-1, 1)
    net[1].running_var.uniform_(0.5, 2)
    x = torch.randn(2, 1, 4, 4)
    path = lambda n: os.path.join(OUT, n + ".onnx")
    torch.onnx.export(net, (x,), path("torch_script"), dynamo=False, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": {0: "batch"}})
    torch.onnx.export(net, (x,), path("torch_dynamo"), dynamo=True, external_data=False, dynamic_shapes=({0: "batch"},))
    torch.onnx.export(net, (x,), path("torch_external"), dynamo=True, external_data=True, dynamic_shapes=({0: "batch"},))
    # The exporter's own records of source lines say where torch is installed.
    for n in "torch_script", "torch_dynamo", "torch_external":
        m = onnx.load(path(n), load_external_data=False)
        for node in m.graph.node:
            node.ClearField("doc_string")
            for p in list(node.metadata_props):
                if "stack_trace" in p.key:
                    node.metadata_props.remove(p)
        onnx.save(m, path(n))


def tf_like():
    dense = "StatefulPartitionedCall/sequential/dense/MatMul/ReadVariableOp:0"
    bias = "StatefulPartitionedCall/sequential/dense/BiasAdd/ReadVariableOp:0"
    conv = "StatefulPartitionedCall/sequential/conv2d/Conv2D_weights_fused_bn"
    nodes = [
        helper.make_node("Transpose", ["input_1:0"], ["t:0"], name="Conv2D__6", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t:0", conv], ["c:0"], name="StatefulPartitionedCall/sequential/conv2d/Conv2D",
                         kernel_shape=[3, 3], strides=[1, 1], auto_pad="SAME_UPPER", group=1, dilations=[1, 1]),
        helper.make_node("Relu", ["c:0"], ["r:0"]),
        helper.make_node("Reshape", ["r:0", "const_fold_opt__12"], ["f:0"]),
        helper.make_node("MatMul", ["f:0", dense], ["m:0"]),
        helper.make_node("Add", ["m:0", bias], ["a:0"]),
        helper.make_node("Softmax", ["a:0"], ["dense"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "tf2onnx", [value("input_1:0", ["unk__15", 4, 4, 1])], [value("dense", ["unk__16", 3])],
        [numpy_helper.from_array(real(2, 1, 3, 3), conv), numpy_helper.from_array(real(32, 3), dense),
         numpy_helper.from_array(real(3), bias), numpy_helper.from_array(np.array([-1, 32], np.int64), "const_fold_opt__12")],
        doc_string="converted from sequential")
    save("tf_like", graph, {"": 13, "ai.onnx.ml": 2}, ir=7, producer="tf2onnx")


def sklearn_like():
    typed = lambda name, a, t=TensorProto.FLOAT: helper.make_tensor(name, t, a.shape, a.ravel())
    nodes = [
        helper.make_node("Cast", ["X"], ["cast_input"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["cast_input", "coefficient"], ["mul_result"]),
        helper.make_node("Add", ["mul_result", "intercepts"], ["add_result"]),
        helper.make_node("Relu", ["add_result"], ["next_activations"]),
        helper.make_node("MatMul", ["next_activations", "coefficient1"], ["mul_result1"]),
        helper.make_node("Add", ["mul_result1", "intercepts1"], ["add_result1"]),
        helper.make_node("Softmax", ["add_result1"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        helper.make_node("ArrayFeatureExtractor", ["classes", "index"], ["column"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["column", "shape_tensor"], ["output_label"]),
    ]
    graph = helper.make_graph(
        nodes, "mlp_classifier", [value("X", [None, 4], TensorProto.DOUBLE)],
        [value("output_label", [None], TensorProto.INT64), value("probabilities", [None, 3])],
        [typed("coefficient", real(4, 5)), typed("intercepts", real(1, 5)), typed("coefficient1", real(5, 3)),
         typed("intercepts1", real(1, 3)), typed("classes", np.array([0, 1, 2]), TensorProto.INT64),
         typed("shape_tensor", np.array([-1]), TensorProto.INT64),
         helper.make_tensor("names", TensorProto.STRING, [2], [b"a", b"b"])])
    save("sklearn_like", graph, {"": 17, "ai.onnx.ml": 1}, producer="skl2onnx")


TYPES = {n: t for n, t in TensorProto.DataType.items() if n not in ("UNDEFINED", "STRING")}


def all_types():
    tensors = []
    for name, t in TYPES.items():
        dtype = helper.tensor_dtype_to_np_dtype(t)
        if name.startswith("COMPLEX"):
            a = (np.arange(-3, 4) + 1j * np.arange(7)).astype(dtype)
        elif name.startswith("U") or name == "BOOL":
            a = (np.arange(7) % (4 if name == "UINT2" else 16)).astype(np.uint8).astype(dtype)
        elif name.startswith("INT"):
            a = (np.arange(-3, 4) if name != "INT2" else np.arange(7) % 4 - 2).astype(np.int8).astype(dtype)
        else:
            a = np.array([0.5, 1, -1, 2, 0, 1.5, 4], np.float32).astype(dtype)
        tensors.append(numpy_helper.from_array(a, name.lower() + "_raw"))
        tensors.append(helper.make_tensor(name.lower() + "_typed", t, a.shape, a.tolist() if not name.startswith("COMPLEX") else a))
    tensors.append(numpy_helper.from_array(np.zeros((0, 3), np.float32), "empty"))
    tensors.append(numpy_helper.from_array(np.array(2, np.float32), "scalar"))
    graph = helper.make_graph([helper.make_node("Mul", ["x", "scalar"], ["y"])], "types", [value("x", [2])], [value("y", [2])], tensors)
    save("types", graph, {"": 28}, ir=14, note="every element type")


def constants():
    """Constant nodes, a function, a subgraph, training information, an opset of long ago."""
    body = helper.make_function("local", "Scaled", ["a"], ["b"], [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.array([2.0], np.float32))),
        helper.make_node("Mul", ["a", "k"], ["b"])], [helper.make_opsetid("", 17)])
    branch = lambda name, factor: helper.make_graph(
        [helper.make_node("Mul", ["h", name + "_w"], [name])], name, [], [value(name, None)],
        [numpy_helper.from_array(np.full(3, factor, np.float32), name + "_w")])
    nodes = [
        helper.make_node("Constant", [], ["weight"], value=numpy_helper.from_array(real(4, 3), "inner_name")),
        helper.make_node("Constant", [], ["bias"], value=helper.make_tensor("", TensorProto.FLOAT, [3], real(3))),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2))),
        helper.make_node("Constant", [], ["target"], value=numpy_helper.from_array(np.array([-1, 3]))),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("MatMul", ["x", "weight"], ["m"], doc_string="documented"),
        helper.make_node("Add", ["m", "bias"], ["s"]),
        helper.make_node("Mul", ["s", "two"], ["d"]),
        helper.make_node("Scaled", ["d"], ["g"], domain="local"),
        helper.make_node("Reshape", ["g", "target"], ["h"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch("then", 1.5), else_branch=branch("else", -1)),
    ]
    graph = helper.make_graph(nodes, "constants", [value("x", ["N", 4])], [value("y", ["N", 3])],
                              [numpy_helper.from_array(real(3), "unused")])
    model, path = save("constants", graph, {"": 17, "local": 1}, functions=[body])
    info = model.training_info.add()
    info.initialization.CopyFrom(helper.make_graph([], "init", [], []))
    onnx.save(model, path)
    old = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], alpha=1.0, beta=1.0, transB=1)], "old",
        [value("x", [1, 4]), value("w", [3, 4]), value("b", [3])], [value("y", [1, 3])],
        [numpy_helper.from_array(real(3, 4), "w"), helper.make_tensor("b", TensorProto.FLOAT, [3], real(3))])
    save("opset7", old, {"": 7}, ir=3)


def external():
    """Data in several files, one with its checksum, two tensors over the same bytes."""
    a, b = real(4, 3), real(3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "fc/weight"], ["m"]), helper.make_node("Add", ["m", "bias"], ["s"]),
         helper.make_node("Add", ["s", "bias.tied"], ["y"])], "external", [value("x", ["N", 4])], [value("y", ["N", 3])],
        [numpy_helper.from_array(a, "fc/weight"), numpy_helper.from_array(b, "bias"), numpy_helper.from_array(b, "bias.tied"),
         numpy_helper.from_array(real(3), "inside")])
    model, path = save("external", graph, {"": 17})
    files = {"fc_weight.bin": a.tobytes(), "rest.bin": b"pad!" + b.tobytes() + b"tail"}
    for name, data in files.items():
        with open(os.path.join(OUT, name), "wb") as f:
            f.write(data)
    for t, location, offset, length in zip(model.graph.initializer, ["fc_weight.bin", "rest.bin", "rest.bin"], [None, 4, 4], [48, 12, None]):
        t.ClearField("raw_data")
        t.data_location = TensorProto.EXTERNAL
        where = {"location": location, "checksum": hashlib.sha1(files[location]).hexdigest()}
        if offset is not None:
            where["offset"] = str(offset)
        where["length"] = str(length or 12)
        for key, text in where.items():
            t.external_data.add(key=key, value=text)
    onnx.save(model, path)


def flat(t, base):
    """The elements as Lethe holds them: one byte for each of less than a byte."""
    a = numpy_helper.to_array(t, base)
    name = TensorProto.DataType.Name(t.data_type)
    if name in ("INT4", "INT2"):
        a = a.astype(np.int8)
    elif name in ("UINT4", "UINT2"):
        a = a.astype(np.uint8)
    elif name == "FLOAT4E2M1":
        a = a.view(np.uint8) & 15
    elif name.startswith("FLOAT6"):
        a = a.view(np.uint8) & 63
    return [list(t.dims), name, hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()[:16]]


def list_models():
    models = {}
    for name in sorted(os.listdir(OUT)):
        if not name.endswith(".onnx"):
            continue
        m = onnx.load(os.path.join(OUT, name), load_external_data=False)
        weights = [[t.name] + flat(t, OUT) for t in m.graph.initializer if t.data_type != TensorProto.STRING]
        outputs = {o.name for o in m.graph.output}
        for n in m.graph.node:
            if n.op_type == "Constant" and n.attribute[0].name == "value":
                t = n.attribute[0].t
                if t.dims and t.data_type in (1, 10, 11, 16) and n.output[0] not in outputs:
                    weights.append([n.output[0]] + flat(t, OUT))
        models[name] = weights
    with open(os.path.join(OUT, "models.json"), "w") as f:
        f.write("{\n" + ",\n".join(
            json.dumps(name) + ": [\n " + ",\n ".join(json.dumps(w) for w in weights) + "]"
            for name, weights in models.items()) + "\n}\n")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    torch_models()
    tf_like()
    sklearn_like()
    all_types()
    constants()
    external()
    list_models()
