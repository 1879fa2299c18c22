#!/usr/bin/env python3
"""What ONNX's own checker, ONNX Runtime and numpy say about LeNets. Needs onnx, onnxruntime and numpy.

    oracle.py run CASE.json MODEL.onnx...   checks and runs models; prints one JSON object per model:
                                            ir, opset, same_weights (initializers with the case's bits),
                                            weights, logits and max_diff, the distance from numpy
    oracle.py write CASE.json MODEL.onnx    writes the model as another program might

CASE.json holds "weights" (name -> {"shape", "data"}, float32) and "input" ({"shape", "data"}).
"""
import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import onnxruntime


def array(spec):
    return np.array(spec["data"], np.float32).reshape(spec["shape"])


def block(w, name, x):
    """Convolution, batch normalization, ReLU and 2x2 max pooling, by their definitions, in float64."""
    kernel, bias = w[name + ".0.weight"].astype(np.float64), w[name + ".0.bias"]
    size = x.shape[2] - 4
    y = np.zeros((x.shape[0], kernel.shape[0], size, size))
    for i in range(5):
        for j in range(5):
            y += np.einsum("nchw,oc->nohw", x[:, :, i:i + size, j:j + size], kernel[:, :, i, j])

    def channels(v):
        return v.astype(np.float64)[None, :, None, None]

    y += channels(bias)
    y = (y - channels(w[name + ".1.running_mean"])) / np.sqrt(channels(w[name + ".1.running_var"]) + 1e-5)
    y = np.maximum(y * channels(w[name + ".1.weight"]) + channels(w[name + ".1.bias"]), 0)
    half = size // 2
    return y[:, :, :2 * half, :2 * half].reshape(y.shape[0], y.shape[1], half, 2, half, 2).max((3, 5))


def reference(w, x):
    x = block(w, "block2", block(w, "block1", x.astype(np.float64))).reshape(len(x), -1)
    for layer in ("fc", "fc1"):
        x = np.maximum(x @ w[layer + ".weight"].T.astype(np.float64) + w[layer + ".bias"], 0)
    return x @ w["fc2.weight"].T.astype(np.float64) + w["fc2.bias"]


def run(weights, x, path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"input": x})
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    print(json.dumps({
        "ir": model.ir_version,
        "opset": model.opset_import[0].version,
        "weights": len(held),
        "same_weights": sum(n in weights and v.tobytes() == weights[n].tobytes() for n, v in held.items()),
        "logits": logits.astype(float).tolist(),
        "max_diff": float(np.abs(logits - reference(weights, x)).max()),
    }))


def write(weights, x, path):
    """The same network with everything spelled differently: defaults written out where they may be left
    out and the other way round, elements in typed lists, weights among the inputs, an unused counter."""
    ones, zeros = [1, 1], [0, 0, 0, 0]
    node = helper.make_node

    def norm(name):
        return [name + suffix for suffix in (".weight", ".bias", ".running_mean", ".running_var")]

    nodes = [
        node("Conv", ["input", "block1.0.weight", "block1.0.bias"], ["block1.0"], "block1.0"),
        node("BatchNormalization", ["block1.0"] + norm("block1.1"), ["block1.1"], "block1.1", momentum=0.8, training_mode=0),
        node("Relu", ["block1.1"], ["block1.2"], "block1.2", doc_string="dropped"),
        node("MaxPool", ["block1.2"], ["block1.3", ""], "block1.3", kernel_shape=[2, 2], strides=[2, 2], pads=zeros,
             dilations=ones, ceil_mode=0, storage_order=0, auto_pad="NOTSET"),
        node("Conv", ["block1.3", "block2.0.weight", "block2.0.bias"], ["block2.0"], "block2.0", dilations=ones, group=1,
             auto_pad="NOTSET", strides=ones, pads=zeros, kernel_shape=[5, 5]),
        node("BatchNormalization", ["block2.0"] + norm("block2.1"), ["block2.1"], "block2.1", epsilon=1e-5),
        node("Relu", ["block2.1"], ["block2.2"], "block2.2"),
        node("MaxPool", ["block2.2"], ["block2.3"], "block2.3", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["block2.3"], ["flatten"], "flatten"),
        node("Gemm", ["flatten", "fc.weight", "fc.bias"], ["fc"], "fc", alpha=1.0, beta=1.0, transA=0, transB=1),
        node("Relu", ["fc"], ["fc.relu"], "fc.relu"),
        node("Gemm", ["fc.relu", "fc1.weight", "fc1.bias"], ["fc1"], "fc1", transB=1),
        node("Relu", ["fc1"], ["fc1.relu"], "fc1.relu"),
        node("Gemm", ["fc1.relu", "fc2.weight", "fc2.bias"], ["logits"], "fc2", transB=1),
    ]
    initializers = [
        helper.make_tensor(name, TensorProto.FLOAT, v.shape, v.flatten().tolist()) if i % 2 else numpy_helper.from_array(v, name)
        for i, (name, v) in enumerate(weights.items())
    ]
    initializers.append(helper.make_tensor("num_batches_tracked", TensorProto.INT64, [], [123456789012]))
    value = helper.make_tensor_value_info
    inputs = [value(n, TensorProto.FLOAT, v.shape) for n, v in weights.items()]
    inputs.append(value("input", TensorProto.FLOAT, ["batch"] + list(x.shape[1:])))
    outputs = [value("logits", TensorProto.FLOAT, ["batch", len(weights["fc2.bias"])])]
    graph = helper.make_graph(nodes, "LeNet", inputs, outputs, initializers, doc_string="dropped",
                              value_info=[value("fc", TensorProto.FLOAT, None)])
    imports = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=imports, producer_name="oracle", doc_string="by another program")
    helper.set_model_props(model, {"classes": "10"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    command, case, *paths = sys.argv[1:]
    with open(case) as f:
        case = json.load(f)
    weights = {name: array(spec) for name, spec in case["weights"].items()}
    for path in paths:
        {"run": run, "write": write}[command](weights, array(case["input"]), path)


if __name__ == "__main__":
    main()
