"""Makes the golden checkpoints of this folder with PyTorch.

    /usr/bin/python3 make.py [FOLDER]

Written with PyTorch 1.13 (Debian 12, python3-torch). For every NAME.pt there
is a NAME.txt: a comment, what a reader is expected to make of the file (ok;
weights, if these are all that it can take; inert, if it must be told to let
unknown classes pass; unsupported), and one line per entry of the state dict as torch sees it: name,
dtype, shape, strides, offset, CRC-32 of the elements in C order as
little-endian bytes. Values come from a fixed formula, so that every run writes
the same bytes; only legacy.pt and script.pt hold memory addresses and source
positions.
"""

import argparse
import collections
import datetime
import os
import pathlib
import sys
import zipfile
import zlib

import numpy
import torch

HERE = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def ramp(*shape, dtype=torch.float32):
    """Numbers that every dtype can hold, no two neighbours alike."""
    n = 1
    for d in shape:
        n *= d
    t = (torch.arange(n) * 37 % 101) - (0 if dtype == torch.uint8 else 50)
    return t.to(torch.float32).div(1 if not dtype.is_floating_point else 8).to(dtype).reshape(shape)


def elements(t):
    """The elements in C order as little-endian bytes."""
    if t.numel() == 0:
        return b""
    t = t.detach().contiguous().clone()
    return bytes(torch.tensor([], dtype=torch.uint8).set_(t.storage().untyped()).tolist())


def save(name, comment, obj, entries=None, expect="ok"):
    path = os.path.join(HERE, name + ".pt")
    torch.save(obj, path)
    describe(name, comment, entries, expect)
    return path


def describe(name, comment, entries, expect="ok"):
    with open(os.path.join(HERE, name + ".txt"), "w") as f:
        f.write("# %s\nexpect: %s\n" % (comment, expect if entries else "unsupported"))
        for key, t in (entries or {}).items():
            f.write("%s %s %s %s %d %08x\n" % (
                key, str(t.dtype)[6:], str(list(t.shape)).replace(" ", ""), str(list(t.stride())).replace(" ", ""), t.storage_offset(), zlib.crc32(elements(t))))


def od(**kw):
    return collections.OrderedDict(kw)


def net():
    """A small network with batch normalisation, with fixed values."""
    m = torch.nn.Sequential(collections.OrderedDict(
        conv=torch.nn.Conv2d(1, 2, 3), bn=torch.nn.BatchNorm2d(2), flat=torch.nn.Flatten(), fc=torch.nn.Linear(8, 3)))
    for p in m.state_dict().values():
        p.copy_(ramp(*p.shape, dtype=p.dtype))
    return m


