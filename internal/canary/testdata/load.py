"""Loads files with every loader at hand and tells which of them ran a canary.

    load.py [--only LOADER] [--first] OUTPUT FILE-OR-FOLDER...

Each file is loaded in a child process of its own, each loader in an empty
working folder; whatever is in the folder afterwards was made by the file.
OUTPUT gets one line of JSON for each file: {"file", "fired": [loader, ...]}.
Nothing here is safe: use it only on files that this repository made.
"""

import argparse
import atexit
import bz2
import gc
import gzip
import io
import json
import lzma
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib

warnings.filterwarnings("ignore")
import numpy as np
import torch

try:
    import joblib
except ImportError:
    joblib = None
# What a loader imports is imported once, before the children are made.
for module in ("sympy", "torch._utils", "numpy.lib.npyio", "torch.export.pt2_archive._package", "torch._export.serde.serialize"):
    try:
        __import__(module)
    except ImportError:
        pass


def streams(unpickler, f):
    """Loads one pickle after the other until the end."""
    while True:
        start = f.tell()
        try:
            unpickler(f).load()
        except EOFError:
            return
        if f.tell() == start:
            return


class Lenient(pickle.Unpickler):
    def persistent_load(self, pid):
        return pid[1] if isinstance(pid, tuple) and len(pid) > 1 else pid


class PurePython(pickle._Unpickler):
    def persistent_load(self, pid):
        return pid


def opened(open_file):
    def load(path):
        with open_file(path) as f:
            attempt(streams, Lenient, f)
        with open_file(path) as f:
            attempt(torch_load, io.BytesIO(f.read(1 << 26)))

    return load


def attempt(f, *args):
    try:
        f(*args)
    except Exception:
        pass


def members(read):
    """Loads each member as loaders load members of its kind."""
    for data in read:
        attempt(streams, Lenient, io.BytesIO(data))
        if data[257:262] == b"ustar":
            members(tar_members(fileobj=io.BytesIO(data)))
        if data[:2] in (b"PK", b"\x80\x02"):
            attempt(torch_load, io.BytesIO(data))
        if data[:6] == b"\x93NUMPY":
            attempt(lambda: np.load(io.BytesIO(data), allow_pickle=True))


def tar_members(path=None, fileobj=None):
    with tarfile.open(path, fileobj=fileobj) as t:
        for m in t:
            f = attempted(t.extractfile, m)
            if f is not None:
                yield f.read(1 << 26)


def zip_members(path, depth=0):
    with zipfile.ZipFile(path) as z:
        for info in z.infolist():
            data = attempted(z.read, info)
            if data is None:
                continue
            yield data
            if data[:4] == b"PK\x03\x04" and depth < 3:
                yield from zip_members(io.BytesIO(data), depth + 1)


def attempted(f, *args):
    try:
        return f(*args)
    except Exception:
        return None


def torch_load(f, **options):
    return torch.load(f, map_location="cpu", **{**UNSAFE, **options})


def numpy_load(path):
    loaded = np.load(path, allow_pickle=True)
    if hasattr(loaded, "files"):
        for name in loaded.files:
            attempt(loaded.__getitem__, name)


def export_load(path):
    program = torch.export.load(path)
    program.module()


NEW = tuple(int(x) for x in torch.__version__.split(".")[:2]) >= (2, 1)
UNSAFE = {"weights_only": False}
LOADERS = {
    "torch.load": torch_load,
    "torch.load of a buffer": lambda p: torch_load(io.BytesIO(open(p, "rb").read())),
    "torch.load weights_only": lambda p: torch_load(p, weights_only=True),
    "torch.jit.load": lambda p: torch.jit.load(p, map_location="cpu"),
    "pickle": lambda p: streams(pickle.Unpickler, open(p, "rb")),
    "pickle with persistent ids": lambda p: streams(Lenient, open(p, "rb")),
    "pickle in Python": lambda p: streams(PurePython, open(p, "rb")),
    "tarfile": lambda p: members(tar_members(p)),
    "zipfile": lambda p: members(zip_members(p)),
    "numpy.load": numpy_load,
    "gzip": opened(gzip.open),
    "bz2": opened(bz2.open),
    "lzma": opened(lzma.open),
    "zlib": opened(lambda p: io.BytesIO(zlib.decompress(open(p, "rb").read()))),
}
if NEW:
    LOADERS["torch.load mmap"] = lambda p: torch_load(p, mmap=True)
    LOADERS["torch.export.load"] = export_load
if joblib:
    LOADERS["joblib"] = joblib.load


def child(path, folder, names, progress, first):
    """Runs loaders until one ends the process; tells the parent how far it is."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26, 1 << 26))
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    write, chdir, listdir, end = os.write, os.chdir, os.listdir, os._exit
    for i, name in enumerate(names):
        write(progress, b"x")
        chdir(os.path.join(folder, str(i)))
        try:
            LOADERS[name](path)
        except BaseException:
            pass
        if first and listdir("."):
            end(0)
    gc.collect()
    atexit._run_exitfuncs()
    os._exit(0)


def load(path, names, first=False, limit=20):
    """Returns the loaders with which the file ran a canary, or only the first."""
    fired, folder = [], tempfile.mkdtemp(prefix="canary")
    try:
        while names:
            for i in range(len(names)):
                os.mkdir(os.path.join(folder, str(i)))
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(read)
                try:
                    child(path, folder, names, write, first)
                finally:
                    os._exit(1)
            os.close(write)
            wait(pid, limit)
            end_group(pid)
            done = len(os.read(read, 1000)) if select.select([read], [], [], 0)[0] else 0
            os.close(read)
            for i, name in enumerate(names):
                if os.listdir(os.path.join(folder, str(i))):
                    fired.append(name)
                shutil.rmtree(os.path.join(folder, str(i)), ignore_errors=True)
            names = names[max(done, 1):]
            if first and fired:
                break
        return fired
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait(pid, limit):
    end = time.monotonic() + limit
    pause = 0.001
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(pid, 0)
            break
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def end_group(group):
    """Gives the processes that a file started a moment, then ends them."""
    try:
        for _ in range(20):
            os.killpg(group, 0)
            time.sleep(0.005)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--only", action="append", help="a loader")
    parser.add_argument("--first", action="store_true", help="stop at the first loader that runs the canary")
    args = parser.parse_args()
    files = []
    for f in args.files:
        if os.path.isdir(f):
            files += [os.path.join(f, n) for n in sorted(os.listdir(f))]
        else:
            files.append(f)
    names = [n for n in LOADERS if not args.only or n in args.only]
    torch.set_num_threads(1)
    atexit._clear()  # a child runs what the file has registered, and collects what it has made
    gc.freeze()
    with open(args.output, "w") as out:
        for f in files:
            print(json.dumps({"file": os.path.basename(f), "fired": load(os.path.abspath(f), names, args.first)}), file=out)
            out.flush()
    os._exit(0)  # what torch has registered for the exit is gone


if __name__ == "__main__":
    main()
