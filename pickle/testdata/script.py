"""TorchScript archives for tests.

    script.py make IN.pt          writes a traced network
    script.py check IN.pt OUT.pt  fails unless OUT.pt computes what IN.pt does with all real weights w as w/2 + 1
"""
import sys

import torch
from torch import nn

command, path, *more = sys.argv[1:]
torch.manual_seed(0)
x = torch.randn(3, 1, 8, 8)
if command == "make":
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    torch.jit.save(torch.jit.trace(net, x), path, _extra_files={"note.txt": "kept"})
else:
    net = torch.jit.load(path)
    with torch.no_grad():
        for t in list(net.parameters()) + [b for b in net.buffers() if b.is_floating_point()]:
            t.mul_(0.5).add_(1)
    extra = {"note.txt": ""}
    edited = torch.jit.load(more[0], _extra_files=extra)
    assert extra["note.txt"] in ("kept", b"kept"), extra
    assert torch.equal(net(x), edited(x))
    assert net.code == edited.code
