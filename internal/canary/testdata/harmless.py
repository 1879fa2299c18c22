"""Writes harmless files as training scripts write them, with random shapes.

    harmless.py FOLDER COUNT SEED

No file has anything in it that its loader would run beside the constructors of
the classes that it names. The names of the files begin with what they are.
"""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import os
import pathlib
import pickle
import random
import sys
import types
import typing
import uuid
import warnings

warnings.filterwarnings("ignore")
import numpy as np
import torch
from torch import nn

NEW = hasattr(torch, "uint16")


class Foreign:
    """Makes classes in modules that are not installed, as pickles of other people name them."""

    def __getattr__(self, path):
        module, _, name = path.rpartition(".")
        for i in range(1, module.count(".") + 2):
            part = ".".join(module.split(".")[:i])
            sys.modules.setdefault(part, types.ModuleType(part))
        found = getattr(sys.modules[module], name, None)
        if found is None:
            found = type(name, (), {"__module__": module, "__init__": lambda self, **k: self.__dict__.update(k)})
            setattr(sys.modules[module], name, found)
        return found


foreign = Foreign()


class Kind(enum.Enum):
    TRAIN = 1
    TEST = 2


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Config:
    width: int = 3
    names: list = dataclasses.field(default_factory=list)


class Net(nn.Module):
    def __init__(self, width=4, act=torch.relu):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1))
        self.head = nn.Linear(width, 10)
        self.act = act

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class Script(nn.Module):
    """What torch.jit.script takes."""

    def __init__(self, width):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, 10)
        self.register_buffer("mean", torch.tensor([0.5]))
        self.sizes = [1, 2, 3]
        self.names: typing.Dict[str, int] = {"a": 1, "b": 2}

    def forward(self, x):
        if x.dim() == 3:
            x = x.unsqueeze(0)
        return self.head((self.features(x) - self.mean).mean((2, 3)))


def net(r):
    w = r.randint(1, 8)
    return r.choice([
        lambda: Net(w),
        lambda: nn.Sequential(nn.Linear(w, 3), nn.GELU(), nn.LayerNorm(3)),
        lambda: nn.LSTM(w, 3, 2, bidirectional=r.random() < 0.5),
        lambda: nn.TransformerEncoderLayer(4, 2, 8),
        lambda: nn.Sequential(nn.Embedding(w, 3), nn.MultiheadAttention(4, 2)),
        lambda: nn.ModuleDict({"a": nn.ConvTranspose1d(w, 2, 3), "b": nn.ParameterList([nn.Parameter(torch.randn(w))])}),
        lambda: nn.utils.spectral_norm(nn.Linear(w, 2)),
    ])()


def optimizer(r, parameters):
    parameters = list(parameters)
    o = r.choice([
        lambda: torch.optim.SGD(parameters, 0.1, momentum=0.9, nesterov=True),
        lambda: torch.optim.Adam(parameters, amsgrad=True),
        lambda: torch.optim.AdamW([{"params": parameters[:1], "lr": 0.1}, {"params": parameters[1:]}]),
        lambda: torch.optim.RMSprop(parameters, centered=True),
        lambda: torch.optim.Adagrad(parameters),
        lambda: torch.optim.RAdam(parameters),
    ])()
    for p in parameters:
        p.grad = torch.randn_like(p)
    o.step()
    return o


def scheduler(r, o):
    lr = torch.optim.lr_scheduler
    return r.choice([
        lambda: lr.StepLR(o, 3),
        lambda: lr.MultiStepLR(o, [3, 7, 7]),
        lambda: lr.CosineAnnealingLR(o, 10),
        lambda: lr.CosineAnnealingWarmRestarts(o, 5),
        lambda: lr.OneCycleLR(o, 0.1, total_steps=10, cycle_momentum=False),
        lambda: lr.LambdaLR(o, lambda e: 0.9**e),
        lambda: lr.ReduceLROnPlateau(o),
        lambda: lr.SequentialLR(o, [lr.ConstantLR(o), lr.ExponentialLR(o, 0.9)], [2]),
    ])().state_dict()


