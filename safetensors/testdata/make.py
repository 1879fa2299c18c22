"""Makes the golden files of this folder with the reference implementation.

    python3 make.py

Written with safetensors 0.8.0 and torch 2.15. types.safetensors has one tensor of every
type that torch stores, plain.safetensors a small state dict with metadata.
"""

import os

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))

TYPES = [torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e8m0fnu,
         torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.int16, torch.uint16, torch.float16, torch.bfloat16,
         torch.int32, torch.uint32, torch.float32, torch.complex64, torch.float64, torch.int64, torch.uint64]

save_file({str(t)[6:]: torch.arange(4 * t.itemsize, dtype=torch.uint8).remainder(2).view(t) for t in TYPES},
          os.path.join(HERE, "types.safetensors"))
ramp = torch.arange(6.0).reshape(2, 3)
save_file({"fc.weight": ramp, "fc.bias": ramp[0].clone(), "scalar": torch.tensor(7), "empty": torch.zeros(0, 3)},
          os.path.join(HERE, "plain.safetensors"), metadata={"format": "pt"})
