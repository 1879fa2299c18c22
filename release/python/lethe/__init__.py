"""Scan, convert and edit trained neural networks without PyTorch.

The functions run the program that comes with this package and return what it
prints as JSON. Paths may be of any file that the commands read.
"""

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Union

from ._command import BINARY

__all__ = ["Conversion", "Error", "File", "Finding", "Gap", "Output", "Report", "Scan", "convert", "forget", "scan"]

Path = Union[str, "os.PathLike[str]"]


class Error(Exception):
    """A command that failed.

    code is its exit code: 1 an error, 2 a mistake in the arguments, 3 a check
    that failed (nothing was written), 4 a file that is not handled, 5 a registry.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Finding:
    """Something in a file that is more than tensors and plain containers."""

    level: str  # "danger", "unknown" or "notice"
    kind: str
    what: str
    why: str  # what loading it would do
    member: str = ""  # of an archive
    offset: int = 0
    opcode: str = ""


@dataclass(frozen=True)
class Gap:
    """A part of a file that could not be read."""

    what: str
    member: str = ""
    offset: int = 0


@dataclass(frozen=True)
class File:
    """What a scan says about one file."""

    file: str
    kind: str
    bytes: int
    verdict: str  # "clean", "notice", "unknown", "incomplete" or "danger"
    sha256: str = ""
    findings: List[Finding] = field(default_factory=list)
    gaps: List[Gap] = field(default_factory=list)
    more: int = 0  # findings and gaps that are not listed


@dataclass(frozen=True)
class Scan:
    """What a scan says about all files."""

    verdict: str  # the worst one
    fail_on: str
    stopped: int  # files that the level stops
    files: List[File]

    @property
    def passed(self) -> bool:
        """Whether no file is stopped."""
        return self.stopped == 0


@dataclass(frozen=True)
class Output:
    """A file that was written."""

    path: str
    what: str
    sha256: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class Conversion:
    """What was read and written."""

    tool: str
    outputs: List[Output]
    not_in_output: List[str]  # what the input holds and the output does not
    raw: Dict[str, Any]  # all that the command printed


@dataclass(frozen=True)
class Report:
    """The report of an edit; raw is all of it, docs/schema tells what is in it."""

    passed: bool
    score: Optional[float]  # of 100; None if nothing was measured
    labels: List[str]
    raw: Dict[str, Any]


def scan(*paths: Path, fail_on: str = "unknown") -> Scan:
    """Says what loading files or folders would do, without loading them."""
    found = _json(["ptcheck", "--scan", "--json", "--fail-on", fail_on, "--", *(os.fspath(p) for p in paths)], also=3)
    files = []
    for f in found["files"]:
        f["findings"] = [_make(Finding, x) for x in f["findings"]]
        f["gaps"] = [_make(Gap, x) for x in f["gaps"]]
        files.append(_make(File, f))
    return Scan(found["verdict"], found["fail_on"], found["stopped"], files)


def convert(source: Path, target: Path, *, force: bool = False, flags: Sequence[str] = ()) -> Conversion:
    """Writes a network as ONNX (target ends in .onnx), or its weights as .safetensors or .pt.

    flags are more flags of pt2onnx or ptconvert.
    """
    command = "pt2onnx" if os.fspath(target).lower().endswith(".onnx") else "ptconvert"
    made = _json([command, "--json", *_force(force), *flags, "--", os.fspath(source), os.fspath(target)])
    return Conversion(made["tool"], [_make(Output, o) for o in made["outputs"]], made["not_in_output"], made)


def forget(
    source: Path, target: Path, classes: Union[int, str, Sequence[Union[int, str]]], *, force: bool = False, flags: Sequence[str] = ()
) -> Report:
    """Makes a classifier forget classes, by index or label. An edit that fails its checks raises Error 3.

    flags are more flags of forget, such as ["--data", "folder"].
    """
    if isinstance(classes, (int, str)):
        classes = [classes]
    made = _json(["forget", "--json", "--class", ",".join(map(str, classes)), *_force(force), *flags, "--", os.fspath(source), os.fspath(target)])
    return Report(made["passed"], (made.get("score") or {}).get("total"), made["labels"], made)


def _force(force: bool) -> List[str]:
    return ["--force"] if force else []


def _make(kind: Any, values: Dict[str, Any]) -> Any:
    known = kind.__dataclass_fields__
    return kind(**{k: v for k, v in values.items() if k in known})


def _json(arguments: List[str], also: int = 0) -> Any:
    done = subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode not in (0, also) or not done.stdout:
        raise Error(done.returncode, text or "exit code %d" % done.returncode)
    return json.loads(done.stdout.decode("utf-8"))