def tensors(r):
    out = {}
    for i in range(r.randint(1, 5)):
        shape = [r.randint(0, 4) for _ in range(r.randint(0, 4))]
        dtype = r.choice([torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64]
                         + ([torch.uint16, torch.float8_e4m3fn] if NEW else []))
        out[f"t{i}"] = torch.zeros(shape).to(dtype)
    x = torch.randn(r.randint(2, 6), 4)
    out.update(r.choice([
        {"view": x[1:], "transposed": x.t(), "expanded": x[:1].expand(5, 4)},
        {"a": x, "tied": x},
        {"sparse": x.to_sparse(), "csr": x.to_sparse_csr()},
        {"quantized": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)},
        {"channels": torch.quantize_per_channel(x, torch.ones(4), torch.zeros(4), 1, torch.quint8)},
        {"parameter": nn.Parameter(x), "gradient": x.clone().requires_grad_()},
        {"conjugate": torch.randn(3, dtype=torch.complex64).conj()},
        {"storage": x.storage() if not NEW else x.untyped_storage()},
        {"parameter with a state": tagged(x)},
        {"channels last": torch.randn(1, 2, 3, 4).to(memory_format=torch.channels_last)},
    ]))
    return out


def tagged(x):
    p = nn.Parameter(x)
    p.group = "head"
    return p


def values(r):
    """What people put beside weights."""
    names = [f"class {i}" for i in range(r.randint(0, 20))]
    return r.choice([
        lambda: {"epoch": r.randint(0, 300), "loss": r.random(), "best": float("inf"), "none": None, "big": 2**70, "text": "größe ✓" * r.randint(1, 99)},
        lambda: argparse.Namespace(lr=0.1, data=pathlib.Path("data"), names=names, device=torch.device("cpu"), nested=argparse.Namespace(a=1)),
        lambda: types.SimpleNamespace(lr=0.1, names=names),
        lambda: collections.defaultdict(r.choice([int, list, dict, float, set, str]), {"a": r.choice([1, 2])}),
        lambda: collections.Counter("abracadabra"),
        lambda: collections.deque(names, maxlen=30),
        lambda: collections.OrderedDict((n, i) for i, n in enumerate(names)),
        lambda: {"when": datetime.datetime.now(), "utc": datetime.datetime.now(datetime.timezone.utc), "took": datetime.timedelta(1, 2), "day": datetime.date(2024, 1, 2), "at": datetime.time(3)},
        lambda: {"path": pathlib.Path("/data") / "x", "pure": pathlib.PurePosixPath("a"), "windows": pathlib.PureWindowsPath("c:/a")},
        lambda: {"id": uuid.uuid4(), "price": decimal.Decimal("1.5"), "part": fractions.Fraction(1, 3), "z": 1 + 2j},
        lambda: {"set": {1, 2}, "frozen": frozenset("ab"), "range": range(3), "slice": slice(1, None), "dots": ..., "bytes": b"\x00\xff" * 9, "array": bytearray(b"xyz"), "tuple": (1, (2, (3,)))},
        lambda: {"mean": np.float64(r.random()), "count": np.int64(3), "flag": np.bool_(True), "half": np.float16(1), "text": np.str_("x"), "when": np.datetime64("2024-01-01")},
        lambda: {"array": np.random.rand(r.randint(0, 5), 3), "labels": np.array(names), "fortran": np.asfortranarray(np.ones((2, 3), np.float32)), "zero": np.array(1), "dtype": np.dtype("float32")},
        lambda: {"record": np.zeros(2, [("a", "<f4"), ("b", "<i8")]), "masked": np.ma.masked_array([1, 2, 3], [0, 1, 0])},
        lambda: {"objects": np.array(["a", None, 3], dtype=object)},
        lambda: {"rng": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()},
        lambda: {"state": np.random.RandomState(3), "generator": np.random.default_rng(3), "random": random.Random(3)},
        lambda: {"size": torch.Size([1, 2]), "dtype": torch.float16, "device": torch.device("cuda:0"), "layout": torch.strided, "info": r.choice([torch.int8, torch.bfloat16])},
        lambda: {"kind": Kind.TEST, "point": Point(1, 2), "config": Config(5, names)},
        lambda: {"scaler": {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 17}},
        lambda: {"version": torch.__version__, "python": sys.version},
        lambda: {"norm": functools.partial(nn.LayerNorm, eps=1e-6), "act": nn.GELU, "loss": nn.CrossEntropyLoss()},
        lambda: {"act": torch.nn.functional.relu, "gelu": torch.nn.functional.gelu, "tanh": torch.tanh},
        lambda: omegaconf(r),
        lambda: {"tokens": {f"word{i}": i for i in range(r.randint(1, 3000))}, "matrix": [[r.random() for _ in range(9)] for _ in range(r.randint(1, 200))]},
        lambda: np.random.rand(r.randint(1, 9)).tolist(),
    ])()


