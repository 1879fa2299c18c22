"""Networks of operators that are seldom used, which make.py here and that of ../script/testdata save.

usage: make_kinds.py [NAME] (torch 2.8 or later): exports them with a fixed batch of 2
"""
import os, sys

import torch, torch.nn as nn, torch.nn.functional as F


class Bags(nn.Module):
    """Sums, means and largest elements of rows of a table, and classes as vectors."""

    def __init__(self):
        super().__init__()
        self.sum, self.mean = nn.EmbeddingBag(32, 3, mode="sum"), nn.EmbeddingBag(32, 3, mode="mean", padding_idx=5)
        self.most = nn.EmbeddingBag(32, 3, mode="max")
        self.fc = nn.Linear(32, 3)

    def forward(self, ids: torch.Tensor):
        return self.sum(ids), self.mean(ids), self.most(ids), self.fc(F.one_hot(ids, 32).float()).sum(1)


class Kinds(nn.Module):
    """Distances, diagonals and windows; the largest elements, and those at an index; a class that is repeated."""

    def __init__(self):
        super().__init__()
        self.points, self.token = nn.Parameter(torch.zeros(3, 6)), nn.Parameter(torch.zeros(1, 1, 6))
        self.circular = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")
        self.turn = nn.utils.parametrizations.orthogonal(nn.Linear(6, 6, bias=False))
        self.reflect = nn.utils.parametrizations.orthogonal(nn.Linear(6, 2, bias=False))

    def forward(self, x: torch.Tensor):
        rows = x[:, 0]
        top, at = rows.topk(2, dim=2)
        windows = F.unfold(x, 3, padding=1, stride=2)
        diagonals = torch.diagonal(x, 1, 2, 3).sum(1) + torch.diag(self.points @ self.points.t()).sum()
        return [
            torch.cdist(rows, self.points.unsqueeze(0)), F.pairwise_distance(rows, x[:, 1]), diagonals, torch.diag_embed(rows[:, :, :2], -1).flatten(1),
            x.unfold(2, 2, 2).unfold(3, 3, 3).sum((4, 5)), windows, F.fold(windows * 2, (6, 6), 3, padding=1, stride=2), self.circular(x),
            self.turn(rows), self.reflect(rows), top, torch.gather(rows, 1, at.argsort(2)[:, :1].repeat(1, 2, 3)), torch.cat([self.token.repeat(x.shape[0], 1, 1), rows], 1),
            rows.median(2)[0], rows @ self.points[0], torch.rot90(x, 1, [2, 3]),
        ]


class Places(nn.Module):
    """Elements that are written to places, and read at points of a grid."""

    def __init__(self):
        super().__init__()
        self.register_buffer("places", torch.tensor([0, 1, 0, 2, 1, 2]))
        self.register_buffer("edges", torch.tensor([-0.5, 0.1, 0.6]))

    def forward(self, x: torch.Tensor):
        rows = x[:, 0].clone()
        zeros = torch.zeros(x.shape[0], 3, 6)
        marked = torch.zeros(x.shape[0], 6, 6).scatter_(2, rows.argmax(2, keepdim=True), 1.0)
        summed = zeros.index_add(1, self.places, rows)
        again = zeros.scatter_add(1, self.places.view(1, 6, 1).expand(x.shape[0], 6, 6), rows)
        rows[rows > 0.5] = -1.0
        rows[:, torch.tensor([1, 3])] = 2.0
        y, z = torch.meshgrid(torch.linspace(-1, 1, 6), torch.linspace(-1, 1, 4))
        grid = torch.stack([z, y], 2).unsqueeze(0).expand(x.shape[0], 6, 4, 2)
        turned = F.affine_grid(rows[:, :2, :3].contiguous(), [x.shape[0], 2, 5, 4], align_corners=False)
        return marked, summed, again, rows, torch.bucketize(x[:, 1], self.edges), F.grid_sample(x, grid, align_corners=False), F.grid_sample(x, turned, padding_mode="border", align_corners=True)


class Written(nn.Module):
    """Operators that are others: fused attention, which strict exports have, Fourier transforms, and elements at a mask."""

    def __init__(self):
        super().__init__()
        self.layer, self.attention = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), nn.MultiheadAttention(8, 4, batch_first=True)
        self.filter = nn.Parameter(torch.zeros(6, 5, 2))

    def forward(self, x: torch.Tensor):
        low = x.clone()
        low[low > 0.5] *= -2
        spectrum = torch.fft.rfft2(x, dim=(1, 2), norm="ortho") * torch.view_as_complex(self.filter)
        back = torch.fft.irfft2(spectrum, s=(6, 8), dim=(1, 2), norm="ortho")
        lengths = torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real, torch.fft.rfft(x, n=5, dim=1).abs(), torch.fft.irfft(torch.fft.rfft(x), n=5)
        return self.layer(x), *self.attention(x, x, x), low, back, *lengths, torch.nan_to_num(x / (x - x)), torch.diff(x, dim=1)


class Autocast(nn.Module):
    """Layers that compute in bfloat16, beside some that do not."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.norm(self.conv(x)).relu().mean((2, 3))
            z = self.fc(y)
            joined = torch.cat([z, x[:, 0, 0, :2]], 1)
            with torch.autocast("cpu", enabled=False):
                plain = self.fc(y.float())
        return z.float(), joined, plain


def made(kind):
    torch.manual_seed(1)
    model = kind().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.1, 0.4)
    return model


def values(shape, integers):
    n = torch.arange(torch.Size(shape).numel())
    return (n * 31 % 29 + 1 if integers else (n * 7919 % 1000).float() / 500 - 1).reshape(shape)


KINDS = {"bags": (Bags, [6]), "kinds": (Kinds, [2, 6, 6]), "written": (Written, [6, 8]), "autocast": (Autocast, [2, 6, 6])}

if __name__ == "__main__":
    for name, (kind, shape) in KINDS.items():
        if sys.argv[1:] not in ([], [name]):
            continue
        with torch.no_grad():
            program = torch.export.export(made(kind), (values([2] + shape, name == "bags"),), strict=name == "written")
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        torch.export.save(program, os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch-2.15-%s_static.pt2" % name))
