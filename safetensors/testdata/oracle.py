"""Prints what the reference implementation reads in a file: name, type, shape
and bytes in hexadecimal of each tensor, in the order of the header.

    oracle.py FILE
"""

import json
import struct
import sys

import safetensors.numpy

with open(sys.argv[1], "rb") as f:
    b = f.read()
n, = struct.unpack("<Q", b[:8])
tensors = safetensors.numpy.load(b)
for name in json.loads(b[8:8 + n]):
    if name != "__metadata__":
        t = tensors[name]
        print(name, t.dtype, str(list(t.shape)).replace(" ", ""), t.tobytes().hex())