def omegaconf(r):
    """The tree that OmegaConf pickles."""
    make = lambda path, **k: getattr(foreign, path)(**k)
    meta = lambda: make("omegaconf.base.ContainerMetadata", ref_type=typing.Any, object_type=dict, optional=True, key=None, flags={}, flags_root=False,
                        resolver_cache=collections.defaultdict(dict), key_type=typing.Any, element_type=typing.Any)
    node = lambda v: make("omegaconf.nodes.AnyNode", _parent=None, _metadata=make("omegaconf.base.Metadata", ref_type=typing.Any, optional=True), _val=v)
    inner = make("omegaconf.dictconfig.DictConfig", _metadata=meta(), _parent=None, _content={"width": node(r.randint(1, 9)), "name": node("x")})
    return make("omegaconf.dictconfig.DictConfig", _metadata=meta(), _parent=None, _content={"model": inner, "lr": node(0.1)})


def lightning(r):
    m = net(r)
    o = optimizer(r, m.parameters())
    return {
        "epoch": r.randint(0, 9), "global_step": r.randint(0, 999), "pytorch-lightning_version": "2.1.0",
        "state_dict": collections.OrderedDict(("model." + k, v) for k, v in m.state_dict().items()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1, "completed": 0}, "current": {"ready": 1}}, "epoch_loop.batch_progress": {"is_last_batch": True}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min'}": {"best_model_score": torch.tensor(0.1), "best_model_path": "/x/y.ckpt", "best_k_models": {"/x/y.ckpt": torch.tensor(0.1)}},
                      **({getattr(foreign, "pytorch_lightning.callbacks.early_stopping.EarlyStopping"): {"wait_count": 0, "patience": 3}} if r.random() < 0.3 else {})},
        "optimizer_states": [o.state_dict()], "lr_schedulers": [scheduler(r, o)],
        "hparams_name": "kwargs", "hyper_parameters": r.choice([{"lr": 0.1, "path": pathlib.Path("x")}, attributes(), values(r)]),
    }


class AttributeDict(dict):
    pass


def attributes():
    getattr(foreign, "pytorch_lightning.utilities.parsing.X")
    AttributeDict.__module__ = "pytorch_lightning.utilities.parsing"
    sys.modules["pytorch_lightning.utilities.parsing"].AttributeDict = AttributeDict
    return AttributeDict(lr=0.1, layers=[1, 2])


def ultralytics(r):
    m = net(r)
    return {"date": datetime.datetime.now().isoformat(), "version": "8.3.0", "license": "AGPL-3.0", "docs": "https://docs.ultralytics.com", "epoch": -1, "best_fitness": np.float64(0.3),
            "model": None, "ema": m.half() if r.random() < 0.7 else m.state_dict(), "updates": r.randint(0, 9999), "optimizer": None, "train_args": {"task": "detect", "imgsz": 640, "names": {i: str(i) for i in range(80)}},
            "train_metrics": {"metrics/mAP50(B)": np.float64(0.5), "fitness": np.float64(0.4)}, "train_results": {"epoch": [1, 2], "time": [0.1, 0.2]}}


