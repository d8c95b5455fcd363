#!/usr/bin/env python3
"""Checks the two models with spin: what must hold holds, and what is known to be an attack is found.

usage: check.py [--trail FOLDER]

Prints TAP; --trail keeps the attacks as spin tells them. Needs spin and a C compiler.
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
from tap import Tap  # noqa: E402

# Model, definitions, formula, does it hold, what that means.
CHECKS = (
    ("validate", (), "agreed", True, "validation: who operates has the same view as the other end"),
    ("validate", (), "never_works", False, "validation: undisturbed, the client gets to work"),
    ("validate", ("GUEST",), "agreed", False, "validation, a session without keys: the attack"),
    ("validate", ("STATUS",), "agreed", False, "validation, unsigned errors believed: the attack"),
    ("validate", ("ANSWER",), "agreed", False, "validation, a server that answers a mismatch with an error: the attack"),
    ("validate", ("SMB1",), "agreed", False, "validation, a client that falls back to SMB1: the attack"),
    ("preauth", (), "agreed", True, "3.1.1: who operates has the same view as the other end"),
    ("preauth", (), "served", True, "3.1.1: what a server serves, the client has seen alike"),
    ("preauth", (), "never_works", False, "3.1.1: undisturbed, the client gets to work"),
    ("preauth", ("UNSIGNED",), "served", True, "3.1.1, a client that does not look at the final response: still served alike"),
    ("preauth", ("UNSIGNED",), "agreed", True, "3.1.1, likewise: it does not operate apart"),
    ("preauth", ("GUEST",), "agreed", False, "3.1.1, a client that accepts a guest session: the attack"),
    ("preauth", ("SMB1",), "agreed", False, "3.1.1, a client that falls back to SMB1: the attack"),
)
TIMEOUT_SECONDS = 120


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    return done.stdout + done.stderr


def verify(folder, model, definitions, formula):
    """-> number of errors, number of states, what spin said."""
    shutil.copy(HERE / f"{model}.pml", folder)
    flags = [f"-D{word}" for word in definitions]
    said = run(folder, "spin", "-a", *flags, f"{model}.pml")
    said += run(folder, "gcc", "-O1", "-w", "-o", "pan", "pan.c")
    said += run(folder, "./pan", "-a", "-m100000", "-N", formula)
    errors = re.search(r"errors: (\d+)", said)
    states = re.search(r"(\d+) states, stored", said)
    if errors is None or states is None or "max search depth too small" in said:
        return None, 0, said
    return int(errors[1]), int(states[1]), said


def tell(folder, model, definitions):
    """The run that spin found, step by step."""
    return run(folder, "spin", "-t", "-p", "-g", *[f"-D{word}" for word in definitions], f"{model}.pml")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trail", type=Path)
    options = parser.parse_args()
    tap = Tap()
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        tap.skip("the models", "spin or gcc is not installed")
        return tap.done()
    for model, definitions, formula, holds, meaning in CHECKS:
        with tempfile.TemporaryDirectory(prefix="smbproof-model-") as folder:
            errors, states, said = verify(folder, model, definitions, formula)
            wrong = errors is None or (errors == 0) != holds
            tap.result(f"{meaning} ({states} states)", [said[-1500:]] if wrong else [])
            if options.trail is not None and not wrong and not holds:
                options.trail.mkdir(parents=True, exist_ok=True)
                name = "-".join([model, *definitions, formula]).lower()
                (options.trail / f"{name}.txt").write_text(tell(folder, model, definitions))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
