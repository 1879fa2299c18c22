"""Writes the networks of this folder, saved whole by torch.save(model), and golden.json: what PyTorch computes for them.

usage: make.py (torch 2.x with torchvision)

Element i of an input of three samples is (i*7919 % 1000)/500 - 1.
"""
import json, os, sys

import torch, torch.nn as nn, torchvision

here = os.path.dirname(os.path.abspath(__file__))


def values(shape):
    return ((torch.arange(torch.Size(shape).numel()) * 7919 % 1000).float() / 500 - 1).reshape(shape)


def narrow():
    """A ResNet of torchvision with a 32nd of the channels."""
    m = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)
    for name, c in list(m.named_modules()):
        parent = m.get_submodule(name.rpartition(".")[0])
        if isinstance(c, nn.Conv2d):
            setattr(parent, name.rpartition(".")[2], nn.Conv2d(max(c.in_channels // 32, 2) if c.in_channels != 3 else 3, c.out_channels // 32, c.kernel_size, c.stride, c.padding, bias=False))
        elif isinstance(c, nn.BatchNorm2d):
            setattr(parent, name.rpartition(".")[2], nn.BatchNorm2d(c.num_features // 32, eps=1e-2 if name == "bn1" else 1e-5))
    m.maxpool = nn.MaxPool2d(2, 2)
    m.layer2[0].conv1.stride = m.layer2[0].downsample[0].stride = (1, 1)
    m.fc = nn.Sequential(nn.Dropout(), nn.Linear(16, 3))
    return m


S = nn.Sequential
networks = {
    "lenet": (S(nn.Conv2d(1, 4, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 5), nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(150, 8), nn.Dropout(), nn.Linear(8, 5), nn.LogSoftmax(dim=1)), [1, 28, 28]),
    "convs": (S(S(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4, eps=0.1), nn.ReLU(True)), nn.Conv2d(4, 4, 3, padding="same", groups=4, dilation=2), nn.GroupNorm(2, 4, eps=0.01),
                nn.SiLU(), nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.PReLU(), nn.ConvTranspose2d(6, 3, 3, 2, 1, output_padding=1), nn.Softplus(2, 5),
                nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(18, 4)), [3, 9, 8]),
    "table": (S(nn.Linear(7, 6), nn.LayerNorm(6, eps=0.1), nn.GELU(), nn.BatchNorm1d(6), nn.ELU(0.5), nn.Linear(6, 3), nn.Softmax(dim=-1)), [7]),
    "resnet": (narrow(), [3, 32, 32]),
    "hook": (S(nn.Linear(4, 3), nn.ReLU()), None),
}
networks["hook"][0][0].register_forward_pre_hook(nn.functional.threshold)
golden = {}
for name, (m, shape) in networks.items():
    torch.manual_seed(1)
    with torch.no_grad():
        for p in m.parameters():
            p.normal_(0.05, max(p[0].numel(), 4) ** -0.5 if p.dim() > 1 else 0.5)
        for b in m.modules():
            if isinstance(b, (nn.BatchNorm1d, nn.BatchNorm2d)):
                b.running_mean.normal_(0, 0.2), b.running_var.uniform_(0.5, 2)
    torch.save(m, os.path.join(here, name + ".pt"))
    if shape:
        with torch.no_grad():
            y = m.eval()(values([3] + shape))
        golden[name] = {"input": shape, "values": [float("%.8g" % v) for v in y.flatten().tolist()]}
with open(os.path.join(here, "golden.json"), "w") as f:
    f.write("{\n" + ",\n".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in golden.items()) + "\n}\n")
