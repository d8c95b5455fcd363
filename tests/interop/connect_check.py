#!/usr/bin/env python3
"""The client against smbd and impacket: each dialect, plain, signed, encrypted, each way of logging on, what must fail.

usage: connect_check.py --connect PROGRAM

Prints TAP. Skipped where smbd cannot be started.
"""
import argparse
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from samba import Samba, free_port  # noqa: E402
from tap import Tap  # noqa: E402

DIALECTS = ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1")
SIGNING = {"2.0.2": "HMAC-SHA256", "2.1": "HMAC-SHA256", "3.0": "AES-CMAC", "3.0.2": "AES-CMAC", "3.1.1": "AES-GMAC"}
SMBD_NAME = {"2.0.2": "SMB2_02", "2.1": "SMB2_10", "3.0": "SMB3_00", "3.0.2": "SMB3_02", "3.1.1": "SMB3_11"}
CIPHERS = {"1": "AES-128-CCM", "2": "AES-128-GCM", "3": "AES-256-CCM", "4": "AES-256-GCM"}
MACS = {"0": "HMAC-SHA256", "1": "AES-CMAC", "2": "AES-GMAC"}
BAD_SIGNATURE, NOT_OFFERED = "3.2.5.1.3-01", "3.2.5.2-05"
GUEST_REFUSED = "3.2.5.3.1-01"
NO_CIPHER = "3.2.4.1.8-01"
TIMEOUT_SECONDS = 60
# What smbd says to a TREE_CONNECT now and then when many of them run at a time: STATUS_NO_MEMORY. It is asked once more.
SERVER_HAS_NO_MEMORY = "0xc0000017"


class Peer:
    def __init__(self, tap, program):
        self.tap, self.program, self.samba, self.label = tap, program, None, ""

    def serve(self, label, settings=None, **options):
        self.label = label
        self.samba = Samba(settings, **options)
        return self.samba

    def connect(self, *options, share="data", password="secret", host="127.0.0.1", port=None):
        command = [self.program, host, str(port or self.samba.port), share, *options]
        environment = {**os.environ, "SMBPROOF_PASSWORD": password}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_SECONDS)
        if done.returncode not in (0, 1):
            return {"crash": f"exit status {done.returncode}: {done.stderr[-2000:]}"}
        return {**json.loads(done.stdout), "stderr": done.stderr}

    def expect(self, name, wanted, *options, **how):
        """Connects, and compares what is wanted of the answer."""
        options = options if {"user", "anonymous"} & set(options) else ("user", "root", *options)
        found = self.connect(*options, **how)
        if SERVER_HAS_NO_MEMORY in found.get("sentence", ""):
            found = self.connect(*options, **how)
        differ = [key for key, value in wanted.items() if found.get(key) != value]
        wrong = [f"{key}: {found.get(key)!r}, should be {wanted[key]!r}" for key in differ]
        self.tap.result(f"{self.label}: {name}", wrong + [json.dumps(found)] if wrong else [])


def connected(dialect, **more):
    return {"connected": True, "dialect": dialect, "signing": SIGNING[dialect], **more}


def each_dialect(peer):
    """Against a server of all dialects the client is held to one."""
    with peer.serve("smbd of all dialects") as samba:
        nt_hash = samba.nt_hash()
        for dialect in DIALECTS:
            is_3x = dialect >= "3"
            validation = "same" if dialect in ("3.0", "3.0.2") else "none"
            plain = connected(dialect, validation=validation, signed=False, encrypted=False, keys=True)
            peer.expect(f"{dialect} plain", plain, "dialects", dialect)
            peer.expect(f"{dialect} signed", {**plain, "signed": True}, "dialects", dialect, "sign", "required")
            peer.expect(f"{dialect} NT hash", plain, "dialects", dialect, "nt-hash", nt_hash, password="wrong")
            peer.expect(f"{dialect} without offering encryption", plain, "dialects", dialect, "encrypt", "off")
            peer.expect(f"{dialect} reauthentication", plain, "dialects", dialect, "again", "yes")
            encrypted = {**plain, "encrypted": True} if is_3x else {"connected": False, "rule": NO_CIPHER}
            peer.expect(f"{dialect} encrypted", encrypted, "dialects", dialect, "encrypt", "required")
            keyless = connected(dialect, validation="none", keys=False, signed=False, encrypted=False)
            peer.expect(f"{dialect} anonymous", keyless, "dialects", dialect, "anonymous", "yes", share="public")
            guest = ("dialects", dialect, "user", "nobody-knows-me")
            refused = {"connected": False, "rule": GUEST_REFUSED, "security": True}
            peer.expect(f"{dialect} guest refused", refused, *guest)
            peer.expect(f"{dialect} guest wished", {**keyless, "guest": True}, *guest, "guest", "yes", share="public")
            peer.expect(f"{dialect} guest must sign", refused, *guest, "guest", "yes", "sign", "required")
            wrong = {"connected": False, "kind": 7, "status": "STATUS_LOGON_FAILURE", "rule": ""}
            peer.expect(f"{dialect} wrong password", wrong, "dialects", dialect, password="wrong")


