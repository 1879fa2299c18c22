"""Exports networks with PyTorch, converts them with pt2onnx, and compares ONNX Runtime with PyTorch.

usage: models.py PT2ONNX FOLDER NAME...

A name is tv.NAME of torchvision, timm.NAME of timm, or common.NAME of the small networks below. Weights are random,
scaled so that activations stay moderate; statistics of batch normalization are away from 0 and 1. A name may end in
@static1 or @static2, for a program with a fixed batch of 1 or 2, in @core, for the core dialect, or in @traced or @scripted,
for TorchScript, or in @whole, for torch.save of the network itself. For every name one line of JSON is written: the largest difference from PyTorch at each batch size, relative to the largest output.
"""
import gc, json, os, subprocess, sys, time, warnings

warnings.filterwarnings("ignore")
import logging

logging.disable(logging.WARNING)
import numpy as np
import onnxruntime
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
BATCHES = (1, 2, 5)


def nothing(tensor, *args, **kwargs):
    return tensor


class LeNetBN(nn.Module):
    def __init__(self, c=4):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, c, 5, padding=2), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, 2 * c, 5), nn.BatchNorm2d(2 * c)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(2 * c * 5 * 5, 16), nn.Linear(16, 10)

    def features(self, x):
        return self.pool(torch.relu(self.bn2(self.conv2(self.pool(F.relu(self.bn1(self.conv1(x))))))))

    def forward(self, x):
        return self.fc2(self.drop(F.relu(self.fc1(torch.flatten(self.features(x), 1)))))


class LeNetView(LeNetBN):
    def forward(self, x):
        x = F.relu(self.fc1(self.features(x).view(x.size(0), -1)))
        return F.log_softmax(self.fc2(F.dropout(x, training=self.training)), dim=1)


class Sequence(nn.Module):
    def __init__(self, kind="LSTM", bidirectional=False, layers=1):
        super().__init__()
        self.emb = nn.Embedding(32, 8, padding_idx=0)
        self.rnn = getattr(nn, kind)(8, 8, layers, batch_first=True, bidirectional=bidirectional)
        self.fc = nn.Linear(16 if bidirectional else 8, 4)

    def forward(self, ids):
        return self.fc(self.rnn(self.emb(ids))[0][:, -1])


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o)) if s != 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.down(x)
        return self.relu(y)


class TinyResNet(nn.Module):
    def __init__(self, c=4):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.layers = nn.Sequential(Block(c, c, 1), Block(c, 2 * c, 2))
        self.pool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(2 * c, 5)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.layers(F.relu(self.bn(self.stem(x))))), 1))


class BertModules(nn.Module):
    """BERT from the modules of torch.nn."""

    def __init__(self, d=16):
        super().__init__()
        self.word, self.pos, self.seg = nn.Embedding(64, d, padding_idx=0), nn.Embedding(16, d), nn.Embedding(2, d)
        self.norm, self.drop = nn.LayerNorm(d, eps=1e-12), nn.Dropout(0.1)
        self.register_buffer("ids", torch.arange(16).expand(1, -1), persistent=False)
        layer = nn.TransformerEncoderLayer(d, 2, 32, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pool, self.cls = nn.Linear(d, d), nn.Linear(d, 3)

    def forward(self, ids, mask):
        x = self.word(ids) + self.pos(self.ids[:, : ids.shape[1]]) + self.seg(torch.zeros_like(ids))
        x = self.encoder(self.drop(self.norm(x)), src_key_padding_mask=mask == 0)
        return self.cls(torch.tanh(self.pool(x[:, 0])))


class BertByHand(nn.Module):
    """Attention in single operators, as in older code."""

    def __init__(self, d=16):
        super().__init__()
        self.word, self.pos = nn.Embedding(64, d), nn.Embedding(16, d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.n1, self.n2, self.f1, self.f2 = nn.LayerNorm(d), nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.cls = nn.Linear(d, 3)

    def heads(self, x):
        return x.view(x.size(0), x.size(1), 2, -1).permute(0, 2, 1, 3)

    def forward(self, ids, mask):
        x = self.word(ids) + self.pos(torch.arange(ids.size(1), device=ids.device).unsqueeze(0).expand_as(ids))
        m = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(torch.float32).min
        q, k, v = self.heads(self.q(x)), self.heads(self.k(x)), self.heads(self.v(x))
        a = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) / (q.size(-1) ** 0.5) + m, -1)
        c = torch.matmul(a, v).permute(0, 2, 1, 3).contiguous()
        x = self.n1(x + self.o(c.view(c.size(0), c.size(1), -1)))
        return self.cls(self.n2(x + self.f2(F.gelu(self.f1(x)))).mean(1))


