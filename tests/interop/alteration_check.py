#!/usr/bin/env python3
"""What a box on the path can do to a negotiation, for real between our client and smbd: each alteration ends with the
rule that catches it, or changes nothing that matters.

usage: alteration_check.py --connect PROGRAM

Prints TAP. Skipped where smbd cannot be started.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from altering import Altering  # noqa: E402
from samba import Samba  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 60
NEGOTIATE, SESSION_SETUP, TREE_CONNECT, IOCTL = 0, 1, 3, 11
SIGNED = 8
NOT_SUPPORTED = 0xC00000BB
TIMED_OUT, DISCONNECTED, PROTOCOL = 3, 4, 7

# Rules, as src/core/rules.def numbers them.
MISSING = "3.2.6.1-01"
UNPROTECTED, DENIED = "3.2.5.14.12-01", "3.2.5.14.12-02"
CAPABILITIES, GUID, MODE, DIALECT = (f"3.2.5.14.12-0{n}" for n in (4, 5, 6, 7))
SIGNATURE, UNSIGNED, GUEST, SMB1 = "3.2.5.1.3-01", "3.3.5.5.3-01", "3.2.5.3.1-01", "3.3.5.2-02"
CIPHER = "3.2.5.2-11"


def is_message(content, command, status=None):
    """An SMB2 message of that command; a response's status may be asked for."""
    if content[:4] != b"\xfeSMB" or struct.unpack_from("<H", content, 12)[0] != command:
        return False
    return status is None or struct.unpack_from("<I", content, 8)[0] == status


def put(content, offset, octets):
    return content[:offset] + octets + content[offset + len(octets) :]


def flip(content, offset, mask):
    return put(content, offset, bytes([content[offset] ^ mask]))


def in_request(command, change):
    return lambda from_client, content, box: (
        change(content) if from_client and is_message(content, command) else content
    )


def in_response(command, change, status=0):
    return lambda from_client, content, box: (
        change(content) if not from_client and is_message(content, command, status) else content
    )


def only_dialects(*wanted):
    """NEGOTIATE with fewer dialects, and no contexts where 3.1.1 is not among them."""

    def change(content):
        dialects = b"".join(struct.pack("<H", dialect) for dialect in wanted)
        return put(content[:92] + bytes(8) + dialects, 66, struct.pack("<H", len(wanted)))

    return in_request(NEGOTIATE, change)


def without_signature(content):
    flags = struct.unpack_from("<I", content, 16)[0] & ~SIGNED
    return put(put(content, 16, struct.pack("<I", flags)), 48, bytes(16))


def without_context(kind):
    """NEGOTIATE without the contexts of one kind."""

    def change(content):
        offset, count = struct.unpack_from("<IH", content, 92)
        kept, at = [], offset
        for _ in range(count):
            at = (at + 7) // 8 * 8
            kind_here, size = struct.unpack_from("<HH", content, at)
            if kind_here != kind:
                kept.append(content[at : at + 8 + size])
            at += 8 + size
        contexts = b"".join(context + bytes(-len(context) % 8) for context in kept)
        return put(content[:offset] + contexts, 96, struct.pack("<H", len(kept)))

    return in_request(NEGOTIATE, change)


def with_cipher(cipher):
    """In place of AES-128-GCM, which smbd takes."""
    head = b"\2\0\4\0\0\0\0\0\1\0"
    return lambda content: content.replace(head + b"\2\0", head + bytes([cipher, 0]))


def smb1_dialects(*names):
    """The multi-protocol NEGOTIATE with other dialects."""

    def change(from_client, content, box):
        if not from_client or content[:5] != b"\xffSMB\x72":
            return content
        dialects = b"".join(b"\2" + name + b"\0" for name in names)
        return content[:33] + struct.pack("<H", len(dialects)) + dialects

    return change


