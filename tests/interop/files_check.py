#!/usr/bin/env python3
"""The commands on files against smbd, and impacket: what is copied is the same, and what fails leaves nothing half done.

usage: files_check.py --smbproof PROGRAM [--large MIB] [--files COUNT]

Prints TAP. Skipped where smbd cannot be started. CI copies 24 MiB and 200 files; --large 1024 --files 10000 is for
an evening.
"""
import argparse
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from samba import Samba, free_port  # noqa: E402
from tap import Tap  # noqa: E402

DIALECTS = ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1")
SIZES = (0, 1, 65535, 65536, 65537)
TIMEOUT_SECONDS = 300
# Octets of a file that is long enough on its way to be interrupted.
LONG_SIZE = 384 << 20
NAMES = ("한글 파일", "emoji 😀🗂️", "e\u0301 and é", "dots...in.it", "UPPER lower", "ㅎ" * 80)
DONE, PROBLEM, USAGE, LOCAL, LOST, LOGON = 0, 1, 3, 4, 6, 7


class Client:
    def __init__(self, program, samba, folder):
        self.program, self.samba, self.folder = program, samba, folder
        self.timeout_seconds = TIMEOUT_SECONDS
        self.environment = {**os.environ, "SMBPROOF_PASSWORD": samba.password, "HOME": str(folder)}
        self.environment.pop("KRB5CCNAME", None)

    def url(self, path="", share="data"):
        return f"smb://root@127.0.0.1:{self.samba.port}/{share}/{path}"

    def start(self, *arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen([self.program, *map(str, arguments)], env=self.environment, cwd=self.folder, **options)

    def run(self, *arguments, data=None):
        done = subprocess.run(
            [self.program, *map(str, arguments)],
            input=data if data is not None else b"",
            capture_output=True,
            env=self.environment,
            cwd=self.folder,
            timeout=self.timeout_seconds,
        )
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def wrong(self, wanted, *arguments, **options):
        """Complaints where the exit status is another one."""
        status, _, said = self.run(*arguments, **options)
        return [] if status == wanted else [f"{' '.join(map(str, arguments))}: {status}, should be {wanted}: {said}"]


def digest(path):
    value = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            value.update(piece)
    return value.hexdigest()


def differences(a, b):
    """Do two files have the same octets and the same time of last writing, to FILETIME's 100 ns?"""
    if not b.exists():
        yield f"{b.name} is not there"
    elif digest(a) != digest(b):
        yield f"{b.name} differs"
    elif a.stat().st_mtime_ns // 100 != b.stat().st_mtime_ns // 100:
        yield f"{b.name} has another time: {a.stat().st_mtime_ns} and {b.stat().st_mtime_ns}"


def random_file(path, size):
    with open(path, "wb") as file:
        left = size
        while left > 0:
            file.write(os.urandom(min(left, 1 << 20)))
            left -= 1 << 20
    os.truncate(path, size)
    return path


def leftovers(folder):
    return [f"{path} was left" for path in Path(folder).rglob("*smbproof*.part")]


def part_name(name):
    """Under which name a copy of `name` is written: FNV-1a tells them apart."""
    mark = 0xcbf29ce484222325
    for octet in name.encode():
        mark = (mark ^ octet) * 0x100000001b3 & (1 << 64) - 1
    return f".smbproof-{mark:016x}.part"


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.002)
    return None


def there_and_back(tap, client, options, label, files):
    wrong = []
    back = client.folder / "back"
    back.mkdir(exist_ok=True)
    for path in files:
        wrong += client.wrong(DONE, "put", *options, path, client.url())
        wrong += differences(path, client.samba.share / path.name)
        wrong += client.wrong(DONE, "get", *options, client.url(path.name), back)
        wrong += differences(path, back / path.name)
        status, out, _ = client.run("cat", *options, client.url(path.name))
        if status != DONE or hashlib.sha256(out).hexdigest() != digest(path):
            wrong.append(f"cat of {path.name}: {status}, {len(out)} octets")
    tap.result(f"there and back: {label}", wrong + leftovers(client.samba.share) + leftovers(back))


def each_dialect(tap, client, large):
    small = [random_file(client.folder / f"small{size}", size) for size in SIZES]
    for dialect in DIALECTS:
        protections = [(), ("--sign=required",)] + ([("--encrypt=required",)] if dialect >= "3" else [])
        for protection in protections:
            options = (f"--dialects={dialect}", *protection)
            there_and_back(tap, client, options, " ".join((dialect, *protection)), small + [large])


