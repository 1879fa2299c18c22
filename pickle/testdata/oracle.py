"""Tells what torch.load makes of checkpoints.

    /usr/bin/python3 oracle.py FILE:KEY:MODE...

KEY is the path of the state dict in the checkpoint, with slashes. Prints the
entries of each in the form of make.py's manifests, and an empty line. In mode
"safe" the file is loaded with weights_only=True as well and must give the same.
"""

import sys
import zlib

import torch


def elements(t):
    if t.numel() == 0:
        return b""
    t = t.detach().contiguous().clone()
    return bytes(torch.tensor([], dtype=torch.uint8).set_(t.storage().untyped()).tolist())


def entries(path, key, **kw):
    d = torch.load(path, map_location="cpu", **kw)
    for k in filter(None, key.split("/")):
        d = d[k]
    return ["%s %s %s %s %d %08x" % (
        k, str(t.dtype)[6:], str(list(t.shape)).replace(" ", ""), str(list(t.stride())).replace(" ", ""),
        t.storage_offset(), zlib.crc32(elements(t))) for k, t in d.items()]


for arg in sys.argv[1:]:
    path, key, mode = arg.split(":")
    plain = entries(path, key)
    if mode == "safe" and entries(path, key, weights_only=True) != plain:
        raise SystemExit("%s: weights_only=True gives other values" % path)
    print("\n".join(plain + [""]))