def algorithms(peer):
    with peer.serve("smbd 3.1.1"):
        for number, name in CIPHERS.items():
            wanted = connected("3.1.1", cipher=name, encrypted=True)
            peer.expect(f"cipher {name}", wanted, "ciphers", number, "encrypt", "required", "again", "yes")
        for number, name in MACS.items():
            wanted = {"connected": True, "signing": name, "signed": True}
            peer.expect(f"signing {name}", wanted, "signing", number, "sign", "required", "again", "yes")


def each_maximum(peer):
    """The client offers everything and the server has less: validated wherever the server knows how."""
    for dialect in DIALECTS:
        validation = {"2.0.2": "unsupported", "3.1.1": "none"}.get(dialect, "same")
        with peer.serve(f"smbd up to {dialect}", {"server max protocol": SMBD_NAME[dialect]}):
            wanted = connected(dialect, validation=validation, keys=True)
            peer.expect("all offered", wanted)
            peer.expect("signed", {**wanted, "signed": True}, "sign", "required")
            if dialect == "2.0.2":
                wanted = connected(dialect)
            peer.expect("SMB1 opening", wanted, "smb1", "yes")
            peer.expect("validation off", connected(dialect, validation="none"), "secure-negotiate", "off")


def demanding_servers(peer):
    with peer.serve("smbd that demands signing", {"server signing": "mandatory"}):
        for dialect in DIALECTS:
            peer.expect(dialect, connected(dialect, signed=True), "dialects", dialect)
    locked = {"locked": {"smb encrypt": "required"}}
    with peer.serve("smbd with an encrypted share", shares=locked):
        for dialect in ("3.0", "3.0.2", "3.1.1"):
            peer.expect(dialect, connected(dialect, encrypted=True), "dialects", dialect, share="locked")
        peer.expect("no cipher offered", {"connected": False}, "dialects", "3.1.1", "encrypt", "off", share="locked")
    with peer.serve("smbd that demands encryption", {"smb encrypt": "required"}):
        for dialect in ("3.0", "3.0.2", "3.1.1"):
            wanted = connected(dialect, encrypted=True, signed=False)
            peer.expect(dialect, wanted, "dialects", dialect, "again", "yes")


def other_failures(peer):
    with peer.serve("smbd"):
        refused = {"connected": False, "kind": 6, "status": "STATUS_BAD_NETWORK_NAME", "rule": "", "security": False}
        peer.expect("no such share", refused, share="nothing-here")
        peer.expect("by IPv6", connected("3.1.1"), host="::1")
        peer.expect("by name", connected("3.1.1"), host="localhost")
        peer.expect("NetBIOS", connected("3.0.2", validation="same"), "netbios", "yes")
    peer.label = "nobody"
    peer.expect("listens", {"connected": False, "kind": 2, "errno": 111}, port=free_port())
    peer.expect("has that name", {"connected": False, "kind": 2}, host="no-such-host.invalid", port=445)
    with peer.serve("smbd of 3.1.1 only", {"server min protocol": "SMB3_11"}):
        refused = {"connected": False, "kind": 6, "status": "STATUS_NOT_SUPPORTED"}
        peer.expect("2.1 offered", refused, "dialects", "2.1")


