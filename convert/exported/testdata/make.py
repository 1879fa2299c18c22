"""Writes golden.json: what PyTorch computes for the programs in this folder, which torch.export.save of five versions wrote.

usage: make.py (torch 2.8 or later)

Inputs are not stored. Element i of an input is (i*7919 % 1000)/500 - 1 if it is a real number, and i*31 % 29 + 1 if it is
an integer; a mask is 1 but for the second half of the first row. Batches have 3 samples, which no program was exported with.
torch does not load programs of versions before 2.6 and does not run those with a fixed batch on another one, so their
networks are built again, with the weights of the file.
"""
import glob, io, json, os, sys, warnings, zipfile

warnings.filterwarnings("ignore")
import logging

logging.disable(logging.WARNING)
import torch, torch.nn as nn

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "..", "internal", "bench", "conversion"))
import make_kinds, models


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight
        self.register_buffer("scale", torch.full((4,), 2.0))
        self.register_buffer("tmp", torch.arange(4.0), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("view0", torch.zeros(4, 4))
        self.register_buffer("view1", torch.zeros(4, 4))
        self.k = torch.tensor([1.0, 2.0, 3.0, 4.0])

    def forward(self, x):
        y = self.b(self.a(x) * self.scale) + self.tmp + self.k + torch.tensor([0.5, 0.25, 0.125, 1.0])
        y = y @ self.view0 + y @ self.view1
        a, b = y.chunk(2, dim=1)
        return {"sum": a + b, "pair": (a, b.to(torch.float64)), "mean": y.mean(dim=[1], keepdim=True)}


def values(shape, integers, mask):
    n = torch.arange(torch.Size(shape).numel())
    if mask:
        x = torch.ones(n.numel(), dtype=torch.long)
        x[shape[1] // 2 : shape[1]] = 0
    else:
        x = n * 31 % 29 + 1 if integers else ((n * 7919 % 1000).float() / 500 - 1)
    return x.reshape(shape)


def plain(name):
    name = name.removeprefix("getattr_")
    name = name.removeprefix("L__self___").replace("___", ".") if name.startswith("L__self___") else name
    return name.removeprefix("self_")


def rebuilt(path, kind):
    with zipfile.ZipFile(path) as z:
        inner = [n for n in z.namelist() if n.startswith("serialized_state_dict")]
        state = torch.load(io.BytesIO(z.read(inner[0])), weights_only=True) if inner else torch.export.load(path).state_dict
    make = {"odd": Odd, "lstm": models.Sequence, "mlp": lambda: models.common("mlp")[0], "gpt": models.GPT}[kind]
    model = make()
    missing = model.load_state_dict({plain(k): v for k, v in state.items() if plain(k) not in ("tmp", "k")}, strict=False)
    assert not missing.unexpected_keys, missing
    return model.eval()


golden = {}
for path in sorted(glob.glob(os.path.join(here, "*.pt2"))):
    name = os.path.basename(path)
    _, version, kind = name[: -len(".pt2")].split("-")
    what = kind.split("_")[0]
    if kind in ("lenet_train", "lenet_bf16"):
        continue
    if what in make_kinds.KINDS:
        kind, shape = make_kinds.KINDS[what]
        with torch.no_grad():
            outputs = make_kinds.made(kind)(values([3] + shape, what == "bags", False))
        golden[name] = [{"shape": list(o.shape), "values": [float("%.8g" % x) for x in o.flatten().tolist()]} for o in outputs]
        continue
    again = version in ("2.1", "2.5") or not kind.endswith("_dynamic")
    model = rebuilt(path, what) if again else torch.export.load(path).module()
    shape = {"odd": [4], "lstm": [12], "mlp": [8, 8], "gpt": [12], "lenet": [1, 28, 28], "bert": [12]}[what]
    args = [values([3] + shape, what in ("lstm", "gpt", "bert"), False)]
    if what == "bert":
        args.append(values([3] + shape, True, True))
    with torch.no_grad():
        outputs = torch.utils._pytree.tree_flatten(model(*args))[0]
    golden[name] = [{"shape": list(o.shape), "values": [float("%.8g" % x) for x in o.flatten().tolist()]} for o in outputs]
with open(os.path.join(here, "golden.json"), "w") as f:
    f.write("{\n" + ",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in golden.items()) + "\n}\n")
