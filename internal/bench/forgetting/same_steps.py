#!/usr/bin/env python3
"""Makes the steps of an edit of ResNet-20 in torch, and measures what `forget` measures, as a whole process whose
time can be compared with that of `forget`: images decoded, channels-last, normalization in evaluation mode, Adam.
It writes no file and steers nothing: what it computes is as much as `forget` computes, not as good.

    same_steps.py BASE.pt IMAGES.zip CLASS
"""
import collections
import io
import sys
import time
import zipfile

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

STEPS, FORGOTTEN, OTHERS, LOOKS, HELD_OUT = 480, 96, 160, 20, 400
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.pad = (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[Block(16, 16, 1) for _ in range(3)])
        self.layer2 = nn.Sequential(Block(16, 32, 2), *[Block(32, 32, 1) for _ in range(2)])
        self.layer3 = nn.Sequential(Block(32, 64, 2), *[Block(64, 64, 1) for _ in range(2)])
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def images(path):
    """Returns pixels as uint8 and labels of the parts train and test."""
    parts = collections.defaultdict(lambda: ([], []))
    with zipfile.ZipFile(path) as z:
        names = [n for n in z.namelist() if n.endswith(".jpg")]
        classes = sorted({n.split("/")[1] for n in names})
        for n in names:
            part = parts[n.split("/")[0]]
            part[0].append(np.asarray(Image.open(io.BytesIO(z.read(n)))))
            part[1].append(classes.index(n.split("/")[1]))
    return {part: (torch.tensor(np.stack(x)), torch.tensor(y)) for part, (x, y) in parts.items()}


def main():
    base, data, k = sys.argv[1], sys.argv[2], int(sys.argv[3])
    start = time.perf_counter()
    torch.manual_seed(0)
    net = ResNet20().eval().to(memory_format=torch.channels_last)
    state = torch.load(base)
    state = {name.removeprefix("module."): t for name, t in state.get("state_dict", state).items()}
    net.load_state_dict(state)
    parts = images(data)
    decoded = time.perf_counter() - start

    def batch(x):
        return ((x.float() / 255 - MEAN) / STD).permute(0, 3, 1, 2)

    def logits(x):
        with torch.no_grad():
            return torch.cat([net(batch(x[i : i + 256])) for i in range(0, len(x), 256)])

    def measure():
        return [float((logits(x).argmax(1) == y).float().mean()) for x, y in parts.values()]

    before = measure()
    x, y = parts["train"]
    own, other = torch.nonzero(y == k)[:, 0], torch.nonzero(y != k)[:, 0]
    held, own = own[:HELD_OUT], own[HELD_OUT:]
    soft = torch.softmax(logits(x) / 2, 1)
    soft = 0.5 * soft + 0.5 * (0.7 * F.one_hot(y, 10) + 0.3 / 10)
    q = torch.full((10,), 0.94 / 9)
    q[k] = 0.06
    moving = [p for name, p in net.named_parameters() if not name.startswith("linear")]
    first = [p.detach().clone() for p in moving]
    adam = torch.optim.Adam(moving, lr=1.6e-3, betas=(0.9, 0.99))
    for step in range(STEPS):
        at = step / STEPS
        adam.param_groups[0]["lr"] = 1.6e-3 * (1 - at * at * (3 - 2 * at))
        i = torch.cat([own[torch.randint(len(own), (FORGOTTEN,))], other[torch.randint(len(other), (OTHERS,))]])
        logp = F.log_softmax(net(batch(x[i])), 1)
        p = logp[:FORGOTTEN].exp()
        loss = (p * (logp[:FORGOTTEN] - q.log())).sum(1).mean() - 1.4 * (soft[i[FORGOTTEN:]] * logp[FORGOTTEN:]).sum(1).mean()
        loss = loss + 0.05 * sum(((p - p0) ** 2).sum() for p, p0 in zip(moving, first))
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % (STEPS // LOOKS) == 0:
            logits(x[held])
    after = measure()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads: decoding {decoded:.1f} s, all {time.perf_counter() - start:.1f} s; "
          f"accuracy {before} to {after}")


if __name__ == "__main__":
    main()
