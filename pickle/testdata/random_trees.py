"""Random objects for the differential test.

    random_trees.py make DIR COUNT    torch.save of COUNT objects, DIR/N.pt; those that hold
                                      the state dict under the key "model" are DIR/N.model.pt
    random_trees.py again IN OUT      torch.save of what torch.load reads in IN
    random_trees.py same DIR          that torch.load reads the same in DIR/X.pt and DIR/X.out

The seed is fixed; what is saved depends on the version of torch alone.
"""

import argparse
import collections
import datetime
import glob
import inspect
import os
import pathlib
import random
import sys

import numpy
import torch

torch.set_num_threads(1)
DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64, torch.complex64, torch.complex128]
NEW = [getattr(torch, n) for n in ("uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e4m3fnuz",
                                   "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu") if hasattr(torch, n)]
if not hasattr(torch, "uint16"):  # torch 1.13 has complex32, but no storage class for it
    NEW = []
WORDS = ["storage", "cpu", "version", "_metadata", "weight", "bias", "a", "b", "\u00e9", "\u4e2d", "", "running_mean"]


def tensor(r, pool):
    if pool and r.random() < 0.3:  # a tie, or a view
        t = r.choice(pool)
        if t.dim() > 0 and t.numel() > 0:
            kind = r.randrange(5)
            if kind == 1:
                t = t[r.randrange(t.shape[0]):]
            elif kind == 2:
                t = t.transpose(0, -1)
            elif kind == 3:
                t = t[..., ::2]
            elif kind == 4:
                t = t.detach()
        return t
    dtype = r.choice(DTYPES + NEW)
    shape = [r.choice([0, 1, 2, 3, 5]) for _ in range(r.randrange(4))]
    t = (torch.arange(int(numpy.prod(shape, dtype=int)) * 16, dtype=torch.uint8) * r.randrange(1, 255)) % 2
    size = torch.empty([], dtype=dtype).element_size()
    t = t[:t.numel() // 16 * size].view(dtype).reshape(shape)
    if r.random() < 0.1 and dtype == torch.float32:
        t = t[None].expand(3, *shape)
    if r.random() < 0.2 and dtype in (torch.float32, torch.float16):
        t = torch.nn.Parameter(t, requires_grad=r.random() < 0.5)
    elif r.random() < 0.05 and dtype == torch.float32:
        t.note = r.choice(WORDS)
    pool.append(t)
    return t


def scalar(r):
    return r.choice([
        lambda: None, lambda: True, lambda: False, lambda: r.randrange(-300, 300), lambda: r.choice([255, 256, 65535, 65536, -1, -129]),
        lambda: r.choice([-1, 1]) * (1 << r.randrange(200)), lambda: 1 << 2100, lambda: r.random(), lambda: float("nan"), lambda: -0.0,
        lambda: r.choice(WORDS), lambda: "".join(r.choice(WORDS) for _ in range(r.randrange(4))), lambda: bytes(r.randrange(256) for _ in range(r.randrange(5))),
        lambda: bytearray(b"\x00\xff"[:r.randrange(3)]), lambda: complex(r.random(), -1), lambda: r.choice(DTYPES),
        lambda: torch.device("cpu"), lambda: torch.device("cuda", 1), lambda: torch.Size([r.randrange(3) for _ in range(r.randrange(3))]),
        lambda: numpy.float64(r.random()), lambda: numpy.float32(1), lambda: numpy.int64(7), lambda: datetime.datetime(2020, 1, r.randrange(1, 28)),
        lambda: pathlib.PurePosixPath("a") / "b", lambda: numpy.arange(r.randrange(4))])()


def tree(r, pool, seen, depth):
    kind = r.randrange(12) if depth else 0
    if kind == 1:
        v = [tree(r, pool, seen, depth - 1) for _ in range(r.choice([0, 1, 2, 3, 4]))]
    elif kind == 2:
        v = tuple(tree(r, pool, seen, depth - 1) for _ in range(r.randrange(6)))
    elif kind == 3:
        v = {key(r): tree(r, pool, seen, depth - 1) for _ in range(r.randrange(4))}
    elif kind == 4:
        v = collections.OrderedDict((key(r), tree(r, pool, seen, depth - 1)) for _ in range(r.randrange(4)))
    elif kind == 5:
        v = argparse.Namespace(lr=scalar(r), weight=tree(r, pool, seen, depth - 1))
    elif kind == 6:
        v = {r.randrange(9) for _ in range(r.randrange(3))}
    elif kind == 7:
        v = collections.defaultdict(list, {key(r): tree(r, pool, seen, depth - 1)})
    elif kind == 8:
        v = collections.Counter(str(r.randrange(3)) for _ in range(4))
    elif kind == 9 and seen:
        v = r.choice(seen)
    elif kind == 10:
        v = tensor(r, pool)
    elif kind == 11:
        v = frozenset(r.randrange(9) for _ in range(r.randrange(3)))
    else:
        v = scalar(r)
    seen.append(v)
    return v


def key(r):
    return r.choice([r.choice(WORDS), str(r.randrange(100)), r.randrange(3), (1, "x")])


def state_dict(r, pool):
    n = r.choice([1, 2, 3, 5, 20]) if r.random() < 0.95 else r.choice([999, 1000, 1001, 1999, 2000, 2001])
    name = (lambda i: r.choice(["l%d.weight", "module.b%d.bias", "%d"]) % i) if n > 5 or r.random() < 0.8 else (lambda i: WORDS[i])
    items = [(name(i), tensor(r, pool)) for i in range(n)]
    if r.random() < 0.3:
        return dict(items)
    d = collections.OrderedDict(items)
    if r.random() < 0.7:
        d._metadata = collections.OrderedDict((m, {"version": r.choice([1, 2, 3])}) for m in ("", "a", "layer", "storage"))
    return d


def module(r):
    m = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    opt = r.choice([torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])(
        [{"params": m[0].parameters(), "lr": 0.1}, {"params": list(m[1:].parameters())}], lr=0.01)
    for p in m.parameters():
        p.grad = torch.ones_like(p)
    opt.step()
    return m.state_dict(), opt.state_dict()


def make(folder, count):
    torch.manual_seed(5)
    for i in range(count):
        r = random.Random(i)
        pool = []
        if i % 10 == 9:
            sd, opt = module(r)
            obj = {"model": sd, "optimizer": opt, "epoch": i, "args": argparse.Namespace(lr=0.1)}
        elif i % 2:
            sd = state_dict(r, pool)
            obj = {"model": sd, "extra": tree(r, pool, [], 4), "more": [tree(r, pool, [sd], 3) for _ in range(5)]}
        else:
            obj = state_dict(r, pool)
        torch.save(obj, os.path.join(folder, "%d%s.pt" % (i, ".model" if i % 2 else "")))


def load(path):
    args = {"map_location": "cpu"}
    if "weights_only" in inspect.signature(torch.load).parameters:
        args["weights_only"] = False
    return torch.load(path, **args)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        raw = lambda t: t.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8)
        return a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and a.requires_grad == b.requires_grad and (
            a.numel() == 0 or torch.equal(raw(a), raw(b)))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items())) and same(getattr(a, "__dict__", None), getattr(b, "__dict__", None))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, argparse.Namespace):
        return same(vars(a), vars(b))
    return repr(a) == repr(b)


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]))
elif sys.argv[1] == "again":
    torch.save(load(sys.argv[2]), sys.argv[3])
else:
    n = 0
    for path in glob.glob(os.path.join(sys.argv[2], "*.pt")):
        if not same(load(path), load(path[:-3] + ".out")):
            sys.exit("%s and %s.out differ" % (path, path[:-3]))
        n += 1
    print(n)
