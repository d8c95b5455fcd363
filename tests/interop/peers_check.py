#!/usr/bin/env python3
"""The commands on files against servers that are not Samba: impacket's smbserver and Linux's ksmbd.

usage: peers_check.py --smbproof PROGRAM [--machine PROGRAM] [--large MIB] [--medium MIB] [--files COUNT]

Prints TAP. CI has impacket's only, with a few MiB and files; --machine boots ksmbd (machine.py says how it is called).
--large is copied once each way to each server, --medium in each dialect and protection that the server has. For an
hour: --large 1024 --files 10000. impacket's share is a folder here, ksmbd's a disk of its machine, a quarter larger
than --large; a small disk is full, and a server is killed in the middle of a copy.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from files_check import (  # noqa: E402
    DONE, LOST, NAMES, PROBLEM, SIZES, Client, digest, leftovers, part_in, random_file, sparse_file, tmpfs, wait_for,
)  # fmt: skip
from machine import KernelServer, free_port  # noqa: E402
from probe_check import IMPACKET, wait_for as wait_for_port  # noqa: E402
from tap import Tap  # noqa: E402

# Of ksmbd; impacket's smbserver answers with 2.0.2 whatever it is asked for.
DIALECTS = ("2.1", "3.0", "3.0.2", "3.1.1")
SECURITY = 8  # exit status
TIMEOUT_SECONDS = 7200  # of a command: 10,000 files one by one to a machine that is emulated
PYTHON = "/usr/bin/python3"  # whose modules Debian's python3-impacket is among


class Impacket:
    """impacket's smbserver over a folder of ours. small_disk: MiB of one that gets full; long_size: octets of a copy that
    is long enough to be interrupted."""

    name, password, modes = "impacket", "secret", ((), ("--sign=required",))
    small_disk, long_size = 8, 24 << 20

    def __init__(self, share):
        self.share, self.port, self.process = share, free_port(), None

    def __enter__(self):
        self.run()
        return self

    def run(self):
        command = [PYTHON, "-c", IMPACKET, str(self.port), str(self.share), self.password]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        self.kill()


class Ksmbd(KernelServer):
    """Linux's server, on a disk that nobody else looks at."""

    name, share = "ksmbd", "data"
    small_disk, long_size = 64, 56 << 20

    def kill(self):
        self.process.kill()
        self.process.wait()


def ksmbd_modes():
    """Not 2.1 without signing: there it does not sign the end of a logon."""
    for dialect in DIALECTS:
        yield f"--dialects={dialect}", "--sign=required"
        if dialect >= "3":
            yield f"--dialects={dialect}",
            yield f"--dialects={dialect}", "--encrypt=required"


