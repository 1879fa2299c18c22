#!/usr/bin/env python3
"""What ONNX's checker and ONNX Runtime think of a model. Needs onnx, onnxruntime and numpy; prints JSON.

    onnx_oracle.py MODEL.onnx INPUT LOGITS    checks the model and runs it on INPUT, 28 x 28 images; both are
                                              files of little-endian float32
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime


def main():
    path, source, target = sys.argv[1:]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.fromfile(source, "<f4").reshape(-1, 1, 28, 28)
    (logits,) = session.run(None, {session.get_inputs()[0].name: x})
    (one,) = session.run(None, {session.get_inputs()[0].name: x[:1]})
    logits.astype("<f4").tofile(target)
    print(json.dumps({
        "opset": model.opset_import[0].version,
        "ir": model.ir_version,
        "inputs": [i.name for i in session.get_inputs()],
        "outputs": [o.name for o in session.get_outputs()],
        "batch": session.get_inputs()[0].shape[0],
        "initializers": [t.name for t in model.graph.initializer],
        "batch_of_one": float(np.abs(one[0] - logits[0]).max()),
    }))


if __name__ == "__main__":
    main()
