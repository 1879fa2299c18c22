"""Writes small TorchScript files and golden.json: what PyTorch computes for them.

usage: make.py (torch 1.13 writes NAME-1.13.pt, a newer one NAME-VERSION.pt; golden.json keeps the others)

Inputs are not stored: element i of an input is (i*7919 % 1000)/500 - 1 if it is a real number, and i*31 % 29 + 1 if it is
an integer. Batches have 3 samples, which nothing was traced with. Every weight is drawn, with statistics of batch
normalization away from 0 and 1. The same networks are written as .pt2 (torch 2.9 and later) and as state dicts, for
the test that all of them become the same ONNX.
"""
import json, os, sys, warnings, zipfile

warnings.filterwarnings("ignore")
import torch, torch.nn as nn, torch.nn.functional as F
from typing import Dict, List, NamedTuple, Optional, Tuple

here = os.path.dirname(os.path.abspath(__file__))
version = ".".join(torch.__version__.split(".")[:2])
new = version != "1.13"


class LeNet(nn.Module):
    def __init__(self, c: int = 2):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, c, 3, padding=1), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, 2 * c, 3), nn.BatchNorm2d(2 * c)
        self.fc1, self.fc2 = nn.Linear(2 * c * 4, 8), nn.Linear(8, 5)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout(0.5)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(torch.relu(self.bn2(self.conv2(x))))
        return self.fc2(self.drop(F.relu(self.fc1(torch.flatten(x, 1)))))


class LeNetView(LeNet):
    """Sizes that are read off and written as numbers."""

    def forward(self, x):
        x = self.pool(F.relu_(self.bn1(self.conv1(x))))
        x = self.pool(F.hardtanh(self.bn2(self.conv2(x)), 0.0, 6.0))
        x = x.view(x.size(0), -1)
        return F.log_softmax(self.fc2(F.dropout(F.relu(self.fc1(x)), training=self.training)), dim=1)


class Literal(LeNet):
    """A batch that the trace has as a number."""

    def forward(self, x):
        x = self.pool(self.pool(torch.relu(self.bn2(self.conv2(F.pad(self.pool(self.bn1(self.conv1(x))), [1, 1, 1, 1]))))))
        n = int(x.shape[0])
        x = x.expand(n, -1, -1, -1).reshape(n, 4)
        return self.fc2(F.pad(x, [0, 4]))


class Result(NamedTuple):
    logits: torch.Tensor
    extra: Optional[torch.Tensor]


class Control(nn.Module):
    """What only scripts have: branches, loops, lists, dictionaries, named tuples, errors."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)])
        self.scale: Optional[torch.Tensor] = None
        self.names: Dict[str, int] = {"a": 2, "b": 3}
        self.steps = 3

    def forward(self, x: torch.Tensor, bias: Optional[torch.Tensor] = None) -> Result:
        if x.dim() != 2:
            raise ValueError("expected 2 axes, got {}".format(x.dim()))
        seen: List[torch.Tensor] = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i % 2 == 0:
                x = F.leaky_relu(x, 0.1)
            seen.append(x)
        i = 0
        while i < self.steps and len(seen) < 5:
            seen.append(seen[i] * float(self.names["b"]))
            i += 1
        y = torch.cat(seen[1:4:2], 1)
        if bias is not None:
            y = y + bias
        if self.training:
            return Result(y, x)
        return Result(y, None)


class Masks(nn.Module):
    """Constants that are written to through views, a tied weight, a list of outputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight
        self.register_buffer("table", torch.tensor([[0, 1], [2, 3]]))

    def forward(self, x: torch.Tensor) -> List[torch.Tensor]:
        m = x.new_zeros((4, 4))
        for i in range(3):
            m[i : i + 2, 1:3] += i + 1
        m[3].fill_(-1.0)
        y = self.b(self.a(x)) @ m
        return [y[:, self.table.reshape(-1)], torch.chunk(y, 2, dim=1)[1].sum(dim=-1, keepdim=True)]


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.rnn, self.fc = nn.Embedding(32, 4), nn.LSTM(4, 4, batch_first=True, bidirectional=True), nn.Linear(8, 3)

    def forward(self, ids):
        y, _ = self.rnn(self.emb(ids))
        return self.fc(y[:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True, activation="gelu")
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.encoder(x).mean(1))


