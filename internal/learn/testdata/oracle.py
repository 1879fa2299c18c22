#!/usr/bin/env python3
"""What PyTorch makes of a LeNet in a few steps of Adam, in float64. Needs torch >= 1.13.

    oracle.py DIR

DIR/case.json holds "weights" ([name, shape] in the order of weights.f32), "params", the names of those that are
trained, "labels" of each batch, "rates", and "chunk": 0 for batch normalization in evaluation mode, or the
number of samples that it normalizes together in training mode. weights.f32 and images.f32 are little-endian
float32. Writes DIR/losses.f64, one a step, and DIR/weights.f64.
"""
import json
import math
import os
import sys

import torch
import torch.nn.functional as F


def read(path):
    return torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32).double()


def write(path, x):
    with open(path, "wb") as f:
        f.write(x.detach().double().contiguous().numpy().astype("<f8").tobytes())


def lenet(w, x, training):
    for block in "block1", "block2":
        x = F.conv2d(x, w[block + ".0.weight"], w[block + ".0.bias"])
        x = F.batch_norm(x, w[block + ".1.running_mean"], w[block + ".1.running_var"], w[block + ".1.weight"],
                         w[block + ".1.bias"], training=training, momentum=0.1, eps=1e-5)
        x = F.max_pool2d(F.relu(x), 2)
    x = torch.flatten(x, 1)
    for name in "fc", "fc1":
        x = F.relu(F.linear(x, w[name + ".weight"], w[name + ".bias"]))
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


def main(folder):
    with open(os.path.join(folder, "case.json")) as f:
        case = json.load(f)
    flat, w = read(os.path.join(folder, "weights.f32")), {}
    for name, shape in case["weights"]:
        n = math.prod(shape)
        w[name], flat = flat[:n].reshape(shape).clone(), flat[n:]
    for name in case["params"]:
        w[name].requires_grad_()
    images = read(os.path.join(folder, "images.f32")).reshape(len(case["labels"]), -1, 1, 28, 28)
    adam, losses = torch.optim.Adam([w[name] for name in case["params"]]), []
    for x, labels, rate in zip(images, case["labels"], case["rates"]):
        adam.param_groups[0]["lr"] = rate
        chunk = case["chunk"] or len(x)
        logits = torch.cat([lenet(w, part, case["chunk"] > 0) for part in x.split(chunk)])
        loss = F.cross_entropy(logits, torch.tensor(labels))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.detach())
    write(os.path.join(folder, "losses.f64"), torch.stack(losses))
    write(os.path.join(folder, "weights.f64"), torch.cat([w[name].flatten() for name, _ in case["weights"]]))


if __name__ == "__main__":
    main(sys.argv[1])
