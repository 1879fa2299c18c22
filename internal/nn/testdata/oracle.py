#!/usr/bin/env python3
"""What PyTorch computes for a graph: logits and gradients, in float64. Needs torch >= 1.13.

    oracle.py DIR...

DIR/case.json holds "shape" of the input, "nodes" (op, inputs, outputs, attrs by ONNX's names), "weights"
([name, shape] in the order of weights.f32) and "params", the names whose gradients are wanted. The other
files are little-endian float32: weights.f32, input.f32 and coefficients.f32, one for every logit. The loss
is the sum of coefficient times logit. Writes DIR/logits.f64 and DIR/grad.f64, gradients side by side. If
"chunk" is not 0, batch normalization is in training mode, on that many samples at a time; then DIR/weights.f64
has all weights, running statistics included, as they are afterwards.
"""
import json
import math
import os
import sys

import torch
import torch.nn.functional as F


def read(path, shape):
    values = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32)
    return values.double().reshape(shape)


def write(path, x):
    with open(path, "wb") as f:
        f.write(x.detach().double().contiguous().numpy().astype("<f8").tobytes())


def pad(x, pads, value):
    """ONNX gives the beginnings first: top, left, bottom, right."""
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value)


def apply(training, op, attrs, x, *w):
    geometry = dict(stride=tuple(attrs.get("strides", (1, 1))), dilation=tuple(attrs.get("dilations", (1, 1))))
    pads = attrs.get("pads", (0, 0, 0, 0))
    if op == "Conv":
        return F.conv2d(pad(x, pads, 0.0), *w, **geometry)
    if op == "MaxPool":
        return F.max_pool2d(pad(x, pads, -math.inf), tuple(attrs["kernel_shape"]), **geometry)
    if op == "BatchNormalization":
        scale, shift, mean, var = w
        return F.batch_norm(x, mean, var, scale, shift, training=training, momentum=0.1, eps=attrs.get("epsilon", 1e-5))
    if op == "Relu":
        return F.relu(x)
    if op == "Flatten":
        return torch.flatten(x, 1)
    if op == "Gemm":
        weight = w[0] if attrs.get("transB", 0) else w[0].t()
        return F.linear(x, weight, *w[1:])
    raise ValueError(op)


def judge(folder):
    with open(os.path.join(folder, "case.json")) as f:
        case = json.load(f)
    flat = read(os.path.join(folder, "weights.f32"), [-1])
    weights = {}
    for name, shape in case["weights"]:
        n = math.prod(shape)
        weights[name], flat = flat[:n].reshape(shape).clone(), flat[n:]
    assert len(flat) == 0
    for name in case["params"]:
        weights[name].requires_grad_()
    x = read(os.path.join(folder, "input.f32"), case["shape"])
    outputs = []
    for part in x.split(case["chunk"] or len(x)):
        for node in case["nodes"]:
            part = apply(case["chunk"] > 0, node["op"], node["attrs"] or {}, part, *[weights[name] for name in node["inputs"][1:]])
        outputs.append(part)
    x = torch.cat(outputs)
    write(os.path.join(folder, "logits.f64"), x)
    (x * read(os.path.join(folder, "coefficients.f32"), x.shape)).sum().backward()
    write(os.path.join(folder, "grad.f64"), torch.cat([weights[name].grad.flatten() for name in case["params"]]))
    write(os.path.join(folder, "weights.f64"), torch.cat([weights[name].flatten() for name, _ in case["weights"]]))


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        judge(folder)
