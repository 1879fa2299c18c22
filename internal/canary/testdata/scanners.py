"""Asks another scanner what it thinks of files.

    scanners.py picklescan|modelscan|fickling OUTPUT FILE-OR-FOLDER...

OUTPUT gets one line of JSON for each file: {"file", "verdict"}, where the
verdict is found, error (the scanner could not read the file and says so),
skipped (it does not look at such files) or passed. The last line has the
seconds that all files took.
"""

import contextlib
import io
import json
import logging
import os
import sys
import time
import zipfile

logging.disable(logging.CRITICAL)


def picklescan():
    from picklescan.scanner import scan_file_path

    def scan(path):
        r = scan_file_path(path)
        if r.issues_count:
            return "found"
        return "error" if r.scan_err else "passed" if r.scanned_files else "skipped"

    return scan


def modelscan():
    from modelscan.modelscan import ModelScan

    scanner = ModelScan()

    def scan(path):
        r = scanner.scan(path)
        if r["summary"]["total_issues"]:
            return "found"
        return "error" if r["errors"] else "passed" if r["summary"]["scanned"]["total_scanned"] else "skipped"

    return scan


def fickling():
    from fickling import scan_file, scan_zip_archive

    def scan(path):
        if zipfile.is_zipfile(path):
            results = list(scan_zip_archive(path, graceful=True).values())
        else:
            results = [scan_file(path, graceful=True)]
        if any(not r.is_safe for r in results):
            return "found"
        return "error" if any(r.errors for r in results) else "passed" if results else "skipped"

    return scan


def main():
    name, output, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    files = []
    for p in paths:
        files += [os.path.join(p, n) for n in sorted(os.listdir(p))] if os.path.isdir(p) else [p]
    scan = {"picklescan": picklescan, "modelscan": modelscan, "fickling": fickling}[name]()
    start = time.monotonic()
    with open(output, "w") as out:
        for f in files:
            try:
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    verdict = scan(f)
            except (Exception, SystemExit):
                verdict = "error"
            print(json.dumps({"file": os.path.basename(f), "verdict": verdict}), file=out)
        print(json.dumps({"seconds": time.monotonic() - start}), file=out)


if __name__ == "__main__":
    main()