class Copies:
    """What is done with one server."""

    def __init__(self, tap, client):
        self.tap, self.client, self.name = tap, client, client.samba.name
        client.timeout_seconds = TIMEOUT_SECONDS

    def there_and_back(self, options, files):
        client, back, wrong = self.client, self.client.folder / "back", []
        back.mkdir(exist_ok=True)
        begin = time.monotonic()
        for path in files:
            wrong += client.wrong(DONE, "put", "-q", *options, path, client.url())
            wrong += client.wrong(DONE, "get", "-q", *options, client.url(path.name), back)
            if not wrong and digest(path) != digest(back / path.name):
                wrong.append(f"{path.name} differs")
            (back / path.name).unlink(missing_ok=True)
            client.run("rm", client.url(path.name))
        sizes = ", ".join(str(path.stat().st_size) for path in files)
        label = f"{self.name} {' '.join(options)}: {sizes} octets there and back"
        self.tap.result(label, wrong + leftovers(back))
        print(f"# {time.monotonic() - begin:.1f} s", flush=True)

    def refused(self, options, rule):
        """What the server does wrong with these options is told, and nothing is copied."""
        path, before = random_file(self.client.folder / "refused", 1), self.listed()
        status, _, said = self.client.run("put", *options, path, self.client.url())
        wrong = [] if status == SECURITY and rule in said else [f"{status}: {said}"]
        wrong += [] if self.listed() == before else [f"there is {self.listed()}"]
        self.tap.result(f"{self.name} {' '.join(options)}: refused", wrong)

    def names(self):
        client, wrong = self.client, []
        for name in NAMES:
            path = random_file(client.folder / name, 1000)
            wrong += client.wrong(DONE, "put", path, client.url())
            target = client.folder / "named"
            wrong += client.wrong(DONE, "get", client.url(name), target)
            wrong += [] if target.exists() and digest(path) == digest(target) else [f"{name} did not come as it was"]
            target.unlink(missing_ok=True)
        status, out, said = client.run("ls", "-o", "json", client.url())
        listed = {entry["name"] for entry in json.loads(out)} if status == DONE else set()
        wrong += [f"{name} is not listed: {said}" for name in NAMES if name not in listed]
        for name in NAMES:
            wrong += client.wrong(DONE, "rm", client.url(name))
        self.tap.result(f"{self.name}: names in Korean, emoji and worse", wrong)

    def tree(self, count):
        client, source = self.client, self.client.folder / f"tree {self.name}"
        for i in range(count):
            folder = source / f"folder {i % 7}" / ("deep" if i % 2 else "")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"file {i} 한글 😀").write_bytes(str(i).encode() * (i % 97))
        begin = time.monotonic()
        wrong = client.wrong(DONE, "put", "-q", "-r", source, client.url())
        back = client.folder / f"tree back {self.name}"
        wrong += client.wrong(DONE, "get", "-q", "-r", client.url(source.name), back)
        files = [path for path in source.rglob("*") if path.is_file()]
        for path in files:
            there = back / path.relative_to(source)
            if not there.exists() or path.read_bytes() != there.read_bytes():
                wrong.append(f"{there} did not come as it was")
        status, out, _ = client.run("ls", "-R", client.url(source.name))
        expected = sum(1 for _ in source.rglob("*"))
        wrong += [] if out.decode().count("\n") == expected else [f"{status}: not {expected} are listed"]
        wrong += client.wrong(DONE, "rm", "-r", client.url(source.name))
        self.tap.result(f"{self.name}: {len(files)} files there and back, listed, and deleted", wrong[:20])
        print(f"# {time.monotonic() - begin:.1f} s", flush=True)

    def listed(self):
        status, out, said = self.client.run("ls", "-o", "json", self.client.url())
        return {entry["name"]: entry["size"] for entry in json.loads(out)} if status == DONE else {"no list": said}

    def full_disk(self):
        client, before = self.client, self.listed()
        big = client.folder / "too large"
        sparse_file(big, client.samba.small_disk * 5 // 4 << 20, 8)
        status, _, said = client.run("put", "-q", big, client.url())
        wrong = [] if status == PROBLEM and said else [f"{status}: {said}"]
        wrong += [] if self.listed() == before else [f"there is {self.listed()}"]
        little = random_file(client.folder / "little", 4000)
        # The room is free once the server is done with the WRITEs that were under way behind the one that failed.
        if not wait_for(lambda: client.run("put", "-q", little, client.url())[0] == DONE):
            wrong += client.wrong(DONE, "put", little, client.url())
        wrong += client.wrong(DONE, "get", client.url("little"), client.folder / "little back")
        wrong += [] if wrong or digest(little) == digest(client.folder / "little back") else ["little differs"]
        self.tap.result(f"{self.name}: a full disk", wrong)
        print(f"# {said.strip()}")

    def killed_while_getting(self):
        client = self.client
        source, target = client.folder / "long", client.folder / f"killed {self.name}"
        sparse_file(source, client.samba.long_size, 64)
        target.mkdir()
        wrong = client.wrong(DONE, "put", "-q", source, client.url())
        process = client.start("get", client.url("long"), target)
        part = wait_for(lambda: part_in(target))
        client.samba.kill()
        said = process.communicate(timeout=300)[1].decode(errors="replace")
        wrong += [] if part and process.returncode == LOST else [f"{part} {process.returncode}: {said}"]
        wrong += ["the final name is there"] if (target / "long").exists() else []
        wrong += [] if "--continue" in said and leftovers(target) else [f"nothing is kept: {said}"]
        self.tap.result(f"{self.name}: killed in the middle of get", wrong)
        return source, target

    def is_underway(self):
        sizes = [size for name, size in self.listed().items() if name.endswith(".part")]
        return any(size > 8 << 20 for size in sizes)

    def killed_while_putting(self):
        client = self.client
        source = client.folder / "long"
        sparse_file(source, client.samba.long_size, 64)
        process = client.start("put", source, client.url("long put"))
        part = wait_for(self.is_underway)
        client.samba.kill()
        said = process.communicate(timeout=300)[1].decode(errors="replace")
        wrong = [] if part and process.returncode == LOST else [f"{part} {process.returncode}: {said}"]
        self.tap.result(f"{self.name}: killed in the middle of put", wrong)
        return source


# ---- the two servers ----


def impacket(tap, options, folder, disk):
    if subprocess.run([PYTHON, "-c", "import impacket"], capture_output=True).returncode != 0:
        tap.skip("impacket's smbserver", "python3-impacket is not installed")
        return
    share = folder / "share"
    share.mkdir()
    with Impacket(share) as server:
        copies = Copies(tap, Client(options.smbproof, server, folder))
        files = [random_file(folder / f"size {size}", size) for size in SIZES]
        files.append(random_file(folder / "medium", options.medium << 20))
        for mode in server.modes:
            copies.there_and_back(mode, files)
        copies.there_and_back((), [random_file(folder / "large", options.large << 20)])
        copies.names()
        copies.tree(options.files)
        source, target = copies.killed_while_getting()
        server.run()
        client = copies.client
        wrong = client.wrong(DONE, "get", "-q", "--continue", client.url("long"), target)
        wrong += [] if wrong or digest(source) == digest(target / "long") else ["it differs"]
        tap.result("impacket: get --continue, once it is back", wrong + leftovers(target))
        source = copies.killed_while_putting()
        wrong = ["the final name is there"] if (share / "long put").exists() else []
        server.run()
        wrong += client.wrong(DONE, "put", "-q", "--continue", source, client.url("long put"))
        wrong += [] if wrong or digest(source) == digest(share / "long put") else ["it differs"]
        tap.result("impacket: put again, once it is back", wrong)
    if disk is None:
        tap.skip("impacket: a full disk", "no tmpfs can be mounted here")
        return
    with Impacket(disk) as server:
        Copies(tap, Client(options.smbproof, server, folder)).full_disk()


def ksmbd(tap, options, folder):
    files = [random_file(folder / f"size {size}", size) for size in SIZES]
    files.append(random_file(folder / "medium", options.medium << 20))
    room = max(options.large, options.medium) * 5 // 4 + Ksmbd.small_disk
    with Ksmbd(options.machine, "--share-size", str(room)) as server:
        copies = Copies(tap, Client(options.smbproof, server, folder))
        copies.refused(("--dialects=2.1",), "3.3.5.5.3-01")
        for mode in ksmbd_modes():
            copies.there_and_back(mode, files)
        copies.names()
        copies.tree(options.files)
        copies.there_and_back((), [random_file(folder / "large", options.large << 20)])
    with Ksmbd(options.machine, "--share-size", str(Ksmbd.small_disk)) as server:
        Copies(tap, Client(options.smbproof, server, folder)).full_disk()
    for kill in (Copies.killed_while_getting, Copies.killed_while_putting):
        with Ksmbd(options.machine, "--share-size", str(2 * Ksmbd.small_disk)) as server:
            kill(Copies(tap, Client(options.smbproof, server, folder)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--machine")
    parser.add_argument("--large", type=int, default=4, help="MiB")
    parser.add_argument("--medium", type=int, default=2, help="MiB")
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--peer", choices=("impacket", "ksmbd"))
    options = parser.parse_args()
    tap = Tap()
    for name in ("impacket", "ksmbd"):
        if options.peer not in (None, name) or (name == "ksmbd" and not options.machine):
            continue
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smbproof-peers-")))
            if name == "ksmbd":
                ksmbd(tap, options, folder)
            else:
                impacket(tap, options, folder, stack.enter_context(tmpfs(folder / "disk", f"{Impacket.small_disk}m")))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
