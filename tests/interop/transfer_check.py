#!/usr/bin/env python3
"""Copies from and to a server that answers late, short, few at a time or not at all, and whose sessions expire.

usage: transfer_check.py --smbproof PROGRAM

Prints TAP. The server is scripted.py: nothing is needed but Python.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from scripted import (  # noqa: E402
    CLOSE, CREATE, DISK_FULL, EXPIRED, QUERY_DIRECTORY, QUERY_INFO, READ, RELATED, SET_INFO, WRITE, Answer,
    ScriptedServer,
)  # fmt: skip
from tap import Tap  # noqa: E402

DONE, PROBLEM = 0, 1
LARGE = os.urandom(9 << 20) + b"the end"
MEDIUM = LARGE[-700_000:]
SMALL = os.urandom(1000)
TIMEOUT_SECONDS = 120
GUARDED = (CREATE, CLOSE, READ, WRITE, SET_INFO, QUERY_INFO, QUERY_DIRECTORY)  # that an expired session may not make
# (label, what is copied, arguments of the server): those that grant one credit at a time have to do for everything, too.
SERVERS = (
    ("", LARGE, {}),
    (", one credit", MEDIUM, {"credits": 1}),
    (", one credit of 64 KiB", MEDIUM, {"credits": 1, "dialect": 0x0202, "multi_credit": False, "max_size": 65536}),
)


class Client:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.environment = {**os.environ, "HOME": str(folder)}

    def run(self, server, command, *arguments, data=b""):
        urls = [f"smb://127.0.0.1:{server.port}/data/{part[4:]}" if str(part).startswith("smb:") else part
                for part in arguments]  # fmt: skip
        done = subprocess.run(
            [self.program, command, "--auth=anonymous", "--timeout=20", *map(str, urls)], input=data,
            capture_output=True, env=self.environment, cwd=self.folder, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


class Bench:
    """One client, many servers."""

    def __init__(self, tap, client, folder):
        self.tap, self.client, self.folder = tap, client, folder

    def leftovers(self, server):
        yield from (f"{path} was left here" for path in self.folder.rglob("*.part"))
        yield from (f"{name} was left there" for name in server.files if name.endswith(".part"))
        yield from server.problems

    def get(self, label, script, status=DONE, check=None, content=LARGE, **options):
        """A file is got, into a file and to standard output. script: makes one, for one run."""
        for to_stream in (False, True):
            target = self.folder / "got"
            target.unlink(missing_ok=True)
            with ScriptedServer({"file": content}, None, **options) as server:
                server.script = script(server)
                code, out, said = self.client.run(server, "get", "smb:file", "-" if to_stream else target)
                got = out if to_stream else target.read_bytes() if target.exists() else None
                wrong = [] if code == status else [f"{code}: {said}"]
                if status == DONE and got != content:
                    wrong.append(f"what came differs: {got and len(got)} octets: {said}")
                if status != DONE and not to_stream and got is not None:
                    wrong.append("it has its name all the same")
                wrong += check(server, said, to_stream) if check else []
                self.tap.result(f"get{' -' if to_stream else ''}: {label}", wrong + list(self.leftovers(server)))

    def put(self, label, script, status=DONE, check=None, content=LARGE, streams=(False, True), **options):
        path = self.folder / "source"
        for from_stream in streams:
            path.write_bytes(content)
            with ScriptedServer({}, None, **options) as server:
                server.script = script(server)
                code, _, said = self.client.run(server, "put", "-" if from_stream else path, "smb:file",
                                                data=content if from_stream else b"")  # fmt: skip
                there = server.files.get("file")
                wrong = [] if code == status else [f"{code}: {said}"]
                if status == DONE and there != path.read_bytes():
                    wrong.append(f"what is there differs: {there and len(there)} octets: {said}")
                if status != DONE and there is not None:
                    wrong.append("it has its name all the same")
                wrong += check(server, said, from_stream) if check else []
                self.tap.result(f"put{' -' if from_stream else ''}: {label}", wrong + list(self.leftovers(server)))


# ---- scripts ----


def as_usual(server):
    del server
    return lambda request: None


def late(*commands, **answer):
    """Interim responses before the final one, to each request of these commands."""
    return lambda server: lambda request: Answer(pending=2, **answer) if request.command in commands else None


def short(command, length):
    """Each second one brings or takes fewer octets than it might."""
    return lambda server: lambda request: Answer(length=length) if request.command == command and request.nth % 2 else None


def leading_on(server):
    """Where a listing ends it says that another entry follows, which is not there: as impacket's smbserver does."""
    del server
    return lambda request: Answer(leads_on=True) if request.command == QUERY_DIRECTORY else None


def always_short(server):
    del server
    return lambda request: Answer(length=500) if request.command == WRITE else None


def full_disk(server):
    """The WRITE fails; what follows it in its chain would not."""
    del server
    return lambda request: Answer(status=DISK_FULL) if request.command == WRITE else None


