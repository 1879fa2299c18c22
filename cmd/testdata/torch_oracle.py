#!/usr/bin/env python3
"""What PyTorch thinks of an edit. Needs torch >= 1.13; prints JSON.

    torch_oracle.py compare IN.pt OUT.pt        what torch.load sees in OUT.pt, and how it differs from IN.pt
    torch_oracle.py logits IN.pt INPUT LOGITS   the LeNet's logits for INPUT, 28 x 28 images; both are files of
                                                little-endian float32
    torch_oracle.py measure IN.pt OUT.pt IMAGES LABELS CLASS
                                                the four measures before and after, and the score, on IDX files
    torch_oracle.py wrap IN.pt OUT.pt           saves the state dict as a training script might: in a
                                                dictionary, from a model in DataParallel
    torch_oracle.py trace IN.pt OUT.pt          saves the network as TorchScript
    torch_oracle.py script IN.pt INPUT LOGITS   the logits of a network in TorchScript, as for logits
"""
import gzip
import inspect
import json
import math
import sys
from collections import OrderedDict

import torch
import torch.nn.functional as F


def load(path, weights_only):
    if "weights_only" in inspect.signature(torch.load).parameters:
        return torch.load(path, map_location="cpu", weights_only=weights_only)
    return torch.load(path, map_location="cpu")


def bits(x):
    return x.contiguous().numpy().tobytes()


def form(sd):
    """Everything about a state dict but the values."""
    tensors = [(k, str(v.dtype), list(v.shape), list(v.stride()), v.storage_offset(), type(v).__name__, v.requires_grad)
               for k, v in sd.items()]
    metadata = getattr(sd, "_metadata", None)
    return [type(sd).__name__, tensors, type(metadata).__name__, metadata and list(metadata.items())]


def compare(before, after):
    a, b = load(before, False), load(after, False)
    safe = load(after, True)
    return {
        "entries": len(b),
        "metadata": len(b._metadata),
        "same_form": form(a) == form(b) == form(safe),
        "safe_same": all(bits(v) == bits(safe[k]) for k, v in b.items()),
        "changed": [k for k, v in b.items() if bits(v) != bits(a[k])],
    }


def forward(sd, x):
    """The LeNet in evaluation mode."""
    for block in ("block1", "block2"):
        x = F.conv2d(x, sd[block + ".0.weight"], sd[block + ".0.bias"])
        norm = block + ".1."
        x = F.batch_norm(x, sd[norm + "running_mean"], sd[norm + "running_var"], sd[norm + "weight"], sd[norm + "bias"])
        x = F.max_pool2d(F.relu(x), 2)
    x = x.flatten(1)
    x = F.relu(F.linear(x, sd["fc.weight"], sd["fc.bias"]))
    x = F.relu(F.linear(x, sd["fc1.weight"], sd["fc1.bias"]))
    return F.linear(x, sd["fc2.weight"], sd["fc2.bias"])


class LeNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, inputs, outputs in (("block1", 1, 6), ("block2", 6, 16)):
            setattr(self, name, torch.nn.Sequential(torch.nn.Conv2d(inputs, outputs, 5), torch.nn.BatchNorm2d(outputs),
                                                    torch.nn.ReLU(), torch.nn.MaxPool2d(2)))
        self.fc, self.fc1, self.fc2 = torch.nn.Linear(256, 120), torch.nn.Linear(120, 84), torch.nn.Linear(84, 10)

    def forward(self, x):
        x = self.block2(self.block1(x)).flatten(1)
        return self.fc2(F.relu(self.fc1(F.relu(self.fc(x)))))


def trace(path, target):
    net = LeNet()
    net.load_state_dict(load(path, True))
    torch.jit.save(torch.jit.trace(net.eval(), torch.zeros(2, 1, 28, 28)), target)


def script(path, source, target):
    x = torch.frombuffer(bytearray(open(source, "rb").read()), dtype=torch.float32)
    with torch.no_grad(), open(target, "wb") as f:
        f.write(bits(torch.jit.load(path)(x.reshape(-1, 1, 28, 28))))


def logits(path, source, target):
    x = torch.frombuffer(bytearray(open(source, "rb").read()), dtype=torch.float32)
    with open(target, "wb") as f:
        f.write(bits(forward(load(path, True), x.reshape(-1, 1, 28, 28))))


def idx(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        b = f.read()
    shape = [int.from_bytes(b[4 + 4 * i:8 + 4 * i], "big") for i in range(b[3])]
    return torch.frombuffer(bytearray(b[4 + 4 * len(shape):]), dtype=torch.uint8).reshape(shape)


def measures(sd, images, labels, forgotten):
    right, divergence = [], []
    for x, y in zip(images.split(1000), labels.split(1000)):
        out = forward(sd, ((x.float() / 255 - 0.2860) / 0.3530).unsqueeze(1))
        right.append(out.argmax(1) == y)
        logp = F.log_softmax(out.double(), 1)
        divergence.append((logp.exp() * (logp + math.log(out.shape[1]))).sum(1))
    right, divergence, mine = torch.cat(right).double(), torch.cat(divergence), labels == forgotten
    return {"images": len(labels), "forgotten_images": int(mine.sum()), "target": right[mine].mean().item(),
            "remain": right[~mine].mean().item(), "kl": divergence[mine].mean().item()}


def grade(m, l2):
    """Each measure has full marks at the first number and none at the second; beyond the third all is lost."""
    rules = [(m["target"], 0.09, 0.30, 0.5), (m["remain"], 0.90, 0.87, 0.75), (l2, 1.3, 3.0, 8.0), (m["kl"], 0.2, 0.5, 1.75)]
    if any(v < hard if full > none else v > hard for v, full, none, hard in rules):
        return 0.0
    return sum(100 * min(1.0, max(0.0, (none - v) / (none - full))) for v, full, none, _ in rules) / 4


def measure(before, after, images, labels, forgotten):
    a, b, images, labels = load(before, True), load(after, True), idx(images), idx(labels)
    parameters = [k for k in a if "running_" not in k and "num_batches" not in k]
    l2 = math.sqrt(sum(((b[k].double() - a[k].double()) ** 2).sum().item() for k in parameters))
    result = measures(b, images, labels, int(forgotten))
    return {"before": measures(a, images, labels, int(forgotten)), "after": result, "l2": l2, "score": grade(result, l2)}


def wrap(source, target):
    sd = load(source, True)
    torch.save({"epoch": 3, "state_dict": OrderedDict(("module." + k, v) for k, v in sd.items()), "best": 0.9}, target)


if __name__ == "__main__":
    with torch.no_grad():
        print(json.dumps({"compare": compare, "logits": logits, "measure": measure, "wrap": wrap, "trace": trace, "script": script}[sys.argv[1]](*sys.argv[2:])))