def forged_info(signed):
    """The validation is answered by the box, which knows no key."""

    def change(from_client, content, box):
        if not from_client or not is_message(content, IOCTL):
            return content
        flags = 1 | (SIGNED if signed else 0)
        head = put(content[:64], 8, struct.pack("<IHHI", NOT_SUPPORTED, IOCTL, 1, flags))
        box.answer(put(head, 48, b"forged signature" if signed else bytes(16)) + bytes([9, 0, 0, 0, 0, 0, 0, 0, 0]))
        return None

    return change


def dropped(command):
    return lambda from_client, content, box: None if from_client and is_message(content, command) else content


def guest(content):
    return put(without_signature(content), 66, struct.pack("<H", 1))


def to_302(content):
    return put(content, 68, struct.pack("<H", 0x0302))


closed = {"connected": False, "kind": DISCONNECTED, "rule": MISSING, "security": True}


def broken(rule, **more):
    return {"connected": False, "kind": PROTOCOL, "rule": rule, "security": True, **more}


# The rows of "what catches it": name, change, what is expected on 3.0.2, on 3.1.1 (None: does not apply), options.
hash_differs = broken(SIGNATURE, phase="SESSION_SETUP")
ROWS = [
    ("1 dialects removed: 2.1 is left", only_dialects(0x0202, 0x0210), closed, closed, ()),
    ("1 dialects removed: 2.0.2 is left", only_dialects(0x0202), closed, closed, ()),
    ("1 dialects removed: 3.0 is left", only_dialects(0x0202, 0x0210, 0x0300), closed, closed, ()),
    (
        "2 the response says 3.0",
        in_response(NEGOTIATE, lambda c: put(c, 68, b"\x00\x03")),
        broken(DIALECT),
        hash_differs,
        (),
    ),
    ("2 the response says 3.0.2", in_response(NEGOTIATE, to_302), {"connected": True}, hash_differs, ()),
    (
        "3 the response says 2.1",
        in_response(NEGOTIATE, lambda c: put(c, 68, b"\x10\x02")),
        hash_differs,
        hash_differs,
        (),
    ),
    (
        "4 SecurityMode of the request",
        in_request(NEGOTIATE, lambda c: put(c, 68, b"\1")),
        closed,
        hash_differs,
        ("sign", "required"),
    ),
    (
        "5 SecurityMode of the response",
        in_response(NEGOTIATE, lambda c: flip(c, 66, 2)),
        broken(MODE),
        hash_differs,
        (),
    ),
    ("6 Capabilities of the request", in_request(NEGOTIATE, lambda c: flip(c, 72, 0x40)), closed, hash_differs, ()),
    (
        "6 Capabilities of the response",
        in_response(NEGOTIATE, lambda c: flip(c, 88, 0x40)),
        broken(CAPABILITIES),
        hash_differs,
        (),
    ),
    ("7 ClientGuid", in_request(NEGOTIATE, lambda c: flip(c, 80, 1)), closed, hash_differs, ()),
    ("7 ServerGuid", in_response(NEGOTIATE, lambda c: flip(c, 80, 1)), broken(GUID), hash_differs, ()),
    ("8 no encryption context", without_context(2), None, hash_differs, ()),
    ("8 no signing context", without_context(8), None, hash_differs, ()),
    (
        "8 another cipher in the response",
        in_response(NEGOTIATE, with_cipher(1)),
        None,
        hash_differs,
        (),
    ),
    (
        "8 a cipher that there is not",
        in_response(NEGOTIATE, with_cipher(7)),
        None,
        broken(CIPHER),
        (),
    ),
    ("9 validation dropped", dropped(IOCTL), {**closed, "kind": TIMED_OUT}, None, ("timeout", "1500")),
    ("10 validation answered unsigned", forged_info(False), broken(UNPROTECTED), None, ()),
    ("10 validation answered with a forged signature", forged_info(True), broken(UNPROTECTED), None, ()),
    ("11 validation altered", in_request(IOCTL, lambda c: flip(c, 120, 4)), broken(DENIED), None, ()),
    ("11 its answer altered", in_response(IOCTL, lambda c: flip(c, 112, 4)), broken(UNPROTECTED), None, ()),
    (
        "12 last SESSION_SETUP unsigned",
        in_response(SESSION_SETUP, without_signature),
        broken(UNSIGNED),
        broken(UNSIGNED),
        (),
    ),
    ("13 made a guest", in_response(SESSION_SETUP, guest), broken(GUEST), broken(GUEST), ()),
    ("19 validation without signature", in_request(IOCTL, without_signature), broken(UNPROTECTED), None, ()),
    (
        "the token of the challenge",
        in_response(SESSION_SETUP, lambda c: flip(c, 150, 1), 0xC0000016),
        {"connected": False},
        {"connected": False},
        (),
    ),
    (
        "TREE_CONNECT altered",
        in_request(TREE_CONNECT, lambda c: flip(c, 64, 1)),
        {"connected": False},
        {"connected": False},
        (),
    ),
    (
        "ShareFlags of TREE_CONNECT",
        in_response(TREE_CONNECT, lambda c: flip(c, 69, 0x80)),
        broken(SIGNATURE),
        broken(SIGNATURE),
        (),
    ),
    (
        "SystemTime, which nothing protects below 3.1.1",
        in_response(NEGOTIATE, lambda c: flip(c, 104, 1)),
        {"connected": True},
        hash_differs,
        (),
    ),
    (
        "MaxReadSize, likewise",
        in_response(NEGOTIATE, lambda c: put(c, 96, b"\0\0\1\0")),
        {"connected": True},
        hash_differs,
        (),
    ),
    ("nothing at all", lambda from_client, content, box: content, {"connected": True}, {"connected": True}, ()),
]