def full_disk_strict(server):
    """The WRITE fails, and so does what follows it in its chain (3.3.5.2.7.2)."""
    failed = []

    def script(request):
        failed[:] = [True] if request.command == WRITE else failed if request.flags & RELATED else []
        return Answer(status=DISK_FULL) if failed else None

    del server
    return script


def expiring(command, *which):
    """The session expires at these requests of the command, until somebody logged on again."""

    def make(server):
        expired = set()

        def script(request):
            if request.command == command and request.nth in which:
                expired.add(server.logons)
            return Answer(status=EXPIRED) if request.command in GUARDED and server.logons in expired else None

        return script

    return make


def always_expired(command):
    return lambda server: lambda request: Answer(status=EXPIRED) if request.command == command else None


def expiring_often(command, times):
    """Each session expires at its second request of the command, as often as said."""

    def make(server):
        seen = collections.Counter()

        def script(request):
            seen[server.logons] += request.command == command
            is_expired = seen[server.logons] > 1 and server.logons <= times
            return Answer(status=EXPIRED) if is_expired and request.command in GUARDED else None

        return script

    return make


def logged_on_again(times):
    return lambda server, said, stream: [] if server.logons == 1 + times else [f"logons: {server.logons}"]


def changing(change, how_often=1):
    """The file changes with the third READ of a copy, as often as said."""

    def make(server):
        left = [how_often]

        def script(request):
            if request.command == READ and request.nth % 12 == 2 and left[0] > 0:
                left[0] -= 1
                server.times["file"] += 1
                change(server.files["file"])

        return script

    return make


def shrink(content):
    del content[-(3 << 20) :]


def grow(content):
    content.extend(b"more")


# ---- tests ----


def copies(bench):
    for label, content, options in SERVERS:
        bench.get(f"as usual{label}", as_usual, content=content, **options)
        bench.put(f"as usual{label}", as_usual, content=content, **options)
        bench.put(f"a small file{label}", as_usual, content=SMALL, **options)
        bench.get(f"STATUS_PENDING first{label}", late(CREATE, READ, CLOSE), content=content, **options)
        bench.put(f"STATUS_PENDING first{label}", late(CREATE, WRITE, SET_INFO, CLOSE, QUERY_INFO), content=content, **options)
        bench.put(f"a small file, STATUS_PENDING first{label}", late(CREATE, WRITE, SET_INFO, CLOSE), content=SMALL, **options)
        bench.get(f"short READs{label}", short(READ, 50001), content=content, **options)
        bench.put(f"short WRITEs{label}", short(WRITE, 50001), content=content, **options)
        bench.put(f"a small file, a short WRITE{label}", always_short, status=PROBLEM, content=SMALL, streams=(False,),
                  **options)  # fmt: skip
        bench.put(f"a small file, a full disk{label}", full_disk, status=PROBLEM, content=SMALL, **options)
        bench.put(f"a small file, a full disk, and all that follows fails{label}", full_disk_strict, status=PROBLEM,
                  content=SMALL, **options)  # fmt: skip
        bench.get(f"expires at a READ{label}", expiring(READ, 2), check=logged_on_again(1), content=content, **options)
        bench.get(f"expires three times{label}", expiring_often(READ, 3), check=logged_on_again(3), content=content, **options)
        bench.put(f"expires at a WRITE{label}", expiring(WRITE, 2), check=logged_on_again(1), content=content, **options)
        bench.put(f"expires three times{label}", expiring_often(WRITE, 3), check=logged_on_again(3), content=content, **options)
        bench.get(f"expires at CREATE{label}", expiring(CREATE, 0), check=logged_on_again(1), content=content, **options)
        bench.get(f"expires at CLOSE{label}", expiring(CLOSE, 0), check=logged_on_again(1), content=content, **options)
        for command, name in ((CREATE, "CREATE"), (WRITE, "WRITE"), (SET_INFO, "SET_INFO"), (CLOSE, "CLOSE")):
            bench.put(f"a small file expires at {name}{label}", expiring(command, 0), check=logged_on_again(1),
                      content=SMALL, **options)  # fmt: skip


def endless_expiry(bench):
    def says_so(server, said, _):
        wrong = [] if "STATUS_NETWORK_SESSION_EXPIRED" in said else [said]
        return wrong + ([] if server.logons < 20 else [f"logons: {server.logons}"])

    bench.get("expired again and again", always_expired(READ), status=PROBLEM, check=says_so)
    bench.put("expired again and again", always_expired(WRITE), status=PROBLEM, check=says_so)


def changed(bench):
    now = lambda server: bytes(server.files["file"])  # noqa: E731
    for label, change in (("shrinks", shrink), ("grows", grow)):
        for to_stream in (False, True):
            target = bench.folder / "got"
            target.unlink(missing_ok=True)
            with ScriptedServer({"file": LARGE}) as server:
                server.script = changing(change)(server)
                code, out, said = bench.client.run(server, "get", "smb:file", "-" if to_stream else target)
                if to_stream:
                    wrong = [] if code == PROBLEM and "changed while" in said else [f"{code}: {said}"]
                else:
                    wrong = [] if code == DONE and "copied again" in said else [f"{code}: {said}"]
                    wrong += [] if target.exists() and target.read_bytes() == now(server) else ["what came differs"]
                bench.tap.result(f"get{' -' if to_stream else ''}: the file {label} once",
                                 wrong + list(bench.leftovers(server)))  # fmt: skip
        with ScriptedServer({"file": LARGE}) as server:
            target.unlink(missing_ok=True)
            server.script = changing(lambda content: content.append(1), 100)(server)
            code, _, said = bench.client.run(server, "get", "smb:file", target)
            wrong = [] if code == PROBLEM and "changes while it is copied" in said else [f"{code}: {said}"]
            wrong += ["it has its name all the same"] if target.exists() else []
        bench.tap.result("get: the file grows each time", wrong + list(bench.leftovers(server)))


