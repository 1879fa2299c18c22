"""Reads what module.py wrote with the libraries of others: written.py FOLDER."""

import os
import sys

import numpy
import onnxruntime
from safetensors.numpy import load_file

folder = sys.argv[1]
weights = load_file(os.path.join(folder, "w.safetensors"))
assert weights["fc2.weight"].shape == (10, 84), weights.keys()
session = onnxruntime.InferenceSession(os.path.join(folder, "w.onnx"), providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {"input": numpy.zeros((2, 1, 28, 28), numpy.float32)})
assert logits.shape == (2, 10) and numpy.isfinite(logits).all(), logits
print("safetensors and onnxruntime read what was written")
