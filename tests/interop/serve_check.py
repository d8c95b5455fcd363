#!/usr/bin/env python3
"""The server: our client in each dialect, plain, signed, encrypted; who must not get in; many, slow and bad clients.

usage: serve_check.py --smbproof PROGRAM --connect PROGRAM

Prints TAP.
"""
import argparse
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
from tap import Tap  # noqa: E402

DIALECTS = ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1")
IDLE = 200
TIMEOUT_SECONDS = 30


class Server:
    def __init__(self, program, folder, *options):
        self.program, self.folder, self.options = program, Path(folder), options

    def __enter__(self):
        share, accounts = self.folder / "share", self.folder / "accounts"
        share.mkdir(exist_ok=True)
        if not accounts.exists():
            subprocess.run([self.program, "passwd", accounts, "ada"], input=b"secret\n", check=True, capture_output=True)
        self.log = open(self.folder / "log", "ab")
        shares = ["--share", f"data={share}", "--share", f"locked={share},encrypt"]
        command = [self.program, "serve", "--listen", "127.0.0.1:0", "--accounts", accounts, *shares, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()

    def stop(self):
        """SIGTERM; the exit status, or what went wrong."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "SIGTERM did not end it"

    def memory_kib(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def open(self):
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS)


class Peer:
    def __init__(self, tap, connect):
        self.tap, self.program = tap, connect

    def expect(self, server, name, wanted, *options, share="data", password="secret", user="ada"):
        command = [self.program, "127.0.0.1", str(server.port), share, "user", user, *options]
        environment = {**os.environ, "SMBPROOF_PASSWORD": password}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_SECONDS)
        found = json.loads(done.stdout) if done.returncode in (0, 1) else {"crash": done.stderr[-2000:]}
        wrong = [f"{key}: {found.get(key)!r}, should be {value!r}" for key, value in wanted.items()
                 if found.get(key) != value]  # fmt: skip
        self.tap.result(name, wrong + [json.dumps(found)] if wrong else [])


def comes_in(peer, server, name):
    peer.expect(server, name, {"connected": True, "validation": "none"}, "chains", "no")


def each_dialect(peer, server, label, signed):
    for dialect in DIALECTS:
        validation = "same" if dialect in ("3.0", "3.0.2") else "none"
        wanted = {"connected": True, "dialect": dialect, "validation": validation, "keys": True}
        one = ("dialects", dialect, "chains", "no")
        peer.expect(server, f"{label}: {dialect}", {**wanted, "signed": signed, "encrypted": False}, *one)
        peer.expect(server, f"{label}: {dialect} signed", {**wanted, "signed": True}, *one, "sign", "required")
        refused = {"connected": False, "status": "STATUS_LOGON_FAILURE"}
        peer.expect(server, f"{label}: {dialect} wrong password", refused, *one, password="wrong")
        if dialect >= "3":
            sealed = {**wanted, "encrypted": True}
            peer.expect(server, f"{label}: {dialect} encrypted", sealed, *one, "encrypt", "required")
            peer.expect(server, f"{label}: {dialect} encrypted share", sealed, *one, share="locked")


def idle_connections(peer, server):
    before = server.memory_kib()
    sockets = [server.open() for _ in range(IDLE)]
    comes_in(peer, server, f"beside {IDLE} idle connections")
    each = (server.memory_kib() - before) / IDLE
    print(f"# {each:.1f} KiB for each of {IDLE} connections on which nothing was said yet")
    peer.tap.result("a connection on which nothing was said is small", [] if each < 48 else [f"{each:.1f} KiB"])
    for one in sockets:
        one.close()


def bad_clients(peer, server):
    complaints = []
    for octets in (b"\xff\xff\xff\xff", b"\x00\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n", b"\x00\x00\x00\x04abcd"):
        with server.open() as one:
            one.sendall(octets)
            try:
                if one.recv(1) != b"":
                    complaints.append(f"{octets!r} is answered")
            except ConnectionResetError:
                pass
            except TimeoutError:
                complaints.append(f"{octets!r} does not end the connection")
    peer.tap.result("what is no SMB ends the connection", complaints)
    slow = server.open()
    slow.sendall(b"\x00\x00")
    comes_in(peer, server, "beside a slow client")
    slow.close()


def cat_command(server, name):
    return [server.program, "cat", f"smb://ada@127.0.0.1:{server.port}/data/{name}"]


def foreign(got, contents, piece=4096):
    """What is neither the file's nor zero."""
    if len(got) == len(contents) or len(got) < 1000:
        return [f"{len(got)} octets of {len(contents)} came"]
    for at in range(0, len(got), piece):
        ours, theirs = got[at : at + piece], contents[at : at + piece]
        if ours != theirs[: len(ours)] and any(a not in (0, b) for a, b in zip(ours, theirs)):
            return [f"something else at {at}"]
    return []


def unsigned_reads(peer, server):
    """They are sent out of the file, without a copy."""
    environment, contents = {**os.environ, "SMBPROOF_PASSWORD": "secret"}, os.urandom(3_000_007)
    file = server.folder / "share" / "long"
    file.write_bytes(contents)
    done = subprocess.run(cat_command(server, "long"), capture_output=True, env=environment, timeout=TIMEOUT_SECONDS)
    peer.tap.result("an unsigned read", [] if done.stdout == contents else [f"{len(done.stdout)} octets; {done.stderr}"])
    contents *= 10
    file.write_bytes(contents)
    with subprocess.Popen(cat_command(server, "long"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as cat:
        time.sleep(0.5)  # its pipe is full, and so are both sockets
        os.truncate(file, 1000)
        got = cat.stdout.read()
    peer.tap.result("a file that shrinks while it is sent", foreign(got, contents))
    comes_in(peer, server, "after that")


def reload_and_stop(peer, server):
    with server.open():
        server.process.send_signal(signal.SIGHUP)
        comes_in(peer, server, "after SIGHUP")
        started = time.monotonic()
        status = server.stop()
        seconds = time.monotonic() - started
    peer.tap.result("SIGTERM ends it", [] if status == 0 and seconds < 10 else [f"{status} after {seconds:.1f} s"])


def log_is_quiet(tap, folder):
    log = (Path(folder) / "log").read_text(errors="replace")
    tap.result("the log names who came, and no secret",
               [] if 'user="ada"' in log and "secret" not in log and "Sanitizer" not in log else [log[-3000:]])  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--connect", required=True)
    options = parser.parse_args()
    tap = Tap()
    peer = Peer(tap, options.connect)
    with tempfile.TemporaryDirectory(prefix="smbproof-serve-") as folder:
        with Server(options.smbproof, folder) as server:
            each_dialect(peer, server, "signing required", True)
            idle_connections(peer, server)
            bad_clients(peer, server)
            reload_and_stop(peer, server)
        with Server(options.smbproof, folder, "--sign", "allowed") as server:
            each_dialect(peer, server, "signing allowed", False)
            unsigned_reads(peer, server)
        log_is_quiet(tap, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
