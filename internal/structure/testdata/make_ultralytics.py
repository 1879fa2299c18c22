"""Writes classifiers with the classes of Ultralytics, saved whole as in its checkpoints, and ultralytics.json: what they compute.

usage: make_ultralytics.py (torch 2.x; the package itself is not needed: the classes below have its names, attributes and results)
"""
import json, os, sys, types

import torch, torch.nn as nn

here = os.path.dirname(os.path.abspath(__file__))


class Conv(nn.Module):
    def __init__(s, i, o, k=1, st=1, g=1, act=True):
        super().__init__(); s.conv = nn.Conv2d(i, o, k, st, k // 2, groups=g, bias=False); s.bn = nn.BatchNorm2d(o, eps=1e-3); s.act = nn.SiLU() if act else nn.Identity()
    def forward(s, x): return s.act(s.bn(s.conv(x)))


class Bottleneck(nn.Module):
    def __init__(s, c, add=True): super().__init__(); s.cv1, s.cv2, s.add = Conv(c, c, 3), Conv(c, c, 3), add
    def forward(s, x): return x + s.cv2(s.cv1(x)) if s.add else s.cv2(s.cv1(x))
class C3k(nn.Module):
    def __init__(s, c): super().__init__(); s.cv1, s.cv2, s.cv3, s.m = Conv(c, c // 2), Conv(c, c // 2), Conv(c, c), nn.Sequential(Bottleneck(c // 2), Bottleneck(c // 2, False))
    def forward(s, x): return s.cv3(torch.cat((s.m(s.cv1(x)), s.cv2(x)), 1))
class C2f(nn.Module):
    def __init__(s, i, o, n=1, deep=False): super().__init__(); s.c = o // 2; s.cv1, s.cv2 = Conv(i, 2 * s.c), Conv((2 + n) * s.c, o); s.m = nn.ModuleList(C3k(s.c) if deep else Bottleneck(s.c) for _ in range(n))
    def forward(s, x):
        y = list(s.cv1(x).chunk(2, 1)); y.extend(m(y[-1]) for m in s.m); return s.cv2(torch.cat(y, 1))
class C3k2(C2f): pass
class Attention(nn.Module):
    def __init__(s, d, h):
        super().__init__(); s.num_heads, s.head_dim = h, d // h; s.key_dim = s.head_dim // 2; s.scale = s.key_dim ** -0.5; s.qkv = Conv(d, d + s.key_dim * h * 2, act=False); s.proj = Conv(d, d, act=False); s.pe = Conv(d, d, 3, 1, d, act=False)
    def forward(s, x):
        B, C, H, W = x.shape; q, k, v = s.qkv(x).view(B, s.num_heads, s.key_dim * 2 + s.head_dim, H * W).split([s.key_dim, s.key_dim, s.head_dim], dim=2)
        a = ((q.transpose(-2, -1) @ k) * s.scale).softmax(dim=-1); return s.proj((v @ a.transpose(-2, -1)).view(B, C, H, W) + s.pe(v.reshape(B, C, H, W)))
class PSABlock(nn.Module):
    def __init__(s, c): super().__init__(); s.attn, s.ffn, s.add = Attention(c, 2), nn.Sequential(Conv(c, 2 * c), Conv(2 * c, c, act=False)), True
    def forward(s, x): x = x + s.attn(x); return x + s.ffn(x)
class C2PSA(nn.Module):
    def __init__(s, c): super().__init__(); s.c = c // 2; s.cv1, s.cv2, s.m = Conv(c, c), Conv(c, c), nn.Sequential(PSABlock(c // 2))
    def forward(s, x): a, b = s.cv1(x).split((s.c, s.c), 1); return s.cv2(torch.cat((a, s.m(b)), 1))


class Classify(nn.Module):
    def __init__(s, i, o): super().__init__(); s.conv, s.pool, s.drop, s.linear = Conv(i, 20), nn.AdaptiveAvgPool2d(1), nn.Dropout(0.0), nn.Linear(20, o)
    def forward(s, x): return s.linear(s.drop(s.pool(s.conv(x)).flatten(1))).softmax(1)


class ClassificationModel(nn.Module):
    def __init__(s, layers):
        super().__init__(); s.model = nn.Sequential(*layers); s.save, s.yaml, s.names = [], {"nc": 5}, {i: str(i) for i in range(5)}
        for i, m in enumerate(s.model): m.i, m.f, m.type = i, -1, type(m).__name__
    def forward(s, x): return s.model(x)


for place, members in {"nn.modules.conv": [Conv], "nn.modules.block": [Bottleneck, C3k, C2f, C3k2, Attention, PSABlock, C2PSA], "nn.modules.head": [Classify], "nn.tasks": [ClassificationModel]}.items():
    name = "ultralytics"
    for word in [""] + place.split("."):
        name += "." * bool(word) + word
        sys.modules.setdefault(name, types.ModuleType(name))
    for c in members:
        c.__module__ = name
        setattr(sys.modules[name], c.__name__, c)

torch.manual_seed(0)
nets = {"yolo8": [Conv(3, 4, 3, 2), Conv(4, 8, 3, 2), C2f(8, 8, 2), Classify(8, 5)], "yolo11": [Conv(3, 4, 3, 2), C3k2(4, 8, 1), Conv(8, 8, 3, 2), C3k2(8, 8, 1, True), C2PSA(8), Classify(8, 5)]}
res = {}
for name, layers in nets.items():
    m = ClassificationModel(layers).eval()
    with torch.no_grad():
        for p in m.parameters(): p.copy_(torch.randn_like(p) * (0.2 if p.dim() < 2 else 0.9 * p[0].numel() ** -0.5) + (1 if p.dim() < 2 else 0))
        for b in m.modules():
            if isinstance(b, torch.nn.BatchNorm2d): b.running_mean.normal_(0, 0.2); b.running_var.uniform_(0.5, 2)
    torch.save({"epoch": -1, "model": m, "ema": None, "train_args": {"imgsz": 32}}, f"{here}/{name}.pt")
    x = torch.tensor([(i * 7919 % 1000) / 500 - 1 for i in range(3 * 3 * 32 * 32)]).view(3, 3, 32, 32)
    with torch.no_grad(): res[name] = {"input": [3, 32, 32], "values": m(x).flatten().tolist()}
json.dump(res, open(here + "/ultralytics.json", "w"))
