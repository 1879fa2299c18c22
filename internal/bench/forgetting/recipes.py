#!/usr/bin/env python3
"""Writes the networks beside the LeNets that the edit is measured on. Needs torch >= 2.6, torchvision, onnx,
onnxscript and safetensors.

    recipes.py programs FOLDER [NAME...]   NAME.pt2 with random weights, for `forgetting --fit`
    recipes.py formats FOLDER [NAME...]    from the NAME.safetensors that this writes: NAME.pt, NAME.pt2, NAME.ts, NAME.onnx

mlp and lstm are for Fashion-MNIST (the LSTM reads an image row by row), the others for CIFAR's 3x32x32.
"""
import os
import sys
import warnings

warnings.filterwarnings("ignore")
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn


class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(28, 96, batch_first=True), nn.Linear(96, 10)

    def forward(self, x):
        return self.fc(self.lstm(x.squeeze(1))[0][:, -1])


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def vgg():
    net = torchvision.models.vgg11_bn(num_classes=10)
    net.avgpool, net.classifier = nn.Identity(), nn.Linear(512, 10)
    return net


def resnet():
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return net


def mobilenet():
    net = torchvision.models.mobilenet_v2(num_classes=10)
    net.features[0][0].stride = net.features[2].conv[1][0].stride = (1, 1)
    return net


def vit():
    return torchvision.models.VisionTransformer(image_size=32, patch_size=4, num_layers=6, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=10)


GREY, COLOUR = (1, 28, 28), (3, 32, 32)
NETWORKS = {"mlp": (mlp, GREY), "lstm": (Rows, GREY), "vgg11bn": (vgg, COLOUR), "mobilenetv2": (mobilenet, COLOUR), "resnet18": (resnet, COLOUR), "vit": (vit, COLOUR)}


def program(net, shape):
    return torch.export.export(net, (torch.randn(2, *shape),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},))


def main():
    what, folder, *names = sys.argv[1:]
    for name in names or NETWORKS:
        make, shape = NETWORKS[name]
        torch.manual_seed(0)
        net, path = make().eval(), os.path.join(folder, name)
        if what == "formats":
            missing, unexpected = net.load_state_dict(load_file(path + ".safetensors"), strict=False)
            if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
                sys.exit(f"{name}: {missing} are missing, {unexpected} are not known")
            torch.save(net.state_dict(), path + ".pt")
            torch.jit.trace(net, torch.randn(2, *shape), check_trace=False).save(path + ".ts")
            torch.onnx.export(program(net, shape), None, dynamo=True, verbose=False).save(path + ".onnx")
        torch.export.save(program(net, shape), path + ".pt2")
        print(path, flush=True)


if __name__ == "__main__":
    main()