class Odd:
    """Something that listens and is no server: it says these octets, then ends, or stays silent."""

    def __init__(self, octets, stays):
        self.octets, self.stays = octets, stays
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        connection, _ = self.listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            connection.settimeout(TIMEOUT_SECONDS)
            connection.recv(65536)
            connection.sendall(self.octets)
            while self.stays and connection.recv(65536):
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.thread.join(TIMEOUT_SECONDS)


def odd_servers(peer):
    peer.label = "no server"
    silence = {"connected": False, "kind": 3, "phase": "NEGOTIATE"}
    ended = {"connected": False, "kind": 5, "phase": "NEGOTIATE"}
    for name, octets, stays, wanted in (
        ("says nothing", b"", True, silence),
        ("closes", b"", False, {**ended, "security": False}),
        ("only keeps alive", b"\x85\0\0\0" * 20, True, silence),
        ("keeps alive without end", b"\x85\0\0\0" * 100, True, {**ended, "errno": errno.EPROTO}),
        ("ends within a frame", b"\0\0\1\0\xfeSMB", False, {**ended, "errno": errno.ECONNRESET}),
        ("ends within a head", b"\0\0", False, {**ended, "errno": errno.ECONNRESET}),
        ("speaks HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", False, {**ended, "errno": errno.EPROTO}),
        ("stops within a frame", b"\0\0\1\0\xfeSMB", True, silence),
        ("has a frame that is too long", b"\0\xff\xff\xff", True, {"kind": 8, "rule": "3.3.5.2-01"}),
        ("says nothing of SMB", b"\0\0\0\x08abcdefgh", False, {"kind": 8, "rule": "2.2.1-01"}),
    ):
        with Odd(octets, stays) as odd:
            peer.expect(name, wanted, "timeout", "1000", port=odd.port)


class Impacket:
    """impacket's server as a process of its own; the name of a script of Debian's differs from place to place."""

    SCRIPT = (
        "import sys; from impacket import ntlm, smbserver;"
        "s = smbserver.SimpleSMBServer('127.0.0.1', int(sys.argv[1]));"
        "s.addShare('DATA', sys.argv[2]); s.setSMB2Support(True); s.setSMBChallenge('');"
        "s.addCredential('root', 0, ntlm.compute_lmhash('secret'), ntlm.compute_nthash('secret')); s.start()"
    )

    def __init__(self, folder):
        self.port = free_port()
        command = [sys.executable, "-c", self.SCRIPT, str(self.port), folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @staticmethod
    def missing():
        found = subprocess.run([sys.executable, "-c", "import impacket"], capture_output=True)
        return None if found.returncode == 0 else "impacket is not installed"

    def __enter__(self):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.1)
        raise OSError("impacket's server did not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def impacket(peer):
    """It answers with 2.0.2 whatever is offered, validates with constants, and signs chains wrongly."""
    if Impacket.missing():
        peer.tap.skip("impacket", Impacket.missing())
        return
    peer.label = "impacket"
    with tempfile.TemporaryDirectory(prefix="smbproof-impacket-") as folder, Impacket(folder) as server:
        wanted = connected("2.0.2", validation="same", keys=True)
        for options in ((), ("sign", "required"), ("smb1", "yes")):
            peer.expect(" ".join(options) or "all offered", wanted, "chains", "no", *options, port=server.port)
        wanted = connected("2.0.2", validation="none")
        peer.expect("2.0.2 alone", wanted, "chains", "no", "dialects", "2.0.2", port=server.port)
        wanted = {"connected": False, "rule": BAD_SIGNATURE, "security": True}
        peer.expect("a chain that is signed wrongly", wanted, "chains", "only", "sign", "required", port=server.port)
        wanted = {"connected": False, "rule": NOT_OFFERED}
        peer.expect("a dialect that was not offered", wanted, "dialects", "2.1", port=server.port)
        wanted = {"connected": False, "kind": 7}
        peer.expect("wrong password", wanted, password="wrong", port=server.port)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    options = parser.parse_args()
    tap = Tap()
    missing = Samba.missing()
    if missing:
        tap.skip("the client against smbd", missing)
        return tap.done()
    peer = Peer(tap, options.connect)
    for part in (each_dialect, algorithms, each_maximum, demanding_servers, other_failures, odd_servers, impacket):
        part(peer)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
