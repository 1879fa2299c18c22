"""Writes resnet8.pt of this folder, with torch 1.13 or later: the state dict of
a small ResNet for CIFAR with shortcuts without weights, inside a wrapper and
with the prefix of DataParallel, as akamaster/pytorch_resnet_cifar10 saves it.

    python make_small.py
"""

import collections
import pathlib

import torch

torch.manual_seed(0)
state = collections.OrderedDict()


def norm(name, channels):
    state[name + ".weight"] = torch.rand(channels) + 0.5
    state[name + ".bias"] = torch.randn(channels) * 0.1
    state[name + ".running_mean"] = torch.randn(channels) * 0.1
    state[name + ".running_var"] = torch.rand(channels) + 0.5
    state[name + ".num_batches_tracked"] = torch.tensor(7)


def conv(name, out, channels):
    state[name + ".weight"] = torch.randn(out, channels, 3, 3) * 0.2


conv("module.conv1", 4, 3)
norm("module.bn1", 4)
channels = 4
for stage, out in (1, 4), (2, 8), (3, 16):
    block = f"module.layer{stage}.0."
    conv(block + "conv1", out, channels)
    norm(block + "bn1", out)
    conv(block + "conv2", out, out)
    norm(block + "bn2", out)
    channels = out
state["module.linear.weight"] = torch.randn(10, 16)
state["module.linear.bias"] = torch.randn(10)
torch.save({"state_dict": state, "best_prec1": 91.5}, pathlib.Path(__file__).parent / "resnet8.pt")