class Weights(nn.Module):
    """The weights of attention, of the mean of the heads, of each of them, and such that nobody reads."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.MultiheadAttention(4, 2, batch_first=True), nn.MultiheadAttention(4, 2, batch_first=True)
        self.register_buffer("mask", torch.ones(3, 3).triu(1).bool())

    def forward(self, x):
        x, mean = self.a(x, x, x)
        x, each = self.b(x, x, x, attn_mask=self.mask, average_attn_weights=False)
        return self.a(x, x, x)[0], mean, each


def values(shape, integers):
    n = torch.arange(torch.Size(shape).numel())
    return (n * 31 % 29 + 1 if integers else (n * 7919 % 1000).float() / 500 - 1).reshape(shape)


def randomize(model):
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.1, max(p[0].numel(), 1) ** -0.5 if p.dim() > 1 else 0.3)
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.2), m.running_var.uniform_(0.5, 2)


def save(module, file):
    """Saves a module without the records that say where its code was."""
    path = os.path.join(here, file)
    torch.jit.save(module, path)
    with zipfile.ZipFile(path) as z:
        records = [(n.split("/", 1)[1], z.read(n)) for n in z.namelist()]
    writer = torch._C.PyTorchFileWriter(path)
    for name, content in records:
        if not name.endswith(".debug_pkl") and name not in ("version", "byteorder", ".data/version", ".data/serialization_id"):
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()


def flat(v):
    if isinstance(v, torch.Tensor):
        return [v]
    return [t for x in v for t in flat(x)] if isinstance(v, (tuple, list)) else []


path = os.path.join(here, "golden.json")
golden = json.load(open(path)) if os.path.exists(path) else {}
sys.path.insert(0, os.path.join(here, "..", "..", "exported", "testdata"))
import make_kinds

networks = {
    "lenet": (LeNet, [1, 12, 12], "ts"), "view": (LeNetView, [1, 12, 12], "t" if new else "ts"), "literal": (Literal, [1, 12, 12], "t"), "control": (Control, [4], "s"),
    "masks": (Masks, [4], "ts" if new else "s"), "words": (Words, [6], "ts"), "attention": (Attention, [5, 8], "t"), "weights": (Weights, [3, 4], "t"),
    "bags": (make_kinds.Bags, [6], "t" if new else "ts"), "kinds": (make_kinds.Kinds, [2, 6, 6], "t"), "places": (make_kinds.Places, [2, 6, 6], "t"),
}
for name, (kind, shape, modes) in networks.items():
    torch.manual_seed(1)
    model = make_kinds.made(kind) if kind.__module__ == "make_kinds" else kind().eval()
    if kind.__module__ != "make_kinds":
        randomize(model)
    integers = name in ("words", "bags")
    for mode in modes:
        file = "%s-%s-%s.pt" % (name, {"t": "traced", "s": "scripted"}[mode], version)
        with torch.no_grad():
            s = torch.jit.script(model) if mode == "s" else torch.jit.trace(model, values([2] + shape, integers), strict=False, check_trace=False)
            save(s, file)
            golden[file] = {"input": shape, "outputs": [{"shape": list(t.shape), "values": [float("%.8g" % v) for v in t.flatten().tolist()]} for t in flat(model(values([3] + shape, integers)))]}
    if name == "lenet" and new:
        save(torch.jit.freeze(torch.jit.script(model)), "lenet-frozen-%s.pt" % version)
        golden["lenet-frozen-%s.pt" % version] = golden[file]
        save(torch.jit.script(kind()), "lenet-training-%s.pt" % version)
        torch.save(model.state_dict(), os.path.join(here, "lenet-state-%s.pt" % version))
        program = torch.export.export(model, (values([2] + shape, False),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        torch.export.save(program, os.path.join(here, "lenet-%s.pt2" % version))
with open(path, "w") as f:
    f.write("{\n" + ",\n".join("%s: %s" % (json.dumps(k), json.dumps(golden[k])) for k in sorted(golden)) + "\n}\n")
