"""Makes checkpoints of kinds that people have and that torch.save does not write by default.

    /usr/bin/python3 field.py [FOLDER]

Written with PyTorch 1.13 (Debian 12, python3-torch). Files of Python 2 and of PyTorch before 0.4 are
assembled by hand, and torch must load them. For every NAME.pt there is a NAME.txt as make.py writes it;
where a file is of a form that torch does not write any more, NAME-again.pt is what torch.save makes of
the object that it loads.
"""

import argparse
import collections
import inspect
import io
import os
import struct
import sys
import tarfile
import types

sys.argv = sys.argv[:1] + [sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import importlib.util

import numpy
import torch

HERE = sys.argv[1]


def helpers():
    """describe and ramp of make.py, which does its work when it is imported: into a folder of its own."""
    import tempfile
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make.py")
    with tempfile.TemporaryDirectory() as d:
        sys.argv[1] = d
        spec = importlib.util.spec_from_file_location("make", path)
        m = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(m)
    m.HERE = HERE
    sys.argv[1] = HERE
    return m


make = helpers()
ramp = make.ramp


def write(name, content):
    with open(os.path.join(HERE, name + ".pt"), "wb") as f:
        f.write(content)


def again(name, **kw):
    """What torch makes of a file today; returns the object."""
    obj = torch.load(os.path.join(HERE, name + ".pt"), **kw)
    torch.save(obj, os.path.join(HERE, name + "-again.pt"))
    return obj


def weights():
    od = collections.OrderedDict()
    od["conv.weight"] = ramp(2, 3)
    od["conv.bias"] = ramp(2, dtype=torch.float64)
    od["steps"] = torch.tensor(7)
    return od


def old(protocol):
    f = io.BytesIO()
    torch.save({"state_dict": weights(), "epoch": 3, "big": 1 << 40, "half": 0.5, "text": "ä\n\\u", "none": (None, True)}, f, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    return f.getvalue()


for protocol in (1, 2, 3, 4, 5):
    name = "old%d" % protocol
    write(name, old(protocol))
    make.describe(name, "the format before 1.6 at protocol %d" % protocol, again(name)["state_dict"])

f = io.BytesIO()
torch.save({"state_dict": weights(), "n": {1: 2}, "args": argparse.Namespace(lr=0.1, k={3}, f=b"\xff")}, f, pickle_protocol=1)
write("zip1", f.getvalue())
make.describe("zip1", "a zip archive at protocol 1", again("zip1")["state_dict"])

make.save("harmless", "metadata that is known and does nothing", {
    "state_dict": weights(), "dd": collections.defaultdict(int, a=1), "classes": [int, str, float, object, range], "range": range(3), "slice": slice(1, 2),
    "dots": ..., "ni": NotImplemented, "ns": types.SimpleNamespace(a=1), "empty": inspect._empty, "deque": collections.deque([1, 2], 5),
    "counter": collections.Counter("aab"), "frozen": frozenset([1])}, weights())
make.save("intkeys", "numbers as names", {0: ramp(2), 1: ramp(3), 10: ramp(1)}, {"0": ramp(2), "1": ramp(3), "10": ramp(1)})
make.save("insidelist", "a state dict in a list in a tuple", (3, [weights(), "x"]), weights())
sd = weights()
sd["stats"] = {"mean": ramp(3)}
make.save("stats", "a dictionary of tensors inside a state dict", sd, weights())
sd = weights()
sd["_extra_state"] = {"a": ramp(1), "b": ramp(2)}
sd["conv._extra_state"] = ramp(4)
make.save("extra", "extra states, of which one is a tensor", sd, collections.OrderedDict(list(weights().items()) + [("conv._extra_state", ramp(4))]))

# C++ writes dictionaries with the type beside them.
write("cpp", open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cpp.pt"), "rb").read())
make.describe("cpp", "a Dict[str, Tensor] as torch::pickle_save of C++ writes it", again("cpp"))


class Frozen(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.l = torch.nn.Linear(3, 2)
        with torch.no_grad():
            self.l.weight.copy_(ramp(2, 3))
            self.l.bias.copy_(ramp(2))

    def forward(self, x):
        return self.l(x)


frozen = torch.jit.freeze(torch.jit.script(Frozen().eval()))
torch.jit.save(frozen, os.path.join(HERE, "frozen.pt"))
make.describe("frozen", "frozen TorchScript: its weights are constants", {"CONSTANTS.c0": ramp(2, 3), "CONSTANTS.c1": ramp(2)}, "weights")

make.save("arrays", "a dictionary of numpy arrays", {
    "params": {"w": ramp(2, 3).numpy(), "f": numpy.asfortranarray(ramp(3, 2).numpy()), "i": numpy.arange(4), "big": ramp(3).numpy().astype(">f4"), "z": numpy.array(0.5)},
    "step": 3}, {"w": ramp(2, 3), "f": torch.from_numpy(numpy.asfortranarray(ramp(3, 2).numpy())), "i": torch.arange(4), "big": ramp(3), "z": torch.tensor(0.5, dtype=torch.float64)}, "arrays")


# Python 2, by hand: cPickle counts its memo from 1, strings are bytes, an OrderedDict is made of a list of lists.
class P2:
    def __init__(self):
        self.b, self.n = b"\x80\x02", 0

    def put(self):
        self.n += 1
        self.b += b"q" + bytes([self.n])
        return self

    def s(self, text):
        self.b += b"U" + bytes([len(text)]) + text
        return self.put()

    def op(self, *codes):
        for c in codes:
            self.b += c
        return self

    def g(self, module, name):
        return self.op(b"c" + module + b"\n" + name + b"\n").put()

    def tensor(self, cls, key, shape, stride):
        n = 1
        for d in shape:
            n *= d
        self.g(b"torch._utils", b"_rebuild_tensor_v2").op(b"((").s(b"storage").g(b"torch", cls).s(key).s(b"cpu").op(b"\x8a\x01" + bytes([n]), b"NtQK\x00(")
        for d in shape:
            self.op(b"K" + bytes([d]))
        self.op(b"t(")
        for d in stride:
            self.op(b"K" + bytes([d]))
        return self.op(b"t\x89").g(b"collections", b"OrderedDict").op(b"]").put().op(b"\x85R").put().op(b"tR").put()


def python2():
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    version = b"\x80\x02M\xe9\x03."
    machine = P2().op(b"}").put().op(b"(").s(b"little_endian").op(b"\x88u.").b
    o = P2().op(b"}").put().op(b"(").s(b"state_dict").g(b"collections", b"OrderedDict").op(b"]").put().op(b"(")
    o.op(b"]").put().op(b"(").s(b"a.weight").tensor(b"FloatStorage", b"11", (2, 3), (3, 1)).op(b"e")
    o.op(b"]").put().op(b"(").s(b"a.bias").tensor(b"LongStorage", b"12", (2,), (1,)).op(b"e")
    o.op(b"e\x85R").put()
    o.s(b"epoch").op(b"K\x07").s(b"name").s(b"caf\xc3\xa9").s(b"kinds").op(b"]").put().op(b"(").g(b"__builtin__", b"int").g(b"__builtin__", b"unicode").op(b"e").op(b"u.")
    keys = P2().op(b"]").put().op(b"(").s(b"11").s(b"12").op(b"e.").b
    data = struct.pack("<q6f", 6, *range(6)) + struct.pack("<q2q", 2, 8, 9)
    return magic + version + machine + o.b + keys + data


write("python2", python2())
make.describe("python2", "a file of Python 2", again("python2")["state_dict"])


# PyTorch before 0.4: a tar archive of storages, tensors and the pickle that refers to them by numbers.
def tar():
    import pickle
    storages = io.BytesIO()
    pickle.dump(2, storages, 2)
    for key, cls, values, form in ((101, torch.FloatStorage, [float(i) for i in range(6)], "<q6f"), (102, torch.LongStorage, [4, 5], "<q2q")):
        pickle.dump((key, "cpu", cls), storages, 2)
        storages.write(struct.pack(form, len(values), *values))
    pickle.dump([(103, 101, 2, 3)], storages, 2)
    tensors = io.BytesIO()
    pickle.dump(3, tensors, 2)
    for key, storage, cls, size, stride, offset in ((1, 101, torch.FloatTensor, (2, 3), (3, 1), 0), (2, 102, torch.LongTensor, (2,), (1,), 0), (3, 103, torch.FloatTensor, (2,), (1,), 1)):
        pickle.dump((key, storage, cls), tensors, 2)
        tensors.write(struct.pack("<ii", len(size), 0) + struct.pack("<%dq" % len(size), *size) + struct.pack("<%dq" % len(size), *stride) + struct.pack("<q", offset))

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return str(obj[1]) if isinstance(obj, tuple) and obj and obj[0] == "tensor" else None

    obj = io.BytesIO()
    Pickler(obj, 2).dump({"state_dict": collections.OrderedDict([("a", ("tensor", 1)), ("b", ("tensor", 2)), ("part", ("tensor", 3)), ("tied", ("tensor", 1))]), "epoch": 2})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as t:
        for name, content in (("sys_info", pickle.dumps({"protocol_version": 1000, "little_endian": True, "type_sizes": {}}, 2)), ("pickle", obj.getvalue()), ("tensors", tensors.getvalue()), ("storages", storages.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return out.getvalue()


write("tar", tar())
make.describe("tar", "the format of PyTorch before 0.4", again("tar")["state_dict"])