def timm(r):
    m = net(r)
    o = optimizer(r, m.parameters())
    ema = torch.optim.swa_utils.AveragedModel(m)
    return {"epoch": r.randint(0, 300), "arch": "resnet50", "state_dict": m.state_dict(), "optimizer": o.state_dict(), "version": 2,
            "args": argparse.Namespace(lr=0.1, data_dir=pathlib.Path("/data"), mean=None, aug_splits=0, interpolation="", img_size=[224]),
            "amp_scaler": {"scale": 1024.0, "growth_tracker": 3}, "state_dict_ema": ema.state_dict(), "metric": r.random()}


def detectron(r):
    return {"model": {k: v.numpy() for k, v in net(r).state_dict().items()}, "__author__": "MMDet", "matching_heuristics": True}


def script(r, path):
    m = Script(r.randint(1, 6)).eval()
    x = torch.randn(1, 1, 8, 8)
    s = r.choice([lambda: torch.jit.script(m), lambda: torch.jit.trace(m, x), lambda: torch.jit.freeze(torch.jit.script(m)), lambda: torch.jit.script(nn.GRU(2, 3))])()
    s.save(path, _extra_files=r.choice([{}, {"labels.txt": "cat\ndog\n"}]))


def exported(r, path):
    m = Script(r.randint(1, 6)).eval()
    dims = r.choice([None, ({0: torch.export.Dim("batch", min=2)},)])
    p = torch.export.export(m, (torch.randn(3, 1, 8, 8),), dynamic_shapes=dims)
    torch.export.save(p, path, extra_files=r.choice([None, {"labels.txt": "cat\ndog\n"}]))


TREES = {
    "state": lambda r: net(r).state_dict(),
    "values": lambda r: {"state_dict": net(r).state_dict(), "extra": values(r), "more": values(r)},
    "tensors": tensors,
    "optimizer": lambda r: (lambda m: (lambda o: {"model": m.state_dict(), "optimizer": o.state_dict(), "scheduler": scheduler(r, o), "epoch": 3})(optimizer(r, m.parameters())))(net(r)),
    "lightning": lightning,
    "ultralytics": ultralytics,
    "timm": timm,
    "detectron": detectron,
    "module": net,
    "list": lambda r: [torch.randn(3), (torch.randn(2), {"a": torch.ones(1)})],
    "config": lambda r: {"cfg": omegaconf(r), "state_dict": net(r).state_dict(), "args": argparse.Namespace(a=1)},
}


def save(r, tree, path):
    protocol = r.choice([2, 2, 2, 3, 4, 5])
    torch.save(tree, path, pickle_protocol=protocol, _use_new_zipfile_serialization=r.random() < 0.7)


def plain(r, tree, path):
    with open(path, "wb") as f:
        pickle.dump(tree, f, protocol=r.randint(0, 5))


def one(r, i, folder):
    roll = r.random()
    at = lambda kind, ext: os.path.join(folder, f"{kind}-{i:04d}{ext}")
    if roll < 0.08:
        script(r, at("script", ".pt"))
    elif roll < 0.12 and NEW:
        exported(r, at("exported", ".pt2"))
    elif roll < 0.16:
        np.savez(at("npz", ".npz"), **{k: v.numpy() for k, v in nn.Linear(2, 3).state_dict().items()})
    elif roll < 0.18:
        np.save(at("npy", ".npy"), np.random.rand(3, 2))
    elif roll < 0.26:
        plain(r, r.choice([values(r), detectron(r), net(r).state_dict(), tensors(r), {"weights": np.random.rand(3), "names": ["a"]}]), at("pickle", ".pkl"))
    else:
        kind = r.choice(list(TREES))
        save(r, TREES[kind](r), at(kind, r.choice([".pt", ".pth", ".bin", ".ckpt"])))


def main():
    folder, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    # The classes of this file belong to somebody's module.
    sys.modules["trainer"] = sys.modules["__main__"]
    for c in (Kind, Point, Config, Net, Script):
        c.__module__ = "trainer"
    for i in range(count):
        r = random.Random(seed * 100003 + i)
        torch.manual_seed(i)
        one(r, i, folder)


if __name__ == "__main__":
    main()
