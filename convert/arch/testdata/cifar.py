"""Networks for images of 32x32 under the names of kuangliu/pytorch-cifar, narrow, for make.py. They were compared with the published ones when this was written."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def conv(i, o, k=1, stride=1, groups=1):
    return nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False)


class Block(nn.Module):
    """Two or three convolutions with normalization after them, or before; squeeze and excitation; a shortcut."""

    def __init__(self, i, o, stride=1, kind="after", se="", inner=None, groups=1):
        super().__init__()
        self.before, self.three, self.se_kind = kind == "before", inner is not None, se
        inner = inner or o
        sizes = [(i, inner, 1, 1), (inner, inner, 3, stride), (inner, o, 1, 1)] if self.three else [(i, o, 3, stride), (o, o, 3, 1)]
        for n, (a, b, k, s) in enumerate(sizes, 1):
            setattr(self, f"conv{n}", conv(a, b, k, s, groups if n == 2 and self.three else 1))
            setattr(self, f"bn{n}", nn.BatchNorm2d(a if self.before else b))
        self.count = len(sizes)
        if stride != 1 or i != o:
            self.shortcut = nn.Sequential(conv(i, o, 1, stride), *([] if self.before else [nn.BatchNorm2d(o)]))
        if se == "fc":
            self.fc1, self.fc2 = nn.Conv2d(o, 2, 1), nn.Conv2d(2, o, 1)
        elif se == "se":
            self.se = nn.Module()
            self.se.se1, self.se.se2 = nn.Conv2d(inner, 2, 1), nn.Conv2d(2, inner, 1)

    def squeeze(self, x, first, second):
        return x * torch.sigmoid(second(F.relu(first(x.mean((2, 3), keepdim=True)))))

    def forward(self, x):
        y, short = x, x
        for n in range(1, self.count + 1):
            c, b = getattr(self, f"conv{n}"), getattr(self, f"bn{n}")
            if self.before:
                y = F.relu(b(y))
                if n == 1 and hasattr(self, "shortcut"):
                    short = self.shortcut(y)
                y = c(y)
            else:
                y = b(c(y))
                y = F.relu(y) if n < self.count else y
                if n == 2 and self.se_kind == "se":
                    y = self.squeeze(y, self.se.se1, self.se.se2)
        if self.se_kind == "fc":
            y = self.squeeze(y, self.fc1, self.fc2)
        if self.before:
            return y + short
        return F.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Dual(Block):
    def __init__(self, i, inner, o, dense, stride, first):
        super().__init__(i, o + dense, stride, inner=inner, groups=2)
        if not first and hasattr(self, "shortcut"):
            del self.shortcut
        self.o = o

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        y = self.bn3(self.conv3(y))
        x = self.shortcut(x) if hasattr(self, "shortcut") else x
        return F.relu(torch.cat([x[:, : self.o] + y[:, : self.o], x[:, self.o :], y[:, self.o :]], 1))


class Tree(nn.Module):
    def __init__(self, i, o, level, stride, simple):
        super().__init__()
        self.level, self.simple = level, simple
        parts = 2 if simple or level == 1 else level + 2
        self.root = nn.Module()
        self.root.conv, self.root.bn = conv(parts * o, o), nn.BatchNorm2d(o)
        if simple:
            make = (lambda a, s: Block(a, o, s)) if level == 1 else (lambda a, s: Tree(a, o, level - 1, s, True))
            self.left_tree, self.right_tree = make(i, stride), make(o, 1)
            return
        for n in range(level - 1, 0, -1):
            setattr(self, f"level_{n}", Tree(i, o, n, stride, False))
        if level > 1:
            self.prev_root = Block(i, o, stride)
        self.left_node, self.right_node = Block(i if level == 1 else o, o, stride if level == 1 else 1), Block(o, o)

    def forward(self, x):
        if self.simple:
            left = self.left_tree(x)
            parts = [left, self.right_tree(left)]
        else:
            parts = [self.prev_root(x)] if self.level > 1 else []
            for n in range(self.level - 1, 0, -1):
                x = getattr(self, f"level_{n}")(x)
                parts.append(x)
            parts.append(self.left_node(x))
            parts.append(self.right_node(parts[-1]))
        return F.relu(self.root.bn(self.root.conv(torch.cat(parts, 1))))


class Mobile(nn.Module):
    def __init__(self, i, o, stride, expansion):
        super().__init__()
        inner = expansion * i
        self.stride, self.second = stride, expansion > 0
        sizes = [(i, inner, 1, 1, 1), (inner, inner, 3, stride, inner), (inner, o, 1, 1, 1)] if self.second else [(i, i, 3, stride, i), (i, o, 1, 1, 1)]
        for n, (a, b, k, s, g) in enumerate(sizes, 1):
            setattr(self, f"conv{n}", conv(a, b, k, s, g)), setattr(self, f"bn{n}", nn.BatchNorm2d(b))
        if self.second and stride == 1 and i != o:
            self.shortcut = nn.Sequential(conv(i, o), nn.BatchNorm2d(o))

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        if not self.second:
            return y
        y = self.bn3(self.conv3(y))
        return y + (self.shortcut(x) if hasattr(self, "shortcut") else x) if self.stride == 1 else y


class Net(nn.Module):
    """A first convolution, layers of blocks, and a linear layer."""

    def __init__(self, width, layers, last, norm=True, tail=0):
        super().__init__()
        self.conv1 = conv(3, width, 3)
        if norm:
            self.bn1 = nn.BatchNorm2d(width)
        self.names = list(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)
        if tail:
            self.conv2, self.bn2 = conv(last, tail), nn.BatchNorm2d(tail)
        self.linear = nn.Linear(tail or last, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(self.bn1(x)) if hasattr(self, "bn1") else x
        for name in self.names:
            x = getattr(self, name)(x)
        if hasattr(self, "conv2"):
            x = F.relu(self.bn2(self.conv2(x)))
        return self.linear(x.mean((2, 3)))


class Aggregation(nn.Module):
    def __init__(self, simple):
        super().__init__()
        for name, i, o in [("base", 3, 4), ("layer1", 4, 4), ("layer2", 4, 6)]:
            setattr(self, name, nn.Sequential(conv(i, o, 3), nn.BatchNorm2d(o), nn.ReLU()))
        for n, (i, o, level, stride) in enumerate([(6, 8, 1, 1), (8, 10, 2, 2), (10, 12, 2, 2), (12, 16, 1, 2)], 3):
            setattr(self, f"layer{n}", Tree(i, o, level, stride, simple))
        self.linear = nn.Linear(16, 10)

    def forward(self, x):
        for name in ["base"] + [f"layer{n}" for n in range(1, 7)]:
            x = getattr(self, name)(x)
        return self.linear(x.mean((2, 3)))


def staged(widths, strides=(1, 2, 2, 2), depth=1, **how):
    layers, i = {}, 4
    for n, (o, stride) in enumerate(zip(widths, strides), 1):
        blocks = []
        for k in range(depth):
            inner = how.get("narrow") and {"inner": o // how["narrow"]} or {}
            blocks.append(Block(i, o, stride if k == 0 else 1, how.get("kind", "after"), how.get("se", ""), groups=how.get("groups", 1), **inner))
            i = o
        layers[f"layer{n}"] = nn.Sequential(*blocks)
    return layers


def dual():
    layers, i = {}, 4
    for n, (inner, o, dense, depth) in enumerate([(4, 6, 2, 2), (4, 8, 3, 1), (6, 10, 2, 2), (6, 12, 2, 1)], 1):
        blocks = []
        for k in range(depth):
            blocks.append(Dual(i, inner, o, dense, 2 if n > 1 and k == 0 else 1, k == 0))
            i = o + (k + 2) * dense
        layers[f"layer{n}"] = nn.Sequential(*blocks)
    return Net(4, layers, i)


def mobile(second):
    if second:
        rows = [(4, 1, 1)] + [(6, 1, 2)] * 2 + [(6, 2, 2), (6, 1, 2), (6, 1, 2)] + [(8, 2, 2)] + [(8, 1, 2)] * 3 + [(8, 1, 2)] * 3 + [(10, 2, 2)] + [(10, 1, 2)] * 2 + [(12, 1, 2)]
    else:
        rows = [(6, 2 if n in (1, 3, 5, 11) else 1, 0) for n in range(13)]
    i, blocks = 4, []
    for o, stride, expansion in rows:
        blocks.append(Mobile(i, o, stride, expansion))
        i = o
    return Net(4, {"layers": nn.Sequential(*blocks)}, i, tail=16 if second else 0)


W = (4, 6, 8, 10)
SMALL = {
    "small cifar preact": lambda: Net(4, staged(W, kind="before", depth=2), 10, norm=False),
    "small cifar preact 3": lambda: Net(4, staged((8, 12, 16, 20), kind="before", narrow=4), 20, norm=False),
    "small cifar senet": lambda: Net(4, staged(W, kind="before", se="fc"), 10),
    "small cifar senet after": lambda: Net(4, staged(W, se="fc", depth=2), 10),
    "small cifar dpn": dual,
    "small cifar dla": lambda: Aggregation(False),
    "small cifar simple dla": lambda: Aggregation(True),
    "small cifar mobilenet": lambda: mobile(False),
    "small cifar mobilenetv2": lambda: mobile(True),
    "small cifar regnet": lambda: Net(4, staged((8, 8, 12, 12), (1, 1, 2, 2), depth=2, narrow=1, groups=2, se="se"), 12),
    "small cifar resnext": lambda: Net(4, staged((8, 12, 16), (1, 2, 2), narrow=2, groups=2), 16),
}
