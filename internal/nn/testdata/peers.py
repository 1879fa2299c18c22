#!/usr/bin/env python3
"""What PyTorch and ONNX Runtime reach on the networks of BenchmarkNetworks, on one thread in images a second of
processor time, and on two in images a second by the clock. Needs torch and torchvision; ONNX Runtime is left out where onnx or onnxruntime is missing. Images are channels-last but for the transformer; batch normalization is in
evaluation mode; a step is forward, backward and Adam.

    peers.py [ResNet-20|ResNet-18|MobileNetV2|ViT]...
"""
import io
import sys
import time

import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import nn

try:
    import onnx  # noqa: F401, which the exporter needs
    import onnxruntime as runtime
except ImportError:
    runtime = None



class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.extra = (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra)) if self.extra else x))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [16] * 4 + [32] * 3 + [64] * 3
        self.blocks = nn.Sequential(*[Block(i, o, 1 + (i != o)) for i, o in zip(widths, widths[1:])])
        self.linear = nn.Linear(64, 3)

    def forward(self, x):
        return self.linear(self.blocks(F.relu(self.bn(self.conv(x)))).mean((2, 3)))


def resnet18():
    m = tv.resnet18(num_classes=3)
    m.conv1, m.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return m


def mobilenet():
    m = tv.mobilenet_v2(num_classes=3)
    m.features[0][0].stride = (1, 1)
    return m


def vit():
    return tv.VisionTransformer(image_size=32, patch_size=4, num_layers=6, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=3)


NETWORKS = {"ResNet-20": (ResNet20, 128), "MobileNetV2": (mobilenet, 64), "ViT": (vit, 64), "ResNet-18": (resnet18, 64)}


def best(f, threads):
    clock = time.process_time if threads == 1 else time.perf_counter
    f()
    times = []
    for _ in range(3):
        start = clock()
        f()
        times.append(clock() - start)
    return min(times)


for name in sys.argv[1:] or NETWORKS:
    make, batch = NETWORKS[name]
    model, x, y = make().eval(), torch.randn(batch, 3, 32, 32), torch.randint(3, (batch,))
    if name != "ViT":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step():
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            model(x)

    file = io.BytesIO()
    if runtime:
        torch.onnx.export(model, (x,), file, dynamo=False)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        print(f"{name}: step {threads} {batch / best(step, threads):.0f}, torch {torch.__version__}")
        print(f"{name}: forward {threads} {batch / best(forward, threads):.0f}", flush=True)
        if runtime:
            options = runtime.SessionOptions()
            options.intra_op_num_threads = threads
            session = runtime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
            images = {session.get_inputs()[0].name: x.contiguous().numpy()}
            rate = batch / best(lambda: session.run(None, images), threads)
            print(f"{name}: onnxruntime {threads} {rate:.0f}, {runtime.__version__}", flush=True)
