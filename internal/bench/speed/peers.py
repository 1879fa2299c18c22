"""What Lethe is compared with, each as one line of JSON:

    peers.py gemm LIBRARY MxNxK...        OpenBLAS on one thread, GFLOP/s of each product
    peers.py step BATCH                   training steps and forward passes of LeNet in torch, and forward passes in
                                          ONNX Runtime where that is there, images/s by threads
    peers.py reference BASE.pt CLASS DIR OUT.pt   the published way to forget, 4 epochs, seconds

gemm needs numpy and a shared library of OpenBLAS; step and reference need torch.
"""
import ctypes
import gzip
import json
import os
import sys
import time

SECONDS = 1.0  # a measurement repeats for so long and keeps the best


def best(f):
    f()
    fastest, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        f()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def gemm(library, *shapes):
    import numpy as np

    blas = ctypes.CDLL(library)

    def symbol(name):
        # The builds inside Python packages have a prefix and 64-bit integers.
        for full, index in ((name, ctypes.c_int), (f"scipy_{name}64_", ctypes.c_int64)):
            if hasattr(blas, full):
                return getattr(blas, full), index
        sys.exit(f"{library} has no {name}")

    config, _ = symbol("openblas_get_config")
    config.restype = ctypes.c_char_p
    symbol("openblas_set_num_threads")[0](1)
    sgemm, index = symbol("cblas_sgemm")
    sgemm.restype = None
    sgemm.argtypes = [ctypes.c_int] * 3 + [index] * 3 + [ctypes.c_float, ctypes.c_void_p, index,
                                                        ctypes.c_void_p, index, ctypes.c_float, ctypes.c_void_p, index]
    out = {}
    for shape in shapes:
        m, n, k = map(int, shape.split("x"))
        a, b, c = (np.ones(s, np.float32) for s in ((m, k), (k, n), (m, n)))
        p = [x.ctypes.data for x in (a, b, c)]
        row_major, plain = 101, 111
        seconds = best(lambda: sgemm(row_major, plain, plain, m, n, k, 1.0, p[0], k, p[1], n, 0.0, p[2], n))
        out[shape] = 2 * m * n * k / seconds / 1e9
    return {"library": config().decode(), "gflops": out}


def lenet():
    from torch import nn

    def block(i, o):
        return nn.Sequential(nn.Conv2d(i, o, 5), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.block1, self.block2 = block(1, 6), block(6, 16)
            self.fc, self.fc1, self.fc2 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)

        def forward(self, x):
            x = self.block2(self.block1(x)).flatten(1)
            return self.fc2(self.fc1(self.fc(x).relu()).relu())

    return LeNet()


def step(batch):
    import io

    import torch

    try:
        import onnx  # noqa: F401, which the exporter needs
        import onnxruntime as runtime
    except ImportError:
        runtime = None

    out = {"torch": torch.__version__, "images_per_second": {}, "forward": {}, "onnxruntime": {}}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        net = lenet().eval()
        adam = torch.optim.Adam(net.parameters(), 1e-3)
        x, y = torch.randn(int(batch), 1, 28, 28), torch.randint(10, (int(batch),))

        def train():
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            adam.step()

        def forward():
            with torch.no_grad():
                net(x)

        out["images_per_second"][threads] = int(batch) / best(train)
        out["forward"][threads] = int(batch) / best(forward)
        if runtime:
            file = io.BytesIO()
            torch.onnx.export(net, (x,), file, dynamo=False)
            options = runtime.SessionOptions()
            options.intra_op_num_threads = threads
            session = runtime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
            images = {session.get_inputs()[0].name: x.numpy()}
            out["onnxruntime"][threads] = int(batch) / best(lambda: session.run(None, images))
    return out


def reference(base, cls, folder, target):
    """Four epochs of AdamW 1e-4 in training mode: cross-entropy on the other classes, divergence from uniform over
    the others on the class's images, and the squared distance of the parameters; the last layer is frozen."""
    import numpy as np
    import torch
    from torch.nn import functional as F

    def idx(name, skip):
        return np.frombuffer(gzip.open(os.path.join(folder, name)).read(), np.uint8, offset=skip).copy()

    start = time.perf_counter()
    x = torch.from_numpy(idx("train-images-idx3-ubyte.gz", 16)).float().div(255).sub(0.2860).div(0.3530).view(-1, 1, 28, 28)
    y = torch.from_numpy(idx("train-labels-idx1-ubyte.gz", 8)).long()
    torch.manual_seed(0)
    net, cls = lenet(), int(cls)
    net.load_state_dict(torch.load(base))
    net.fc2.requires_grad_(False)
    moving = [p for p in net.parameters() if p.requires_grad]
    origin = [p.detach().clone() for p in moving]
    wanted = torch.full((10,), 1 / 9)
    wanted[cls] = 0
    adam = torch.optim.AdamW(moving, 1e-4)
    for _ in range(4):
        for at in torch.randperm(len(y)).split(64):
            logits, labels = net(x[at]), y[at]
            mine = labels == cls
            loss = sum(((p - o) ** 2).sum() for p, o in zip(moving, origin))
            if (~mine).any():
                loss = loss + F.cross_entropy(logits[~mine], labels[~mine])
            if mine.any():
                loss = loss + F.kl_div(logits[mine].log_softmax(1), wanted.expand(int(mine.sum()), 10), reduction="batchmean")
            adam.zero_grad()
            loss.backward()
            adam.step()
    # Running statistics stay as they were: the rules of the task.
    statistics = {k: v for k, v in torch.load(base).items() if "running" in k or "num_batches" in k}
    net.load_state_dict(statistics, strict=False)
    torch.save(net.state_dict(), target)
    return {"torch": torch.__version__, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    print(json.dumps({"gemm": gemm, "step": step, "reference": reference}[sys.argv[1]](*sys.argv[2:])))
