#!/usr/bin/env python3
"""Are the man pages well formed, and do they tell of each option that the command has?

usage: man_check.py --smbproof COMMAND
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tap import Tap


def lint(page):
    """-> complaints of mandoc or groff; None where neither is installed."""
    if shutil.which("mandoc"):
        command = ["mandoc", "-Tlint", "-Wwarning", page]
    elif shutil.which("groff"):
        command = ["groff", "-mandoc", "-ww", "-z", page]
    else:
        return None
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return (run.stdout + run.stderr).splitlines()


def options_of(text):
    return set(re.findall(r"--[a-z][a-z-]+", text))


def options_complaints(command, name, page):
    run = subprocess.run([command, name, "--help"], capture_output=True, text=True, timeout=60)
    printed = options_of(run.stdout)
    written = options_of(page.read_text().replace("\\-", "-"))
    if run.returncode != 0 or not printed:
        yield f"{name} --help: exit status {run.returncode}, {len(printed)} options"
    for option in sorted(printed - written):
        yield f"{option} is not in {page.name}"
    for option in sorted(written - printed):
        yield f"{option} is in {page.name} but not in --help"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    command = parser.parse_args().smbproof
    docs = Path(os.environ["SMBPROOF_SOURCE_ROOT"]) / "docs"
    tap = Tap()
    for page in sorted(docs.glob("*.1")):
        complaints = lint(page)
        if complaints is None:
            tap.skip(page.name, "neither mandoc nor groff is installed")
        else:
            tap.result(page.name, complaints)
    for page in sorted(docs.glob("smbproof-*.1")):
        name = page.stem.removeprefix("smbproof-")
        tap.result(f"options of {name}", options_complaints(command, name, page))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
