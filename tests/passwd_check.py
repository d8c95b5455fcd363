#!/usr/bin/env python3
"""`smbproof passwd` as a person and as a script use it: prompts on a terminal, echo, signals, two at a time.

usage: passwd_check.py --smbproof COMMAND
"""
import argparse
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from tap import Tap

HASH = "7C4FE5EADA682714A036E39378362BAB"  # Password01!
SECONDS_MAX = 30


def check(condition, *words):
    if not condition:
        yield " ".join(str(word) for word in words)


class Terminal:
    """The command on a terminal of its own, as its foreground process."""

    def __init__(self, *command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        self.seen = b""

    def expect(self, text):
        deadline = time.monotonic() + SECONDS_MAX
        while text not in self.seen and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 1024)
                except OSError:
                    break
        if text not in self.seen:
            raise AssertionError(f"{text!r} did not come, but {self.seen!r}")
        self.seen = self.seen.split(text, 1)[1]

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def wait_echo(self, wanted):
        deadline = time.monotonic() + SECONDS_MAX
        while self.echoes() != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.echoes() == wanted

    def type(self, text):
        os.write(self.master, text)

    def end(self):
        """-> what is left to read, and the status as waitpid() has it"""
        rest = self.seen
        while True:
            try:
                more = os.read(self.master, 1024)
            except OSError:
                break
            if not more:
                break
            rest += more
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.master)
        return rest, status


def typed_twice(command, path):
    terminal = Terminal(command, "passwd", str(path), "alice")
    terminal.expect(b"New password for alice: ")
    yield from check(terminal.wait_echo(False), "the terminal echoes")
    terminal.type(b"Password01!\n")
    terminal.expect(b"once more: ")
    yield from check(terminal.wait_echo(False), "the terminal echoes the second time")
    terminal.type(b"Password01!\n")
    rest, status = terminal.end()
    yield from check(status == 0, "status", status, rest)
    yield from check(b"Password01" not in rest, "the password was printed:", rest)
    yield from check(path.read_text() == f"alice:{HASH}:\n", path.read_text())
    yield from check(path.stat().st_mode & 0o777 == 0o600, oct(path.stat().st_mode))


def typed_differently(command, path):
    before = path.read_text()
    terminal = Terminal(command, "passwd", str(path), "alice")
    terminal.expect(b"New password for alice: ")
    terminal.wait_echo(False)
    terminal.type(b"one\n")
    terminal.expect(b"once more: ")
    terminal.wait_echo(False)
    terminal.type(b"other\n")
    rest, status = terminal.end()
    yield from check(os.waitstatus_to_exitcode(status) == 1 and b"differ" in rest, status, rest)
    yield from check(path.read_text() == before, "the file was changed")


def interrupted(command, path):
    """Ctrl-C ends it, and the terminal echoes again."""
    before = path.read_text()
    terminal = Terminal(command, "passwd", str(path), "alice")
    terminal.expect(b"New password for alice: ")
    terminal.wait_echo(False)
    terminal.type(b"hal\x03")
    yield from check(terminal.wait_echo(True), "the terminal does not echo afterwards")
    _, status = terminal.end()
    yield from check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT, "status", status)
    yield from check(path.read_text() == before, "the file was changed")


def stopped(command, path):
    """Stopped and continued: it echoes meanwhile, and asks again."""
    terminal = Terminal(command, "passwd", str(path), "alice")
    terminal.expect(b"New password for alice: ")
    terminal.wait_echo(False)
    os.kill(terminal.pid, signal.SIGTSTP)
    # Nobody is the shell here: an orphaned process group is not stopped by this signal, and goes on at once.
    terminal.expect(b"New password for alice: ")
    yield from check(terminal.wait_echo(False), "the terminal echoes")
    terminal.type(b"Password02!\n")
    terminal.expect(b"once more: ")
    terminal.wait_echo(False)
    terminal.type(b"Password02!\n")
    rest, status = terminal.end()
    yield from check(status == 0, "status", status, rest)
    yield from check(HASH not in path.read_text(), "the password was not changed")


