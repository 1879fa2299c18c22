#!/usr/bin/env python3
"""Train LeNets by other recipes than those of the fixtures, to try the edit on. Needs torch >= 1.13 and numpy.

    bases.py DATA OUT

DATA holds the gzipped IDX files of Fashion-MNIST. Writes OUT/adam-2.pt (too short), sgd-6.pt, adamw-8.pt,
adam-25.pt, adam-30.pt and adam-30b.pt (too long). One thread, so that the same torch trains the same weights.
"""
import gzip
import os
import sys

import numpy as np
import torch
from torch import nn

RECIPES = [  # name, seed, optimiser, epochs, batch, cosine schedule
    ("adam-2", 1, lambda p: torch.optim.Adam(p, 1e-3), 2, 128, False),
    ("sgd-6", 3, lambda p: torch.optim.SGD(p, 0.01, momentum=0.9), 6, 64, False),
    ("adamw-8", 4, lambda p: torch.optim.AdamW(p, 2e-3, weight_decay=0.05), 8, 256, True),
    ("adam-25", 2, lambda p: torch.optim.Adam(p, 1e-3), 25, 128, False),
    ("adam-30", 5, lambda p: torch.optim.Adam(p, 1e-3), 30, 128, False),
    ("adam-30b", 6, lambda p: torch.optim.Adam(p, 1e-3), 30, 128, False),
]


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
        self.block2 = nn.Sequential(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        self.fc, self.fc1, self.fc2 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.block2(self.block1(x)).flatten(1)
        return self.fc2(self.relu(self.fc1(self.relu(self.fc(x)))))


def idx(path):
    raw = gzip.open(path).read()
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)


def main():
    data, out = sys.argv[1:]
    torch.set_num_threads(1)
    x = torch.from_numpy(idx(os.path.join(data, "train-images-idx3-ubyte.gz")).copy()).float()
    x = ((x / 255 - 0.2860) / 0.3530).unsqueeze(1)
    y = torch.from_numpy(idx(os.path.join(data, "train-labels-idx1-ubyte.gz")).copy()).long()
    for name, seed, make, epochs, batch, cosine in RECIPES:
        torch.manual_seed(seed)
        model = LeNet()
        optimizer = make(model.parameters())
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs) if cosine else None
        for _ in range(epochs):
            order = torch.randperm(len(x))
            for i in range(0, len(x), batch):
                chosen = order[i:i + batch]
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
                optimizer.step()
            if schedule:
                schedule.step()
        torch.save(model.state_dict(), os.path.join(out, name + ".pt"))
        print(name, flush=True)


if __name__ == "__main__":
    main()
