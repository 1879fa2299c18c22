"""Calls the module as its page shows it: module.py MODEL FOLDER."""

import os
import sys

import lethe

model, folder = sys.argv[1:]


def path(name: str) -> str:
    return os.path.join(folder, name)


found = lethe.scan(model)
assert found.passed and found.verdict == "clean" and found.files[0].kind == "checkpoint of torch.save", found
with open(path("code.pkl"), "wb") as f:
    f.write(b"cos\nsystem\n(S'true'\ntR.")
found = lethe.scan(path("code.pkl"), model)
assert not found.passed and found.verdict == "danger" and found.stopped == 1 and "system" in found.files[0].findings[0].what, found

for name in ("w.onnx", "w.safetensors"):
    made = lethe.convert(model, path(name))
    assert made.outputs[0].path == path(name) and made.outputs[0].bytes == os.path.getsize(path(name)), made
report = lethe.forget(model, path("edited.pt"), "Dress")
assert report.passed and report.labels == ["Dress"] and report.score is not None and report.score > 90, report.score

for call, code in (
    (lambda: lethe.scan(path("missing.pt")), 1),
    (lambda: lethe.convert(model, path("w.onnx")), 1),  # it is there already
    (lambda: lethe.forget(model, path("x.pt"), 99), 2),
):
    try:
        call()
    except lethe.Error as e:
        assert e.code == code and str(e), (e.code, str(e))
    else:
        raise AssertionError("no error")
print("the module scans, converts and edits")
