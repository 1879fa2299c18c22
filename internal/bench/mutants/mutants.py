"""Says what PyTorch, or the safetensors library, makes of files.

    python3 mutants.py KIND < paths

KIND is torch (torch.load), script (torch.jit.load), export (torch.export.load) or safetensors. For every
path, one a line, it prints a line of JSON: {"error": text} or {"tensors": [[path, dtype, shape, strides,
offset, crc], ...]}, where path is the list of the keys and indices that lead to the tensor. Files are
loaded in children that take over where the last one died, so that a file that kills its reader is
{"error": "signal N"}.
"""

import json
import os
import resource
import signal
import sys
import warnings
import zlib

KIND = sys.argv[1]
warnings.simplefilter("ignore")
if KIND == "safetensors":
    import safetensors
else:
    import ctypes

    import torch
    torch.set_num_threads(1)


def crc(t):
    if t.numel() == 0:
        return 0
    if t.numel() > 1 << 22:
        return -1
    t = t.detach().resolve_conj().resolve_neg().contiguous()
    return zlib.crc32(ctypes.string_at(t.data_ptr(), t.numel() * t.element_size()))


def line(path, t):
    if t.layout != torch.strided or t.is_quantized:
        return [path, str(t.layout), [], [], 0, 0]
    return [path, str(t.dtype)[6:], list(t.shape), list(t.stride()), t.storage_offset(), crc(t)]


def walk(v, path, out, way):
    if isinstance(v, torch.Tensor):
        out.append(line(path, v))
    elif len(path) > 12 or id(v) in way:
        return
    elif isinstance(v, dict):
        for k, x in v.items():
            if type(k) in (str, int):
                walk(x, path + [str(k)], out, way | {id(v)})
    elif isinstance(v, (list, tuple)):
        for i, x in enumerate(v):
            walk(x, path + [str(i)], out, way | {id(v)})


def load(path):
    out = []
    if KIND == "safetensors":
        with open(path, "rb") as f:
            for name, e in safetensors.deserialize(f.read()):
                out.append([[name], e["dtype"], list(e["shape"]), [], 0, zlib.crc32(bytes(e["data"]))])
        out.sort()
    elif KIND == "script":
        m = torch.jit.load(path, map_location="cpu")
        for name, t in m.state_dict().items():
            out.append(line([name], t))
    elif KIND == "export":
        walk(dict(torch.export.load(path).state_dict), [], out, frozenset())
    else:
        kw = {"weights_only": False} if torch.__version__ >= "1.13.1" and torch.__version__[:2] != "1." else {}
        walk(torch.load(path, map_location="cpu", **kw), [], out, frozenset())
    return {"tensors": out, "old": KIND != "safetensors" and torch.__version__[:2] == "1."}


def child(paths, pipe):
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    with os.fdopen(pipe, "w") as f:
        for path in paths:
            signal.alarm(30)
            try:
                got = load(path)
                text = json.dumps(got)
            except BaseException as e:  # an interrupt of the alarm is a signal, not an exception
                text = json.dumps({"error": "%s: %.200s" % (type(e).__name__, e)})
            f.write(text + "\n")
            f.flush()
    os._exit(0)


paths = [p.rstrip("\n") for p in sys.stdin]
done = 0
while done < len(paths):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        child(paths[done:], w)
    os.close(w)
    with os.fdopen(r, "r") as f:
        for text in f:
            if not text.endswith("\n"):
                break
            sys.stdout.write(text)
            done += 1
    status = os.waitpid(pid, 0)[1]
    if done < len(paths):
        print(json.dumps({"error": "signal %d" % (status & 127)}))
        done += 1
    sys.stdout.flush()