class GPT(nn.Module):
    def __init__(self, d=16):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(64, d), nn.Embedding(16, d)
        self.ln1, self.qkv, self.proj = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.ln2, self.fc, self.out, self.lnf = nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d), nn.LayerNorm(d)
        self.head = nn.Linear(d, 64, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        b, t = ids.shape
        x = self.wte(ids) + self.wpe(torch.arange(t, device=ids.device))
        q, k, v = self.qkv(self.ln1(x)).split(x.shape[-1], dim=2)
        q, k, v = (y.view(b, t, 2, -1).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, -1))
        return self.head(self.lnf(x + self.out(F.gelu(self.fc(self.ln2(x)), approximate="tanh"))))


class UNet(nn.Module):
    def __init__(self, c=4):
        super().__init__()
        self.d1 = nn.Sequential(nn.Conv2d(3, c, 3, padding=1), nn.GroupNorm(2, c), nn.SiLU())
        self.d2 = nn.Sequential(nn.Conv2d(c, 2 * c, 3, padding=1), nn.InstanceNorm2d(2 * c, affine=True), nn.LeakyReLU(0.1))
        self.up, self.u1, self.out = nn.ConvTranspose2d(2 * c, c, 2, 2), nn.Conv2d(3 * c, c, 3, padding=1), nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        wide = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)[:, : a.shape[1]]
        return torch.sigmoid(self.out(F.relu(self.u1(torch.cat([a, self.up(b), wide], 1)))))


class TextCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.fc = nn.Embedding(32, 8), nn.Linear(24, 4)
        self.convs = nn.ModuleList([nn.Conv1d(8, 8, k) for k in (2, 3, 4)])

    def forward(self, ids):
        x = self.emb(ids).transpose(1, 2)
        return self.fc(torch.cat([F.relu(c(x)).max(dim=2)[0] for c in self.convs], 1))


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.mu, self.lv = nn.Linear(64, 16), nn.Linear(16, 4), nn.Linear(16, 4)
        self.d = nn.Sequential(nn.Linear(4, 16), nn.ELU(), nn.Linear(16, 64), nn.Sigmoid())

    def forward(self, x):
        h = torch.tanh(self.e(x))
        mu, lv = self.mu(h), self.lv(h)
        return self.d(mu), mu, torch.exp(0.5 * lv)


def common(name):
    """Returns a small network and its input for a batch size."""
    image, color = lambda n: (torch.randn(n, 1, 28, 28),), lambda n: (torch.randn(n, 3, 32, 32),)
    words = lambda n: (torch.randint(1, 32, (n, 12)),)

    def masked(n):
        mask = torch.ones(n, 12, dtype=torch.long)
        mask[0, 8:] = 0
        return words(n) + (mask,)

    mlp = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 3), nn.Softmax(dim=-1))
    encoder = lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2, enable_nested_tensor=False)
    make, batch = {
        "lenet_bn": (LeNetBN, image),
        "lenet_view": (LeNetView, image),
        "mlp": (mlp, lambda n: (torch.randn(n, 8, 8),)),
        "tiny_resnet": (TinyResNet, color),
        "lstm": (Sequence, words),
        "lstm_bi2": (lambda: Sequence(bidirectional=True, layers=2), words),
        "gru": (lambda: Sequence("GRU"), words),
        "rnn_tanh": (lambda: Sequence("RNN"), words),
        "transformer_encoder": (encoder, lambda n: (torch.randn(n, 7, 16),)),
        "bert_nn": (BertModules, masked),
        "bert_manual": (BertByHand, masked),
        "gpt": (GPT, words),
        "unet": (UNet, color),
        "textcnn": (TextCNN, words),
        "vae": (VAE, lambda n: (torch.randn(n, 64),)),
    }[name]
    return make(), batch