def main():
    sd = net().state_dict()
    save("plain", "model.state_dict() of a small network", sd, sd)

    dt = collections.OrderedDict((str(t)[6:], ramp(2, 3, dtype=t)) for t in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.float16, torch.bfloat16, torch.float32, torch.float64))
    dt["complex64"] = torch.complex(ramp(2), -ramp(2) / 2)
    dt["complex128"] = torch.complex(ramp(2, dtype=torch.float64), -ramp(2, dtype=torch.float64) / 2)
    dt["scalar"] = torch.tensor(7)
    dt["empty"] = torch.zeros(0, 3)
    save("dtypes", "every dtype that Lethe knows, a scalar and an empty tensor", dt, dt)

    base = ramp(6, 4)
    v = od(base=base, tied=base, row=base[2], column=base[:, 1], transposed=base.t(), inner=base[1:5:2, 1:3],
           expanded=ramp(3)[:, None].expand(3, 4), permuted=ramp(2, 3, 4).permute(2, 0, 1))
    save("views", "ties, offsets, strides, an expanded and a permuted tensor", v, v)

    par = od(weight=torch.nn.Parameter(ramp(2, 2)), bias=torch.nn.Parameter(ramp(2), requires_grad=False))
    par["buffer"] = ramp(2)
    par["buffer"].note = "a tensor with an attribute"
    save("parameters", "Parameter objects and a tensor with an attribute in a plain dict", dict(par), par)

    m = torch.nn.DataParallel(net())
    opt = torch.optim.Adam(m.parameters(), lr=1e-3)
    for p in m.parameters():
        p.grad = torch.ones_like(p)
    before = collections.OrderedDict((k, t.clone()) for k, t in m.state_dict().items())
    opt.step()
    save("wrapped", "a training script's dictionary with epoch, optimizer, arguments and a model in DataParallel",
         {"epoch": 3, "best": 0.5, "args": argparse.Namespace(lr=1e-3, layers=[1, 2], big=1 << 40, huge=-(1 << 80)),
          "classes": {"cat", "dog"}, "blob": b"\x00\xff", "rng": torch.arange(4, dtype=torch.uint8),
          "device": torch.device("cpu"), "counts": collections.Counter([1, 1]), "dtype": torch.float16,
          "size": torch.Size([1, 2]), "accuracy": numpy.float64(0.75), "loss": numpy.arange(3.0),
          "path": pathlib.PurePosixPath("runs") / "1", "started": datetime.datetime(2023, 1, 1),
          "hist": collections.defaultdict(list, a=[1]), "state_dict": before, "optimizer": opt.state_dict()}, before)

    many = collections.OrderedDict(("t%d" % i, t) for i, t in enumerate(ramp(120).unbind()))
    save("many", "120 scalars over one storage: memo indices beyond 255, SETITEMS in one batch", many, many)

    one = od(w=ramp(2))
    save("one", "a single entry: SETITEM without MARK", one, one)

    save("module", "a whole pickled module", net(), sd, "inert")
    save("tensor", "a tensor alone", ramp(3), {"0": ramp(3)})
    save("two", "two state dicts: which one is meant?", {"model": sd, "ema": {"shadow": dict(sd)}})
    save("list", "a list of tensors", [ramp(2), ramp(3)], {"0": ramp(2), "1": ramp(3)})
    save("sparse", "a sparse tensor", od(w=ramp(2, 2).to_sparse()))
    save("quantized", "a quantized tensor", od(w=torch.quantize_per_tensor(ramp(4), 0.1, 0, torch.qint8)))

    # What big-endian machines and torch >= 2.1 write: a record that names the
    # byte order. The records go through PyTorch's own archive writer.
    path = os.path.join(HERE, "dtypes.pt")
    unit = {"complex64": 4, "complex128": 8}
    units = [unit.get(k, t.element_size()) for k, t in dt.items()]  # storage keys count in this order
    for order in ("little", "big"):
        out = os.path.join(HERE, order + ".pt")
        with zipfile.ZipFile(path) as z:
            w = torch._C.PyTorchFileWriter(out)
            write = lambda name, b: w.write_record(name, b, len(b))
            write("data.pkl", z.read("dtypes/data.pkl"))
            write("byteorder", order.encode())
            for name in z.namelist():
                record = name.partition("/")[2]
                if record.startswith("data/"):
                    b = z.read(name)
                    if order == "big":
                        u = units[int(record[5:])]
                        b = b"".join(b[i:i + u][::-1] for i in range(0, len(b), u))
                    write(record, b)
            w.write_end_of_file()
        describe(order, "dtypes.pt with a byteorder record: " + order, dt)

    torch.save(sd, os.path.join(HERE, "legacy.pt"), _use_new_zipfile_serialization=False)
    describe("legacy", "the format before torch 1.6", sd)
    every = collections.OrderedDict(list(dt.items()) + list(v.items()) + list(par.items()))
    tree = {"epoch": 3, "args": argparse.Namespace(lr=1e-3), "accuracy": numpy.float64(0.75), "model": every, "optimizer": opt.state_dict()}
    save("tree", "every dtype, views, ties and parameters in a training script's dictionary", tree, every)
    torch.save(tree, os.path.join(HERE, "legacytree.pt"), _use_new_zipfile_serialization=False)
    describe("legacytree", "tree.pt in the format before torch 1.6", every)
    torch.save(sd, os.path.join(HERE, "protocol4.pt"), pickle_protocol=4)
    describe("protocol4", "pickle protocol 4", sd)
    kinds = {"model": sd, "bytes": [b"\x00\xff", b"ab", b""], "bytearray": [bytearray(b"\x00\xff"), bytearray()],
             "set": {1}, "empty": set(), "numbers": [-1, 1 << 40, -(1 << 80), 0.5], "long": "x" * 300, "again": sd}
    save("kinds", "what protocols 3 to 5 write otherwise than protocol 2", kinds, sd)
    for protocol in (3, 5):
        torch.save(kinds, os.path.join(HERE, "protocol%d.pt" % protocol), pickle_protocol=protocol)
        describe("protocol%d" % protocol, "kinds.pt in pickle protocol %d" % protocol, sd)
    script = torch.jit.script(net())
    script.save(os.path.join(HERE, "script.pt"))
    describe("script", "a TorchScript module", script.state_dict(), "weights")


main()
