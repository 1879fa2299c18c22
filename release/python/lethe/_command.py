"""Starts the program that comes with this package."""

import os
import subprocess
import sys

BINARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "lethe.exe" if os.name == "nt" else "lethe")


def _run(*command: str) -> None:
    arguments = [BINARY, *command, *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.call(arguments))
    os.execv(BINARY, arguments)


def lethe() -> None:
    _run()


def forget() -> None:
    _run("forget")


def pt2onnx() -> None:
    _run("pt2onnx")


def ptcheck() -> None:
    _run("ptcheck")


def ptconvert() -> None:
    _run("ptconvert")
