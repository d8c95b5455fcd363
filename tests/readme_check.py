#!/usr/bin/env python3
"""Is what README.md shows between its demo markers what the command prints?

usage: readme_check.py --smbproof COMMAND [--update]

The block holds `$ build/smbproof ...`, the output, `$ echo $?`, and the exit status. --update puts the true output
there.
"""
import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tap import Tap

BLOCK = re.compile(
    r"(<!-- demo:start -->\n```console\n\$ ((?:build/)?smbproof [^\n]+)\n)(.*?)(```\n<!-- demo:end -->)", re.DOTALL
)


def truth_of(command, line, source):
    """What the block should hold below its first line."""
    environment = {**os.environ, "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    run = subprocess.run(
        [command, *shlex.split(line)[1:]], cwd=source, env=environment, capture_output=True, text=True, timeout=60
    )
    return f"{run.stdout}$ echo $?\n{run.returncode}\n"


def first_difference(shown, truth):
    shown, truth = shown.splitlines(), truth.splitlines()
    for number, (left, right) in enumerate(zip(shown, truth), 2):
        if left != right:
            return f"line {number} of the demo:\n  README.md: {left}\n  truth:     {right}"
    return f"README.md shows {len(shown)} lines, the command prints {len(truth)}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    source = Path(os.environ.get("SMBPROOF_SOURCE_ROOT", "."))
    readme = source / "README.md"
    text = readme.read_text()
    block = BLOCK.search(text)
    tap = Tap()
    if block is None:
        tap.result("README.md has a demo", ["there is no block between the demo markers"])
        return tap.done()
    truth = truth_of(os.path.abspath(options.smbproof), block.group(2), source)
    if options.update:
        readme.write_text(text[: block.start(3)] + truth + text[block.end(3) :])
        return 0
    shown = block.group(3)
    tap.result("the demo of README.md", [] if shown == truth else [first_difference(shown, truth)])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
