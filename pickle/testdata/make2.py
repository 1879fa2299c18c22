"""Makes the golden checkpoints of this folder whose names start with a version of PyTorch 2.

    python3 make2.py

Written with PyTorch 2.6.0 and 2.15.0 on Linux, which have the records of profiles 2.1 and
2.7. As make.py does, it writes a NAME.txt beside every NAME.pt.
"""

import argparse
import collections
import os
import re
import zlib

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "v" + "".join(re.match(r"(\d+)\.(\d+)", torch.__version__).groups())


def ramp(*shape, dtype=torch.float32):
    n = 1
    for d in shape:
        n *= d
    t = torch.arange(n * dtype.itemsize, dtype=torch.uint8) * 37 % 101 % (2 if dtype == torch.bool else 101)
    return t.view(dtype).reshape(shape)


def elements(t):
    return bytes(t.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).tolist())


class Net(torch.nn.Module):
    """A network with everything that a state dict leaves out or repeats."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.ReLU())
        self.again = self.inner[0]
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.register_parameter("none", None)
        self.register_buffer("kept", torch.arange(2.0))
        self.register_buffer("left", torch.ones(2), persistent=False)
        self.attribute = torch.full((2,), 3.0)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.arange(p.numel()).reshape(p.shape).mul(0.125))

    def forward(self, x):
        return self.inner(x) * self.scale + self.kept + self.left + self.attribute


def save(name, comment, obj, entries, expect="ok"):
    name = VERSION + "-" + name
    path = os.path.join(HERE, name + ".pt")
    if isinstance(obj, torch.export.ExportedProgram):
        for node in obj.graph.nodes:  # names files of the machine
            node.meta.pop("stack_trace", None)
        torch.export.save(obj, path + "2")
        entries = torch.export.load(path + "2").state_dict  # in the order of the file
        os.rename(path + "2", path)
    else:
        torch.save(obj, path)
    with open(os.path.join(HERE, name + ".txt"), "w") as f:
        f.write("# %s, by PyTorch %s\nexpect: %s\n" % (comment, torch.__version__.partition("+")[0], expect))
        for key, t in entries.items():
            f.write("%s %s %s %s %d %08x\n" % (
                key, str(t.dtype)[6:], str(list(t.shape)).replace(" ", ""), str(list(t.stride())).replace(" ", ""),
                t.storage_offset(), zlib.crc32(elements(t))))


def main():
    m = torch.nn.Sequential(collections.OrderedDict(
        conv=torch.nn.Conv2d(1, 2, 3), bn=torch.nn.BatchNorm2d(2), flat=torch.nn.Flatten(), fc=torch.nn.Linear(8, 3)))
    with torch.no_grad():
        for p in m.state_dict().values():
            p.copy_(torch.arange(p.numel()).reshape(p.shape).mul(0.125))
    save("plain", "model.state_dict() of a small network", m.state_dict(), m.state_dict())

    names = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32",
             "float64", "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
             "float8_e5m2fnuz", "float8_e8m0fnu"]
    types = collections.OrderedDict((n, ramp(2, 3, dtype=getattr(torch, n))) for n in names if hasattr(torch, n))
    types["scalar"], types["empty"] = torch.tensor(7), torch.zeros(0, 3)
    save("types", "every dtype, a scalar and an empty tensor", types, types)

    opt = torch.optim.Adam([{"params": m.conv.parameters(), "lr": 0.125}, {"params": m.fc.parameters()}], lr=0.25)
    sd = collections.OrderedDict((k, v.clone()) for k, v in m.state_dict().items())
    for p in m.parameters():
        p.grad = torch.ones_like(p)
    opt.step()
    save("wrapped", "a training script's dictionary", {"epoch": 3, "args": argparse.Namespace(lr=1e-3), "dtype": torch.float16,
                                                      "size": torch.Size([1, 2]), "state_dict": sd, "optimizer": opt.state_dict()}, sd)

    net = Net().eval()
    save("module", "a whole pickled module of a user's class", {"epoch": 1, "net": net}, net.state_dict(), "inert")
    program = torch.export.export(net, (torch.zeros(4, 3),))
    save("export", "a program of torch.export", program, None, "weights")

    base = torch.nn.Parameter(torch.arange(24.0).reshape(6, 4))
    views = collections.OrderedDict(base=base, tied=base, row=base[2].detach(), column=base.detach()[:, 1], transposed=base.detach().t())
    for i in range(12):  # more than ten storages: their order in the file is that of text or of use
        views["w%d" % i] = torch.full((2,), float(i))
    save("views", "ties, views and a parameter over more than ten storages", views, views)


main()