def script(command, path, text, *options, user="alice"):
    return subprocess.run(
        [command, "passwd", *options, str(path), user], input=text, capture_output=True, timeout=SECONDS_MAX
    )


def from_a_script(command, path):
    for text, user, status, word in (
        (b"Password01!\n", "alice", 0, b""), (b"Password01!\nmore\n", "alice", 0, b""),
        (b"", "alice", 4, b"no password"), (b"\n", "alice", 1, b"empty"), (b"\xff\n", "alice", 4, b"UTF-8"),
        (b"x" * 1025 + b"\n", "alice", 4, b"too long"), (b"x\n", "a:b", 1, b"colon"), (b"x\n", "a\nb", 1, b"control"),
        (b"x\n", "", 1, b"name"),
    ):  # fmt: skip
        run = script(command, path, text, user=user)
        yield from check(run.returncode == status and word in run.stderr, text[:20], user, run.returncode, run.stderr)
        yield from check(not text[:6].strip() or text[:6].strip() not in run.stdout + run.stderr or text[:1] == b"x",
                         "it prints what it reads")  # fmt: skip
    yield from check(path.read_text() == f"alice:{HASH}:\n", path.read_text())


def options(command, path):
    for option, user, status, content in (
        ("--disable", "ALICE", 0, f"alice:{HASH}:disabled\n"), ("--enable", "alice", 0, f"alice:{HASH}:\n"),
        ("--delete", "bob", 1, f"alice:{HASH}:\n"), ("--delete", "alice", 0, ""),
    ):  # fmt: skip
        run = script(command, path, b"", option, user=user)
        yield from check(run.returncode == status, option, user, run.returncode, run.stderr)
        yield from check(path.read_text() == content, option, user, path.read_text())
    run = script(command, path, b"", "--delete", "--enable")
    yield from check(run.returncode == 3, "two options at once:", run.returncode)
    run = subprocess.run([command, "passwd", str(path), "alice", "Password01!"], capture_output=True, timeout=SECONDS_MAX)
    yield from check(run.returncode == 3 and b"never an argument" in run.stderr, "a password as argument:", run.stderr)


def modes(command, path):
    before = path.read_text()
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        run = script(command, path, b"Password01!\n")
        yield from check(run.returncode == 4 and b"chmod 600" in run.stderr, oct(mode), run.returncode, run.stderr)
    path.chmod(0o600)
    yield from check(path.read_text() == before, "the file was changed")


def many_at_once(command, path):
    """Each waits for the others, and none of their changes is lost."""
    runs = [
        subprocess.Popen([command, "passwd", str(path), f"user{i}"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(12)
    ]
    for run in runs:
        run.communicate(b"Password01!\n", timeout=SECONDS_MAX)
    lines = sorted(path.read_text().split())
    yield from check(all(run.returncode == 0 for run in runs), [run.returncode for run in runs])
    yield from check(lines == sorted(f"user{i}:{HASH}:" for i in range(12)), len(lines), "users")
    yield from check(os.listdir(path.parent) == [path.name], "left behind:", os.listdir(path.parent))


def through_a_link(command, path):
    link = path.parent / "link"
    link.symlink_to(path.name)
    run = script(command, link, b"Password01!\n", user="linked")
    yield from check(run.returncode == 0, run.stderr)
    yield from check(link.is_symlink() and "linked:" in path.read_text(), "the link was replaced")
    link.unlink()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    command = os.path.abspath(parser.parse_args().smbproof)
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-passwd-") as folder:
        path = Path(folder) / "accounts"
        for test in (typed_twice, typed_differently, interrupted, stopped, from_a_script, options, modes, many_at_once,
                     through_a_link):  # fmt: skip
            tap.result(test.__name__.replace("_", " "), test(command, path))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