def network(name):
    """Returns a network with random weights and a function that makes its inputs for a batch size."""
    kind, _, name = name.partition(".")
    if kind == "common":
        model, batch = common(name)
    else:
        for f in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_", "xavier_normal_"):
            setattr(nn.init, f, nothing)  # the weights are drawn below, which is faster
        if kind == "tv":
            import torchvision

            model = torchvision.models.get_model(name, weights=None, **({"init_weights": False} if name in ("googlenet", "inception_v3") else {}))
            size = 299 if name == "inception_v3" else 224
        else:
            import timm

            model = timm.create_model(name, pretrained=False)
            size = model.default_cfg["input_size"][-1]
        batch = lambda n: (torch.randn(n, 3, size, size),)
    model.eval()
    randomize(model)
    return model, batch


def randomize(model):
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, max(p[0].numel(), 1) ** -0.5)
            else:
                p.uniform_(0.5, 1.5).mul_(torch.randint(0, 2, p.shape) * 0.4 + 0.6) if p.numel() and p.flatten()[0] != 0 else p.normal_(0, 0.1)
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None:
                m.running_mean.normal_(0, 0.2)
                m.running_var.uniform_(0.5, 2)


def flat(outputs):
    return [t.detach().numpy() for t in torch.utils._pytree.tree_flatten(outputs)[0] if isinstance(t, torch.Tensor)]


def check(pt2onnx, folder, name):
    """Exports, converts and compares one network."""
    torch.manual_seed(0)
    row = {"name": name}
    name, _, variant = name.partition("@")
    model, batch = network(name)
    row["parameters"] = sum(p.numel() for p in model.parameters())
    program, onnx = os.path.join(folder, name + (".pt" if variant in ("traced", "scripted", "whole") else ".pt2")), os.path.join(folder, name + ".onnx")
    flags = []
    try:
        if variant == "whole" and name.startswith("tv.swin_v2"):  # the windows of the published network fit its own images alone
            batch = lambda n: (torch.randn(n, 3, 256, 256),)
        args = batch(1 if variant == "static1" else 2)
        shapes = None if variant.startswith("static") else tuple({0: torch.export.Dim.DYNAMIC} for _ in args)
        if variant == "whole":
            exported = None
            torch.save(model, program)
            flags = ["--inert", "--input", "x".join(map(str, args[0].shape[1:]))]
        elif variant in ("traced", "scripted"):
            with torch.no_grad():
                exported = torch.jit.script(model) if variant == "scripted" else torch.jit.trace(model, args, check_trace=False)
            torch.jit.save(exported, program)
            if variant == "scripted":
                flags = ["--input", ",".join("x".join(map(str, a.shape[1:])) for a in args)]
        else:
            with torch.no_grad():
                exported = torch.export.export(model, args, dynamic_shapes=shapes)
                if variant == "core":
                    exported = exported.run_decompositions()
                torch.export.save(exported, program)
        del exported
        gc.collect()
        inputs = [batch(n) for n in BATCHES]
        with torch.no_grad():
            expected = [flat(model(*a)) for a in inputs]
        names = set(model.state_dict())
        del model
        gc.collect()
        start = time.time()
        done = subprocess.run([pt2onnx, "--force", *flags, program, onnx], capture_output=True, text=True)
        row["seconds"] = round(time.time() - start, 2)
        if done.returncode:
            row["error"] = done.stderr.strip()[-2000:]
            return row
        row["said"] = done.stdout.strip()
        os.remove(program)
        session = onnxruntime.InferenceSession(onnx)
        row["errors"] = []
        for args, want in zip(inputs, expected):
            got = session.run(None, {i.name: a.numpy() for i, a in zip(session.get_inputs(), args)})
            row["errors"].append(max(float(np.abs(g - w).max() / np.abs(w).max()) for g, w in zip(got, want)))
            if len(got) != len(want) or not all(np.isfinite(w).all() for w in want):
                row["error"] = "%d outputs, %d expected, or they are not finite" % (len(got), len(want))
        return row
    finally:
        for path in (program, onnx, onnx + ".data"):
            if os.path.exists(path):
                os.remove(path)


def main():
    pt2onnx, folder, *names = sys.argv[1:]
    for name in names:
        try:
            row = check(pt2onnx, folder, name)
        except Exception as e:
            row = {"name": name, "error": "%s: %s" % (type(e).__name__, str(e)[:2000])}
        print(json.dumps(row), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
