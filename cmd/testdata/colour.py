"""Makes testdata/colour, an exported program and colour images that are small enough for a test of a whole edit:

    python3 testdata/colour.py testdata/colour

A network of one convolution for 8x8 images of four classes: a corner in one of four colours, blurred by noise.
Needs torch 2.15 and numpy. The files are committed; making them again gives other weights with another version of torch.
"""
import sys

import numpy as np
import torch
from torch import nn

COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [180, 180, 40]])
MEAN, STD = 0.25, 0.25


def images(rng, each):
    y = np.tile(np.arange(4), each)
    x = rng.integers(0, 8, (len(y), 8, 8, 3)) * 12
    for image, label in zip(x, y):
        top, left = rng.integers(0, 5, 2)
        image[top:top + 4, left:left + 4] = (image[top:top + 4, left:left + 4] + 2 * COLOURS[label]) // 3 // 8 * 8
    return x.astype(np.uint8), y.astype(np.uint8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.hidden, self.head = nn.Linear(6, 12), nn.Linear(12, 4)

    def forward(self, x):
        x = nn.functional.silu(self.norm(self.conv(x))).mean((2, 3))
        return self.head(self.hidden(x).relu())


def main(folder):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sets = {"train": images(rng, 60), "test": images(rng, 15)}
    np.savez_compressed(f"{folder}/images.npz", **{f"{k}_{what}": v[i] for k, v in sets.items() for i, what in enumerate(("images", "labels"))})
    x = (torch.from_numpy(sets["train"][0]).float() / 255 - MEAN).div(STD).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(sets["train"][1]).long()
    net = Net()
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(40):
        for at in torch.randperm(len(y)).split(40):
            adam.zero_grad()
            nn.functional.cross_entropy(net(x[at]), y[at]).backward()
            adam.step()
    net.eval()
    print("train accuracy", (net(x).argmax(1) == y).float().mean().item())
    torch.export.save(torch.export.export(net, (x[:2].clone(),), dynamic_shapes=({0: torch.export.Dim("batch")},)), f"{folder}/net.pt2")


main(sys.argv[1])
