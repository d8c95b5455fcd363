#!/usr/bin/env python3
"""Ctrl-C while a server hangs: the end comes at once, nothing half done has its name, and it is said.

usage: interrupt_check.py --smbproof PROGRAM

Prints TAP. The server is scripted.py: it falls silent at one request.
"""
import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from scripted import (  # noqa: E402
    CLOSE, CREATE, READ, SESSION_SETUP, SET_INFO, TREE_CONNECT, WRITE, Answer, ScriptedServer,
)  # fmt: skip
from tap import Tap  # noqa: E402

PROBLEM = 1
CONTENT = os.urandom(6 << 20)
# Seconds that the client itself would wait, and after which a hanging client is no client that acts at once.
PATIENCE, SOON = 60, 15


class Client:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.environment = {**os.environ, "HOME": str(folder)}

    def start(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [self.program, arguments[0], "--auth=anonymous", f"--timeout={PATIENCE}", *map(str, arguments[1:])]
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, **options)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def silent_at(command, nth):
    return lambda request: Answer(silent=True) if request.command == command and request.nth == nth else None


def end(process, signals=(signal.SIGINT,)):
    """Exit status, what was said, and complaints where it took its time."""
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    try:
        said = process.communicate(timeout=PATIENCE / 2)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, "", ["it goes on"]
    seconds = time.monotonic() - began
    return process.returncode, said, [] if seconds < SOON else [f"it took {seconds:.1f} s"]


def leftovers(folder):
    return [f"{path.name} was left" for path in folder.iterdir() if path.name.endswith(".part")]


def get(tap, client, label, command, nth, keeps):
    """The server is silent from this request on; what had come before may be kept for --continue."""
    target = client.folder / "got"
    with ScriptedServer({"file": CONTENT}, silent_at(command, nth), credits=8) as server:
        process = client.start("get", f"smb://127.0.0.1:{server.port}/data/file", target)
        wrong = [] if wait_for(lambda: server.count[command] > nth) else ["it did not come so far"]
        time.sleep(0.3)
        code, said, more = end(process)
        wrong += more
        wrong += [] if code == PROBLEM and "nterrupted" in said else [f"{code}: {said}"]
        wrong += ["it has its name"] if target.exists() else []
        parts = leftovers(client.folder)
        wrong += [] if bool(parts) == keeps == ("--continue" in said) else [f"left: {parts}: {said}"]
    if keeps and not wrong:
        with ScriptedServer({"file": CONTENT}) as server:
            process = client.start("get", "--continue", f"smb://127.0.0.1:{server.port}/data/file", target)
            said = process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
            wrong += [] if process.returncode == 0 and "goes on at octet" in said else [f"--continue: {said}"]
            wrong += [] if target.exists() and target.read_bytes() == CONTENT else ["what came in the end differs"]
    for path in [target, *client.folder.glob(".smbproof-*.part")]:
        path.unlink(missing_ok=True)
    tap.result(f"get, Ctrl-C: the server is silent {label}", wrong)


def put(tap, client, label, command, nth):
    source = client.folder / "source"
    source.write_bytes(CONTENT)
    with ScriptedServer({}, silent_at(command, nth), credits=8) as server:
        process = client.start("put", source, f"smb://127.0.0.1:{server.port}/data/file")
        wrong = [] if wait_for(lambda: server.count[command] > nth) else ["it did not come so far"]
        time.sleep(0.3)
        code, said, more = end(process)
        wrong += more
        wrong += [] if code == PROBLEM and "nterrupted" in said else [f"{code}: {said}"]
        wrong += ["it has its name"] if "file" in server.files else []
        wrong += [] if "may be left on the share" in said else [f"nothing is said of what is left: {said}"]
    tap.result(f"put, Ctrl-C: the server is silent {label}", wrong)