def names(tap, client):
    wrong = []
    for name in NAMES:
        path = random_file(client.folder / name, 1000)
        wrong += client.wrong(DONE, "put", path, client.url())
        wrong += differences(path, client.samba.share / name)
        target = client.folder / "named"
        wrong += client.wrong(DONE, "get", client.url(name), target)
        wrong += differences(path, target) if target.exists() else [f"{name} did not come"]
    status, out, _ = client.run("ls", "-o", "json", client.url())
    listed = {entry["name"] for entry in json.loads(out)} if status == DONE else set()
    wrong += [f"{name} is not listed" for name in NAMES if name not in listed]
    tap.result("names in Korean, emoji and worse", wrong)


def tree(tap, client, count):
    source = client.folder / "tree"
    for i in range(count):
        folder = source / f"folder {i % 7}" / ("deep" if i % 2 else "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file {i} 한글").write_bytes(str(i).encode() * (i % 97))
    (source / "empty").mkdir()
    wrong = client.wrong(DONE, "put", "-r", source, client.url("trees/"))
    wrong += client.wrong(DONE, "mkdir", client.url("trees")) if wrong else []
    wrong = [] if not wrong else client.wrong(DONE, "put", "-r", source, client.url("trees/"))
    back = client.folder / "tree back"
    wrong += client.wrong(DONE, "get", "-r", client.url("trees/tree"), back)
    for path in [path for path in source.rglob("*") if path.is_file()]:
        wrong += differences(path, back / path.relative_to(source))
    wrong += [] if (back / "empty").is_dir() else ["the empty folder did not come"]
    status, out, _ = client.run("ls", "-R", client.url("trees"))
    listed = out.decode().count("\n")
    expected = sum(1 for _ in (client.samba.share / "trees").rglob("*"))
    wrong += [] if listed == expected else [f"{listed} are listed, {expected} are there"]
    wrong += client.wrong(PROBLEM, "rmdir", client.url("trees")) + client.wrong(PROBLEM, "rm", client.url("trees"))
    wrong += client.wrong(DONE, "rm", "-r", client.url("trees"))
    wrong += ["it is still there"] if (client.samba.share / "trees").exists() else []
    tap.result(f"a tree of {count} files there and back, and deleted", wrong[:20])


def links(tap, client):
    """Neither is a local link followed, nor is what a link on the way leads to written to."""
    source, outside = client.folder / "with links", client.folder / "outside"
    source.mkdir()
    outside.mkdir()
    (source / "file").write_text("in")
    (source / "link").symlink_to("/etc/passwd")
    (source / "folder link").symlink_to(outside)
    os.mkfifo(source / "fifo")
    wrong = client.wrong(PROBLEM, "put", "-r", source, client.url())
    there = {path.name for path in (client.samba.share / "with links").iterdir()}
    wrong += [] if there == {"file"} else [f"on the share: {there}"]
    (client.samba.share / "with links" / "trap").mkdir()
    (client.samba.share / "with links" / "trap" / "evil").write_text("evil")
    target = client.folder / "target"
    (target / "with links").mkdir(parents=True)
    (target / "with links" / "trap").symlink_to(outside)
    wrong += client.wrong(PROBLEM, "get", "-r", client.url("with links/"), target)
    wrong += [f"{path} was written" for path in outside.iterdir()]
    tap.result("links are not followed, in either direction", wrong)