def source_changes(bench):
    """What is sent changes here."""
    for label, size in (("shrinks", -100000), ("grows", 100000)):
        path = bench.folder / "source"
        path.write_bytes(LARGE)

        def script(request):
            if request.command == WRITE and request.nth == 2:
                os.truncate(path, len(LARGE) + size)

        with ScriptedServer({}, script) as server:
            code, _, said = bench.client.run(server, "put", path, "smb:file")
            wrong = [] if code == DONE and "copied again" in said else [f"{code}: {said}"]
            wrong += [] if server.files.get("file") == path.read_bytes() else ["what is there differs"]
        bench.tap.result(f"put: the file {label} once", wrong + list(bench.leftovers(server)))


def trees(bench):
    """Many small files, with each oddity somewhere among them."""
    source = bench.folder / "tree"
    for i in range(60):
        (source / f"folder{i % 3}").mkdir(parents=True, exist_ok=True)
        (source / f"folder{i % 3}" / f"file{i}").write_bytes(os.urandom(i * 7))
    names = {str(path.relative_to(source)): path for path in source.rglob("*") if path.is_file()}
    scripts = (("as usual", as_usual), ("STATUS_PENDING first", late(CREATE, READ, WRITE, SET_INFO, CLOSE, QUERY_INFO)),
               ("listings whose end is none", leading_on),
               ("expires at a CREATE", expiring(CREATE, 20)), ("expires at a CLOSE", expiring(CLOSE, 20)),
               ("expires at a WRITE or READ", lambda server: lambda request:
                   expired_once(server, request, (READ, WRITE), 15)))  # fmt: skip
    for label, _, options in SERVERS:
        for script_label, script in scripts:
            with ScriptedServer({}, **options) as server:
                server.script = script(server)
                code, _, said = bench.client.run(server, "put", "-r", source, "smb:")
                wrong = [] if code == DONE else [f"put: {code}: {said}"]
                there = {name: content for name, content in server.files.items()}
                wanted = {"tree\\" + name.replace("/", "\\"): path.read_bytes() for name, path in names.items()}
                wrong += [] if there == wanted else [f"what is there differs: {len(there)} of {len(wanted)}"]
                server.count.clear()
                server.logons = 0
                target = bench.folder / f"back{label}{script_label}"
                server.script = script(server)
                code, _, said = bench.client.run(server, "get", "-r", "smb:tree", target)
                wrong += [] if code == DONE else [f"get: {code}: {said}"]
                wrong += [f"{name} differs" for name, path in names.items()
                          if not (target / name).exists() or (target / name).read_bytes() != path.read_bytes()]  # fmt: skip
                bench.tap.result(f"a tree there and back: {script_label}{label}", wrong[:10] + list(bench.leftovers(server)))


def recursive_file(bench):
    """-r takes a file, too, and makes no folder of it."""
    target = bench.folder / "a file"
    with ScriptedServer({"file": MEDIUM}) as server:
        code, _, said = bench.client.run(server, "get", "-r", "smb:file", target)
        wrong = [] if code == DONE and target.is_file() and target.read_bytes() == MEDIUM else [f"get: {code}: {said}"]
        code, _, said = bench.client.run(server, "put", "-r", target, "smb:")
        wrong += [] if code == DONE and server.files.get("a file") == MEDIUM else [f"put: {code}: {said}"]
        code, _, said = bench.client.run(server, "get", "-r", "smb:nothing", bench.folder / "nothing")
        wrong += [] if code == PROBLEM and "no such file" in said else [f"get of nothing: {code}: {said}"]
        wrong += ["a folder was made of nothing"] if (bench.folder / "nothing").exists() else []
    bench.tap.result("get -r and put -r of a file", wrong + list(bench.leftovers(server)))


def expired_once(server, request, commands, nth):
    if request.command in commands and request.nth == nth and not hasattr(server, "expired_at"):
        server.expired_at = server.logons
    is_expired = getattr(server, "expired_at", None) == server.logons and request.command in GUARDED
    return Answer(status=EXPIRED) if is_expired else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smbproof-transfer-") as name:
        bench = Bench(Tap(), Client(options.smbproof, Path(name)), Path(name))
        copies(bench)
        endless_expiry(bench)
        changed(bench)
        source_changes(bench)
        trees(bench)
        recursive_file(bench)
    return bench.tap.done()


if __name__ == "__main__":
    sys.exit(main())
