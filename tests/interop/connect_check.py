#!/usr/bin/env python3
"""The client against smbd: each dialect, plain, signed, encrypted, with each way of logging on, and what must fail.

usage: connect_check.py --connect PROGRAM

Prints TAP. Skipped where smbd cannot be started.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from samba import Samba, free_port  # noqa: E402
from tap import Tap  # noqa: E402

DIALECTS = ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1")
SIGNING = {"2.0.2": "HMAC-SHA256", "2.1": "HMAC-SHA256", "3.0": "AES-CMAC", "3.0.2": "AES-CMAC", "3.1.1": "AES-GMAC"}
SMBD_NAME = {"2.0.2": "SMB2_02", "2.1": "SMB2_10", "3.0": "SMB3_00", "3.0.2": "SMB3_02", "3.1.1": "SMB3_11"}
CIPHERS = {"1": "AES-128-CCM", "2": "AES-128-GCM", "3": "AES-256-CCM", "4": "AES-256-GCM"}
MACS = {"0": "HMAC-SHA256", "1": "AES-CMAC", "2": "AES-GMAC"}
GUEST_REFUSED = "3.2.5.3.1-01"
NO_CIPHER = "3.2.4.1.8-01"
TIMEOUT_SECONDS = 60


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
        wrong = [f"{key}: {found.get(key)!r}, should be {value!r}" for key, value in wanted.items() if found.get(key) != value]
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
            peer.expect(f"{dialect} guest refused", {"connected": False, "rule": GUEST_REFUSED, "security": True}, *guest)
            peer.expect(f"{dialect} guest wished", {**keyless, "guest": True}, *guest, "guest", "yes", share="public")
            peer.expect(f"{dialect} guest must sign", {"rule": GUEST_REFUSED}, *guest, "guest", "yes", "sign", "required")
            wrong = {"connected": False, "kind": 6, "status": "STATUS_LOGON_FAILURE", "rule": ""}
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
        refused = {"connected": False, "kind": 5, "status": "STATUS_BAD_NETWORK_NAME", "rule": "", "security": False}
        peer.expect("no such share", refused, share="nothing-here")
        peer.expect("by IPv6", connected("3.1.1"), host="::1")
        peer.expect("by name", connected("3.1.1"), host="localhost")
    peer.label = "nobody"
    peer.expect("listens", {"connected": False, "kind": 2, "errno": 111}, port=free_port())
    peer.expect("has that name", {"connected": False, "kind": 2}, host="no-such-host.invalid", port=445)
    with peer.serve("smbd of 3.1.1 only", {"server min protocol": "SMB3_11"}):
        refused = {"connected": False, "kind": 5, "status": "STATUS_NOT_SUPPORTED"}
        peer.expect("2.1 offered", refused, "dialects", "2.1")


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
    for part in (each_dialect, algorithms, each_maximum, demanding_servers, other_failures):
        part(peer)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