def commands(tap, client):
    share = client.samba.share
    wrong = client.wrong(DONE, "mkdir", "-p", client.url("a/b/c")) + client.wrong(DONE, "mkdir", "-p", client.url("a/b/c"))
    wrong += client.wrong(PROBLEM, "mkdir", client.url("a"))
    wrong += client.wrong(DONE, "put", "-", client.url("a/one"), data=b"one")
    wrong += client.wrong(DONE, "put", "-", client.url("a/two"), data=b"two")
    wrong += client.wrong(PROBLEM, "mv", client.url("a/one"), client.url("a/two"))
    wrong += client.wrong(DONE, "mv", "--force", client.url("a/one"), client.url("a/two"))
    wrong += [] if (share / "a/two").read_bytes() == b"one" else ["mv --force did not replace"]
    wrong += client.wrong(DONE, "mv", client.url("a/two"), client.url("a/b"))
    wrong += [] if (share / "a/b/two").exists() else ["mv into a folder did not"]
    status, out, said = client.run("stat", "-o", "json", client.url("a/b/two"))
    known = json.loads(out) if status == DONE else {}
    wrong += [] if known.get("size") == 3 and known.get("kind") == "file" else [f"stat: {out} {said}"]
    status, out, said = client.run("shares", "-o", "json", client.url())
    shares = {entry["name"]: entry["kind"] for entry in json.loads(out)} if status == DONE else {}
    wrong += [] if shares.get("data") == "disk" and shares.get("IPC$") == "ipc" else [f"shares: {out} {said}"]
    wrong += client.wrong(DONE, "rm", client.url("a/b/two")) + client.wrong(DONE, "rmdir", client.url("a/b/c"))
    wrong += client.wrong(PROBLEM, "get", client.url("nothing")) + client.wrong(PROBLEM, "ls", client.url("nothing"))
    wrong += client.wrong(PROBLEM, "ls", client.url("", "no-such-share"))
    wrong += client.wrong(USAGE, "ls", f"smb://root:secret@127.0.0.1:{client.samba.port}/data")
    wrong += client.wrong(USAGE, "put", "/dev/null") + client.wrong(LOCAL, "put", "/nonexistent", client.url())
    wrong += client.wrong(LOST, "ls", "smb://root@127.0.0.1:1/data")
    tap.result("mkdir, mv, stat, shares, rm, rmdir, and what they refuse", wrong)


def wrong_password(tap, client):
    client.environment["SMBPROOF_PASSWORD"] = "wrong"
    wrong = client.wrong(LOGON, "ls", client.url())
    client.environment["SMBPROOF_PASSWORD"] = client.samba.password
    tap.result("a wrong password is told apart", wrong)


def streams(tap, client):
    data = os.urandom(5 * 1024 * 1024 + 17)
    wrong = client.wrong(DONE, "put", "-", client.url("stream"), data=data)
    wrong += [] if (client.samba.share / "stream").read_bytes() == data else ["what was put differs"]
    status, out, said = client.run("get", client.url("stream"), "-")
    wrong += [] if status == DONE and out == data else [f"what was got differs: {status}, {len(out)}: {said}"]
    wrong += client.wrong(DONE, "get", client.url("stream"), "/dev/null")
    wrong += [] if Path("/dev/null").is_char_device() else ["/dev/null was replaced"]
    tap.result("standard input and output, and a device", wrong)


def full_disks(tap, client, small_disk):
    big = random_file(client.folder / "too big", 6 * 1024 * 1024)
    little = random_file(client.folder / "little", 4000)
    status, _, said = client.run("put", big, client.url("", "tiny"))
    wrong = [] if status == PROBLEM and "STATUS_DISK_FULL" in said else [f"{status}: {said}"]
    wrong += [f"{path.name} was left" for path in small_disk.iterdir()]
    wrong += client.wrong(DONE, "put", little, client.url("", "tiny")) 
    wrong += differences(little, small_disk / "little")
    tap.result("a full disk there", wrong)
    (client.samba.share / "too big").write_bytes(big.read_bytes())
    status, _, said = client.run("get", client.url("too big"), small_disk)
    wrong = [] if status == LOCAL and "no room left here" in said else [f"{status}: {said}"]
    wrong += [f"{path.name} was left" for path in small_disk.iterdir() if path.name != "little"]
    tap.result("a full disk here", wrong)


def full_disk_midway(tap, client, small_disk):
    """What was kept of a copy is not lost where the disk has no room for the rest, and goes on where it has."""
    source = random_file(client.samba.share / "rest", 3 << 19)
    status, _, said = client.run("get", client.url("rest"), small_disk)
    wrong = [] if status == DONE else [f"{status}: {said}"]
    part, stamp = small_disk / part_name("rest"), (small_disk / "rest").stat()
    (small_disk / "rest").rename(part)
    os.truncate(part, 1 << 19)
    os.utime(part, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    filler = random_file(small_disk / "filler", 1 << 20)
    status, _, said = client.run("get", "--continue", client.url("rest"), small_disk)
    wrong += [] if status == LOCAL and "no room left here" in said else [f"{status}: {said}"]
    wrong += [] if part.exists() and part.stat().st_size == 1 << 19 else ["what was kept is gone"]
    filler.unlink()
    status, _, said = client.run("get", "--continue", client.url("rest"), small_disk)
    wrong += [] if status == DONE and f"goes on at octet {1 << 19}" in said else [f"{status}: {said}"]
    wrong += differences(source, small_disk / "rest")
    tap.result("a disk that fills up before the rest", wrong)


@contextlib.contextmanager
def tmpfs(folder, size):
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        yield None
        return
    try:
        folder.chmod(0o777)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=False)