SMB1_ROWS = [
    ("14 SMB2 removed, where the server has no SMB1", smb1_dialects(b"NT LM 0.12"), {"connected": False}),
    ("15 only 2.002 is left", smb1_dialects(b"SMB 2.002"), closed),
    (
        "16 the wildcard's answer",
        in_response(NEGOTIATE, lambda c: flip(c, 88, 7) if c[68:70] == b"\xff\2" else c),
        {"connected": True},
    ),
]


def differences(found, wanted):
    differ = [key for key, value in wanted.items() if found.get(key) != value]
    return [f"{key}: {found.get(key)!r}, should be {wanted[key]!r}" for key in differ]


def connect(program, port, *options):
    command = [program, "127.0.0.1", str(port), "data", "user", "root", *options]
    environment = {**os.environ, "SMBPROOF_PASSWORD": "secret"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_SECONDS)
    if done.returncode not in (0, 1) or done.stderr:
        return {"crash": f"exit status {done.returncode}: {done.stderr[-2000:]}"}
    return json.loads(done.stdout)


def alter(tap, program, samba, name, change, wanted, *options):
    with Altering(samba.port, lambda from_client, content: change(from_client, content, box)) as box:
        found = connect(program, box.port, *options)
    wrong = differences(found, wanted)
    if "crash" in found or box.error:
        wrong.append(f"the test itself: {box.error}")
    tap.result(name, wrong + [json.dumps(found)] if wrong else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    program = parser.parse_args().connect
    tap = Tap()
    if Samba.missing():
        tap.skip("alterations between the client and smbd", Samba.missing())
        return tap.done()
    for column, dialect, settings in ((2, "3.0.2", {"server max protocol": "SMB3_02"}), (3, "3.1.1", {})):
        with Samba(settings) as samba:
            for row in ROWS:
                if row[column] is not None:
                    alter(tap, program, samba, f"{dialect}: {row[0]}", row[1], row[column], *row[4])
            for name, change, wanted in SMB1_ROWS:
                alter(tap, program, samba, f"{dialect}: {name}", change, wanted, "smb1", "yes")
    with Samba({"server min protocol": "NT1"}) as samba:
        row = ("14 SMB2 removed", smb1_dialects(b"NT LM 0.12"), broken(SMB1))
        alter(tap, program, samba, *row, "smb1", "yes")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