def before_anything(tap, client):
    """Nothing was begun: the signal kills, as everywhere."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = client.start("get", f"smb://127.0.0.1:{listener.getsockname()[1]}/data/file", client.folder / "got")
        with listener.accept()[0] as stream:
            stream.recv(4)
            code, said, wrong = end(process)
    wrong += [] if code == -signal.SIGINT else [f"{code}: {said}"]
    tap.result("get, Ctrl-C: the server accepts and is silent", wrong + leftovers(client.folder))
    for command, label in ((SESSION_SETUP, "SESSION_SETUP"), (TREE_CONNECT, "TREE_CONNECT")):
        with ScriptedServer({"file": CONTENT}, silent_at(command, 0)) as server:
            process = client.start("get", f"smb://127.0.0.1:{server.port}/data/file", client.folder / "got")
            wrong = [] if wait_for(lambda: server.count[command] > 0) else ["it did not come so far"]
            code, said, more = end(process)
            wrong += more + ([] if code == -signal.SIGINT else [f"{code}: {said}"])
        tap.result(f"get, Ctrl-C: the server is silent at {label}", wrong + leftovers(client.folder))


def second_time(tap, client):
    """Two signals at once kill, and nothing has its name."""
    target = client.folder / "got"
    slow = lambda request: Answer(delay=0.4) if request.command == READ else None  # noqa: E731
    with ScriptedServer({"file": CONTENT}, slow, credits=8) as server:
        process = client.start("get", f"smb://127.0.0.1:{server.port}/data/file", target)
        wrong = [] if wait_for(lambda: server.count[READ] > 1) else ["it did not come so far"]
        code, said, more = end(process, (signal.SIGINT, signal.SIGINT))
        wrong += more + ([] if code == -signal.SIGINT else [f"{code}: {said}"])
        wrong += ["it has its name"] if target.exists() else []
    for path in client.folder.glob(".smbproof-*.part"):
        path.unlink()
    tap.result("get, Ctrl-C twice", wrong)


def slow_server(tap, client):
    """A server that is slow, but lives, gets its time: what came is kept, and the connection ends as it should."""
    target = client.folder / "got"
    slow = lambda request: Answer(delay=0.1) if request.command == READ else None  # noqa: E731
    with ScriptedServer({"file": CONTENT}, slow, credits=8) as server:
        process = client.start("get", f"smb://127.0.0.1:{server.port}/data/file", target)
        wrong = [] if wait_for(lambda: server.count[READ] > 3) else ["it did not come so far"]
        code, said, more = end(process)
        wrong += more + ([] if code == PROBLEM and "interrupted" in said and "--continue" in said else [f"{code}: {said}"])
        wrong += [] if server.count[CLOSE] == 1 else ["the file was not closed"]
    for path in client.folder.glob(".smbproof-*.part"):
        path.unlink()
    tap.result("get, Ctrl-C: the server is slow", wrong)


def ignored(tap, client):
    """Where the signal was ignored, as in the background of a shell, it stays so."""
    target = client.folder / "got"
    slow = lambda request: Answer(delay=0.1) if request.command == READ else None  # noqa: E731
    with ScriptedServer({"file": CONTENT}, slow, credits=8) as server:
        process = client.start("get", f"smb://127.0.0.1:{server.port}/data/file", target,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))  # fmt: skip
        wrong = [] if wait_for(lambda: server.count[READ] > 1) else ["it did not come so far"]
        code, said, more = end(process)
        wrong += more + ([] if code == 0 and target.read_bytes() == CONTENT else [f"{code}: {said}"])
    target.unlink(missing_ok=True)
    tap.result("get, Ctrl-C where it is ignored", wrong)


def silent_input(tap, client):
    """What is waited for is not the server, but the pipe that is read."""
    with ScriptedServer({}) as server:
        process = client.start("put", "-", f"smb://127.0.0.1:{server.port}/data/file", stdin=subprocess.PIPE)
        process.stdin.write(b"some")
        process.stdin.flush()
        wrong = [] if wait_for(lambda: server.count[CREATE] > 0 and server.files) else ["it did not come so far"]
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        wrong += [] if wait_for(lambda: process.poll() is not None) else ["it goes on"]
        process.kill()
        said = process.communicate()[1].decode(errors="replace")
        wrong += [] if process.returncode == PROBLEM and "interrupted" in said else [f"{process.returncode}: {said}"]
        wrong += [f"{name} is there" for name in server.files]
    tap.result("put -, Ctrl-C: nothing comes to be sent", wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    options = parser.parse_args()
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-interrupt-") as name:
        client = Client(options.smbproof, Path(name))
        before_anything(tap, client)
        get(tap, client, "at CREATE", CREATE, 0, False)
        get(tap, client, "at the first READ", READ, 0, False)
        get(tap, client, "in the middle", READ, 5, True)
        get(tap, client, "at CLOSE", CLOSE, 0, True)
        put(tap, client, "in the middle", WRITE, 5)
        put(tap, client, "at the rename", SET_INFO, 2)
        slow_server(tap, client)
        second_time(tap, client)
        ignored(tap, client)
        silent_input(tap, client)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