def part_in(folder):
    """A part that has grown beyond its beginning."""
    return next((path for path in folder.glob(".smbproof-*.part") if path.stat().st_size > 8 << 20), None)


def sparse_file(path, size, marks):
    """Mostly holes, so that it is quickly made and long on the way; a mark here and there."""
    with open(path, "wb") as file:
        for i in range(marks):
            file.seek(i * (size // marks))
            file.write(os.urandom(4096))
        file.truncate(size)


def interrupted_get(tap, client, label, end, wanted):
    """Ended in its middle, the copy has no final name; --continue brings it to its end."""
    size = LONG_SIZE
    source, target = client.samba.share / "long", client.folder / f"long {label}"
    sparse_file(source, size, 64)
    target.mkdir()
    process = client.start("get", client.url("long"), target)
    part = wait_for(lambda: part_in(target))
    end(process)
    said = process.communicate(timeout=TIMEOUT_SECONDS)[1].decode(errors="replace")
    wrong = [] if part and process.returncode == wanted else [f"{process.returncode}, should be {wanted}: {said}"]
    wrong += ["the final name is there"] if (target / "long").exists() else []
    wrong += [] if "--continue" in said and leftovers(target) else [f"nothing is kept: {said}"]
    if client.samba.process is None:
        client.samba.run()
    status, _, said = client.run("get", "--continue", client.url("long"), target)
    wrong += [] if status == DONE and "goes on at octet" in said else [f"--continue: {status}: {said}"]
    wrong += list(differences(source, target / "long")) + leftovers(target)
    tap.result(f"get, {label}", wrong)
    source.unlink()


def interrupted_put(tap, client, label, end, wanted, is_kept):
    size = LONG_SIZE
    source, target = client.folder / f"long put {label}", client.samba.share / "long put"
    sparse_file(source, size, 64)
    process = client.start("put", source, client.url("long put"))
    part = wait_for(lambda: part_in(client.samba.share))
    end(process)
    said = process.communicate(timeout=TIMEOUT_SECONDS)[1].decode(errors="replace")
    wrong = [] if part and process.returncode == wanted else [f"{process.returncode}, should be {wanted}: {said}"]
    wrong += ["the final name is there"] if target.exists() else []
    wrong += [] if not is_kept or leftovers(client.samba.share) else [f"nothing is kept: {said}"]
    if client.samba.process is None:
        client.samba.run()
    status, _, said = client.run("put", "--continue", source, client.url("long put"))
    wrong += [] if status == DONE and (not is_kept or "goes on at octet" in said) else [f"--continue: {status}: {said}"]
    wrong += list(differences(source, target)) + leftovers(client.samba.share)
    tap.result(f"put, {label}", wrong)
    source.unlink()
    target.unlink(missing_ok=True)


def interruptions(tap, client):
    def interrupt(process):
        process.send_signal(signal.SIGINT)

    def kill_server(_):
        client.samba.kill(signal.SIGKILL)

    interrupted_get(tap, client, "Ctrl-C", interrupt, PROBLEM)
    interrupted_put(tap, client, "Ctrl-C", interrupt, PROBLEM, True)
    interrupted_get(tap, client, "server killed", kill_server, LOST)
    interrupted_put(tap, client, "server killed", kill_server, LOST, False)


def changed_file(tap, client):
    """A file that is written to meanwhile is copied again, and one that stays still is then the same."""
    source, target = client.samba.share / "changing", client.folder / "changing"
    sparse_file(source, LONG_SIZE, 64)
    target.mkdir()
    process = client.start("get", client.url("changing"), target)
    part = wait_for(lambda: part_in(target))
    with open(source, "r+b") as file:
        file.write(b"changed")
    said = process.communicate(timeout=TIMEOUT_SECONDS)[1].decode(errors="replace")
    wrong = [] if part and process.returncode == DONE and "copied again" in said else [f"{process.returncode}: {said}"]
    tap.result("a file that changes meanwhile", wrong + list(differences(source, target / "changing")))
    source.unlink()


def control_characters(tap, client):
    """A name with an escape sequence reaches no terminal, and no folder of ours."""
    evil = "red\x1b[31m\x07name"
    folder = client.samba.share / "evil"
    folder.mkdir()
    (folder / evil).write_text("x")
    (folder / "good").write_text("x")
    status, out, said = client.run("ls", client.url("evil", "raw"))
    wrong = [] if status == DONE and rb"\x1b[31m\x07" in out and b"\x1b" not in out else [f"ls: {status}: {out} {said}"]
    target = client.folder / "evil"
    status, out, said = client.run("get", "-r", client.url("evil", "raw"), target)
    wrong += [] if status == PROBLEM and "\x1b" not in said and "left out" in said else [f"get: {status}: {said!r}"]
    wrong += [] if {path.name for path in target.iterdir()} == {"good"} else [f"got {list(target.iterdir())}"]
    tap.result("control characters in names", wrong)


def python_with_impacket():
    for python in (sys.executable, "/usr/bin/python3"):
        if Path(python).exists() and not subprocess.run([python, "-c", "import impacket"], capture_output=True).returncode:
            return python
    return None


class Liar:
    """impacket's smbserver, whose names lead elsewhere; takes the place of a Samba in a Client."""

    def __init__(self, python, share):
        self.share, self.port, self.password = share, free_port(), "secret"
        command = [python, str(Path(__file__).parent / "hostile_server.py"), str(self.port), str(share)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        def answers():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True

        if not wait_for(answers):
            raise OSError("impacket's server did not start")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def hostile_names(tap, program, folder):
    """Names with separators in them come from the server: nothing is written outside of the target."""
    python = python_with_impacket()
    if python is None:
        tap.skip("names that lead elsewhere", "impacket is not installed")
        return
    share, inside = folder / "lies", folder / "inside"
    share.mkdir()
    inside.mkdir()
    root = str(folder).replace("/", "#")
    for name in ("@@#escaped", "@@^escaped", f"{root}#escaped", "good", "folder@@#@@#escaped"):
        (share / name).write_text(name)
    with Liar(python, share) as liar:
        client = Client(program, liar, inside)
        status, out, said = client.run("ls", client.url("", "DATA"))
        wrong = [] if b"../escaped" in out and b"..\\escaped" in out else [f"the server does not lie: {status} {out} {said}"]
        status, out, said = client.run("get", "-r", client.url("", "DATA"), inside / "target")
        wrong += [] if status == PROBLEM and said.count("is left out") == 4 else [f"get -r: {status}: {said}"]
        there = {str(path.relative_to(inside)) for path in inside.rglob("*")}
        wrong += [] if there == {"target", "target/good"} else [f"there is {there}"]
        wrong += ["escaped was written"] if (folder / "escaped").exists() else []
        big = random_file(inside / "big", 3_000_001)
        wrong += client.wrong(DONE, "put", big, client.url("", "DATA"))
        wrong += client.wrong(DONE, "get", client.url("big", "DATA"), inside / "back")
        wrong += [] if wrong or digest(big) == digest(inside / "back") else ["what came back differs"]
    tap.result("names that lead elsewhere, from impacket's server", wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--large", type=int, default=24, help="MiB of the large file")
    parser.add_argument("--files", type=int, default=200)
    options = parser.parse_args()
    tap = Tap()
    if missing := Samba.missing():
        tap.skip("files against smbd", missing)
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-files-") as name, tmpfs(Path(name) / "disk", "2m") as disk:
        folder = Path(name)
        shares = {"raw": {"read only": "no", "mangled names": "no"}}
        if disk:
            shares["tiny"] = {"path": disk, "read only": "no"}
        with Samba({"strict sync": "no"}, shares=shares) as samba:
            client = Client(options.smbproof, samba, folder)
            each_dialect(tap, client, random_file(folder / "large", options.large << 20))
            names(tap, client)
            tree(tap, client, options.files)
            links(tap, client)
            commands(tap, client)
            wrong_password(tap, client)
            streams(tap, client)
            control_characters(tap, client)
            if disk:
                full_disks(tap, client, disk)
                full_disk_midway(tap, client, disk)
            else:
                tap.skip("full disks", "no tmpfs can be mounted here")
            hostile_names(tap, options.smbproof, folder)
            changed_file(tap, client)
            interruptions(tap, client)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
