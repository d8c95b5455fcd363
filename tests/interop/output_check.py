#!/usr/bin/env python3
"""A command that cannot write its output says so, and does not exit with 0.

usage: output_check.py --smbproof PROGRAM

Prints TAP. The server is scripted.py.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from scripted import ScriptedServer  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 60
CAPTURE = Path(__file__).parents[2] / "examples" / "healthy.pcap"
# What each writes: to standard output, told as such, or what a file holds.
COMMANDS = (
    ("--help",),
    ("--version",),
    ("get", "--help"),
    ("settings",),
    ("settings", "--output=json", "host.example"),
    ("explain", str(CAPTURE)),
    ("explain", "--json", str(CAPTURE)),
    ("probe", "--list"),
    ("probe", "--dry-run", "smb://127.0.0.1/data"),
    ("probe", "--only=reach", "URL"),
    ("probe", "--only=reach", "--json", "URL"),
    ("ls", "--auth=anonymous", "URL"),
    ("ls", "--auth=anonymous", "-o", "json", "URL"),
    ("stat", "--auth=anonymous", "URL/file"),
    ("stat", "--auth=anonymous", "-o", "json", "URL/file"),
    ("cat", "--auth=anonymous", "URL/file"),
    ("get", "--auth=anonymous", "URL/file", "-"),
)
CANNOT_TELL, LOCAL, INTERNAL = 2, 4, 5


def run(program, arguments, **options):
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          timeout=TIMEOUT_SECONDS, **options)  # fmt: skip
    return done.returncode, done.stderr.decode(errors="replace")


def complaints(program, arguments, folder):
    environment = {**os.environ, "HOME": folder}
    wanted = LOCAL if arguments[0] in ("cat", "get") and "--help" not in arguments else INTERNAL
    code, said = run(program, arguments, stdout=subprocess.DEVNULL, env=environment)
    if code != 0 and (arguments[0], code) != ("probe", CANNOT_TELL):
        yield f"where there is room: {code}: {said}"
    with open("/dev/full", "wb") as full:
        code, said = run(program, arguments, stdout=full, env=environment)
    if code != wanted or not ("No space left" in said or "cannot be written" in said):
        yield f"/dev/full: {code}: {said}"
    code, said = run(program, arguments, env=environment, preexec_fn=lambda: os.close(1))
    if code != wanted or not ("Bad file descriptor" in said or "cannot be written" in said):
        yield f"closed: {code}: {said}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    options = parser.parse_args()
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-output-") as folder, ScriptedServer({"file": b"octets"}) as server:
        url = f"smb://127.0.0.1:{server.port}/data"
        for command in COMMANDS:
            arguments = [part.replace("URL", url) for part in command]
            tap.result(" ".join(command).replace(str(CAPTURE), CAPTURE.name), complaints(options.smbproof, arguments, folder))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
