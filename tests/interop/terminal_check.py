#!/usr/bin/env python3
"""The progress bar, on a pseudo terminal: it is there, it moves, it never wraps, and nothing of it stays.

usage: terminal_check.py --smbproof PROGRAM

Prints TAP. The server is scripted.py.
"""
import argparse
import fcntl
import os
import re
import struct
import subprocess
import sys
import tempfile
import termios
import unicodedata
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from scripted import READ, WRITE, Answer, ScriptedServer  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 60
CONTENT = os.urandom(3 << 20)
ESCAPE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


def width(text):
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class Screen:
    """What a terminal of so many columns makes of it: the lines that were seen, and what stands there in the end."""

    def __init__(self, columns):
        self.columns = columns
        self.lines, self.seen, self.wrapped, self.sequences = [""], [], False, set()

    def put(self, text):
        at = 0
        while at < len(text):
            if match := ESCAPE.match(text, at):
                self.sequences.add(match[2])
                if match[2] == "K":
                    self.lines[-1] = ""
                at = match.end()
                continue
            if text[at] == "\r":
                self.seen.append(self.lines[-1])  # the bar clears the line behind it
            elif text[at] == "\n":
                self.seen.append(self.lines[-1])
                self.lines.append("")
            else:
                self.lines[-1] += text[at]
                self.wrapped |= width(self.lines[-1]) >= self.columns and "smbproof:" not in self.lines[-1]
            at += 1
        return self


def run(program, folder, columns, *arguments, environment=None):
    """Exit status and the screen, of a run whose standard error is a terminal."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "HOME": str(folder), "TERM": "xterm", **(environment or {})}
    process = subprocess.Popen([program, arguments[0], "--auth=anonymous", *map(str, arguments[1:])], env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs, cwd=folder)  # fmt: skip
    os.close(theirs)
    octets = b""
    try:
        while part := os.read(ours, 4096):
            octets += part
    except OSError:  # the last writer has closed it
        pass
    os.close(ours)
    return process.wait(TIMEOUT_SECONDS), Screen(columns or 80).put(octets.decode(errors="replace"))


def slowly(request):
    return Answer(delay=0.25) if request.command in (READ, WRITE) else None


def bars(screen):
    return [line for line in screen.seen + screen.lines if "%" in line]


def copy(tap, program, folder, label, columns, judge, name="file", options=(), environment=None, script=slowly):
    """A get and a put, judged alike."""
    path = folder / name
    (folder / "back").mkdir(exist_ok=True)
    for command in ("get", "put"):
        path.write_bytes(CONTENT)
        with ScriptedServer({name: CONTENT}, script, credits=16) as server:
            url = f"smb://127.0.0.1:{server.port}/data/{name}"
            arguments = (url, "back") if command == "get" else (name, url)
            code, screen = run(program, folder, columns, command, *options, *arguments, environment=environment)
        wrong = [] if code == 0 else [f"{code}: {screen.lines}"]
        wrong += ["it wraps"] if screen.wrapped else []
        wrong += [f"on the screen stays {screen.lines}"] if screen.lines != [""] else []
        wrong += list(judge(screen))
        tap.result(f"{command}: {label}", wrong + ([repr(screen.seen)] if wrong else []))


def shows(*parts):
    def judge(screen):
        seen = bars(screen)
        if len(set(seen)) < 2:
            yield "no bar, or one that does not move"
        yield from (f"no {part!r}" for part in parts if not any(part in line for line in seen))
        if screen.sequences != {"K"}:
            yield f"escape sequences: {screen.sequences}"

    return judge


def shows_nothing(screen):
    if bars(screen) or screen.sequences:
        yield "there is a bar"


def failure(tap, program, folder):
    """A complaint stands in a line of its own, without what was drawn before."""
    script = lambda request: Answer(status=0xC0000022, delay=0.25) if request.command == READ and request.nth > 6 else slowly(request)  # noqa: E731,E501
    with ScriptedServer({"file": CONTENT}, script, credits=4, max_size=1 << 18) as server:
        code, screen = run(program, folder, 80, "get", f"smb://127.0.0.1:{server.port}/data/file", folder / "got")
    wrong = [] if code == 1 and bars(screen) else [f"{code}"]
    complaints = [line for line in screen.lines if line]
    wrong += [] if complaints and all(line.startswith("smbproof: ") for line in complaints) else [f"{complaints}"]
    tap.result("get: it is taken away before a complaint", wrong)


def not_a_terminal(tap, program, folder):
    with ScriptedServer({"file": CONTENT}, slowly, credits=16) as server:
        done = subprocess.run(
            [program, "get", "--auth=anonymous", f"smb://127.0.0.1:{server.port}/data/file", folder / "got"],
            env={**os.environ, "HOME": str(folder), "TERM": "xterm"}, capture_output=True, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    tap.result("get: no terminal", [] if (done.returncode, done.stderr) == (0, b"") else [f"{done}"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    program = parser.parse_args().smbproof
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-terminal-") as name:
        folder = Path(name)
        copy(tap, program, folder, "80 columns", 80, shows("file [", "#", "iB/s", "s left"))
        copy(tap, program, folder, "30 columns", 30, shows("file"))
        copy(tap, program, folder, "12 columns", 12, shows("%"))
        copy(tap, program, folder, "a long name, 40 columns", 40, shows("a long"), name="a long " + "name " * 30)
        copy(tap, program, folder, "a Korean name, 40 columns", 40, shows("한글"), name="한글 " * 20)
        copy(tap, program, folder, "one column", 1, lambda screen: ())
        copy(tap, program, folder, "no width is known", 0, lambda screen: (), script=None)
        copy(tap, program, folder, "NO_COLOR", 80, shows("file ["), environment={"NO_COLOR": "1"})
        copy(tap, program, folder, "--quiet", 80, shows_nothing, options=("--quiet",))
        copy(tap, program, folder, "a dumb terminal", 80, shows_nothing, environment={"TERM": "dumb"})
        failure(tap, program, folder)
        not_a_terminal(tap, program, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
