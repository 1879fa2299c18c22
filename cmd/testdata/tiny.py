"""Makes testdata/tiny, a network and images that are small enough for a processor that is emulated:

    /usr/bin/python3 testdata/tiny.py testdata/tiny

A LeNet of 2 and 3 channels for 16x16 images of four classes: a bright patch in one of the corners, blurred by noise.
Needs torch and numpy. The files are committed; making them again gives other weights with another version of torch.
"""
import gzip
import struct
import sys

import numpy as np
import torch
from torch import nn

CLASSES, SIDE = 4, 16


def images(rng, each):
    x, y = [], []
    for i in range(CLASSES * each):
        c = i % CLASSES
        image = rng.integers(0, 4, (SIDE, SIDE)) * 16
        top, left = (1 + 8 * k + rng.integers(-1, 2) for k in divmod(c, 2))
        image[top:top + 5, left:left + 5] += 48 + 16 * rng.integers(0, 4)
        x.append(image)
        y.append(c)
    return np.array(x, np.uint8), np.array(y, np.uint8)


def write(path, magic, array):
    with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes())


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 5), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1, self.block2 = block(1, 2), block(2, 3)
        self.fc, self.fc1, self.fc2 = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.block2(self.block1(x)).flatten(1)
        return self.fc2(self.fc1(self.fc(x).relu()).relu())


def main(folder):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    for name, each in (("train", 60), ("t10k", 15)):
        x, y = images(rng, each)
        write(f"{folder}/{name}-images-idx3-ubyte.gz", 0x803, x)
        write(f"{folder}/{name}-labels-idx1-ubyte.gz", 0x801, y)
        if name == "train":
            train = torch.from_numpy(x).float().div(255).sub(0.2860).div(0.3530).unsqueeze(1), torch.from_numpy(y).long()
    net = LeNet()
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        for at in torch.randperm(len(train[1])).split(40):
            adam.zero_grad()
            nn.functional.cross_entropy(net(train[0][at]), train[1][at]).backward()
            adam.step()
    net.eval()
    print("train accuracy", (net(train[0]).argmax(1) == train[1]).float().mean().item())
    torch.save(net.state_dict(), f"{folder}/lenet.pt")


main(sys.argv[1])
