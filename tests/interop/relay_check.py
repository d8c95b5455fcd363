#!/usr/bin/env python3
"""The relay: what it does, predicts and records, between real clients and smbd; and that it changes nothing else.

usage: relay_check.py --smbproof PROGRAM [--sanitized]

Prints TAP. What needs smbd is skipped where it cannot be started.
"""
import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import relay_lab  # noqa: E402
from relay_lab import Recording, Relay  # noqa: E402
from samba import Samba  # noqa: E402
from tap import Tap  # noqa: E402

MANY = 1000
SLOW = 40
SLOW_OCTETS = 16 * 1024 * 1024  # that each slow reader is sent
# What 1000 connections and 40 slow readers may take: their records, and RELAY_HELD_MAX per direction that is full.
MEMORY_KIB = 120 * 1024
WAIT_SECONDS = 60
FILE_OCTETS = 12 * 1024 * 1024 + 12345

# Profile, client, its dialect, the outcome, whether the client gets its list.
LIVE = [
    ("pass-through", "smbproof", "3.1.1", "untouched", True),
    ("wan-accelerator", "smbproof", "3.1.1", "predicted", False),
    ("wan-accelerator", "smbclient", "3.0.2", "predicted", False),
    ("downgrade-attack", "smbproof", "3.1.1", "predicted", False),
    ("downgrade-attack", "smbclient", "3.1.1", "predicted", False),
    ("dialect-swapper", "smbclient", "3.1.1", "predicted", False),
    ("capability-stripper", "smbproof", "3.0.2", "predicted", False),
    ("capability-stripper", "impacket", "3.0", "unnoticed", True),
    ("leasing-stripper", "smbclient", "3.0.2", "predicted", False),
    ("context-stripper", "smbproof", "3.1.1", "predicted", False),
    ("cipher-downgrade", "smbclient", "3.1.1", "predicted", False),
    ("salt-changer", "smbproof", "3.1.1", "predicted", False),
    ("guid-rewriter", "smbproof", "3.0.2", "predicted", False),
    ("guid-rewriter", "impacket", "3.0", "unnoticed", True),
    ("size-limiter", "smbproof", "3.0.2", "harmless", True),
    ("reset-on-validate", "smbclient", "3.0.2", "ended", False),
    ("validate-blocker", "smbproof", "3.0.2", "predicted", False),
    ("forged-not-supported", "smbclient", "3.0.2", "predicted", False),
    ("signature-stripper", "smbproof", "3.1.1", "predicted", False),
    ("guest-forger", "smbclient", "3.0.2", "allowed", True),
    ("tree-tamper", "smbproof", "3.0.2", "predicted", False),
    ("slow-path", "smbproof", "3.0.2", "harmless", True),
    ("segment-shuffler", "smbclient", "3.1.1", "harmless", True),
]
# tshark takes its time.
LOOKED_AT = {("pass-through", "smbproof"), ("downgrade-attack", "smbproof"), ("reset-on-validate", "smbclient"),
             ("segment-shuffler", "smbclient")}  # fmt: skip


def outcome_complaints(relay, outcome, worked, output, wanted):
    found = [connection["outcome"] for connection in relay.connections]
    if not found or found[0] != outcome:
        yield f"the outcome is {found}, should be {outcome}"
        yield from (json.dumps(connection) for connection in relay.connections)
    if worked != wanted:
        yield f"the client {'works' if worked else 'does not work'}: {output[-500:]}"
    if relay.status != (1 if outcome == "unnoticed" else 0):
        yield f"exit status {relay.status}: {relay.errors}"


def packets_complaints(folder, altered):
    """Are the made-up packets right in tshark's eyes, and do altered ones have their comments?"""
    if shutil.which("tshark") is None:
        return
    command = ["tshark", "-r", f"{folder}/relay.pcapng", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
               "-T", "fields", "-e", "_ws.expert.message", "-e", "frame.comment"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        yield f"tshark: {done.stderr[-500:]}"
    for line in done.stdout.splitlines():
        if any(wrong in line for wrong in ("out-of-order", "retransmission", "not captured", "Bad checksum", "unseen")):
            yield f"tshark: {line}"
    if ("smbproof relay" in done.stdout) != altered:
        yield f"comments are {'missing' if altered else 'there'}"


def live(tap, program):
    clients = {client.name: client for client in relay_lab.clients(program)}
    missing = Samba.missing()
    if missing:
        tap.skip("the relay in front of smbd", missing)
        return
    with Samba() as samba:
        for profile, name, dialect, outcome, wanted in LIVE:
            label = f"{profile}, {name} {dialect}"
            if clients[name].missing():
                tap.skip(label, clients[name].missing())
                continue
            with Recording() as folder:
                with Relay(program, samba.port, "--profile", profile, record=folder) as relay:
                    status, output = clients[name].run(relay.port, dialect)
                tap.result(label, outcome_complaints(relay, outcome, status == 0, output, wanted))
                tap.result(f"{label}: explain", relay_lab.told_wrongly(program, folder, relay.connections))
                if (profile, name) in LOOKED_AT:
                    altered = any(connection["altered"] for connection in relay.connections)
                    tap.result(f"{label}: packets", packets_complaints(folder, altered))
        selected(tap, program, samba, clients["smbproof"])
        files_go_through(tap, program, samba)


def selected(tap, program, samba, client):
    """--only and --every: the others pass as they are."""
    for options, wanted in ((("--only", "2,3"), [0, 1, 1, 0]), (("--every", "2"), [0, 1, 0, 1])):
        with Relay(program, samba.port, "--profile", "wan-accelerator", *options) as relay:
            worked = [client.run(relay.port, "3.0.2")[0] != 0 for _ in range(4)]
        altered = [bool(connection["altered"]) for connection in relay.connections]
        complaints = [] if altered == worked == [bool(one) for one in wanted] else [f"altered {altered}, refused {worked}"]
        tap.result(" ".join(options), complaints)


def files_go_through(tap, program, samba):
    """What is not asked for does not change: a file goes there and back, whole, while other messages are looked at."""
    with tempfile.TemporaryDirectory(prefix="smbproof-relay-") as folder:
        there, back = Path(folder, "there"), Path(folder, "back")
        there.write_bytes(random.Random(7).randbytes(FILE_OCTETS))
        options = ("--tamper", "echo:drop", "--tamper", "any.request:split=60000")
        with Relay(program, samba.port, *options) as relay:
            url = f"smb://root@127.0.0.1:{relay.port}/data/large"
            environment = {**os.environ, "SMBPROOF_PASSWORD": "secret"}
            put = subprocess.run([program, "put", there, url], env=environment, capture_output=True, text=True)
            get = subprocess.run([program, "get", url, back], env=environment, capture_output=True, text=True)
        complaints = [f"put: {put.stderr}"] if put.returncode else []
        complaints += [f"get: {get.stderr}"] if get.returncode else []
        if not complaints and back.read_bytes() != there.read_bytes():
            complaints.append("the file has changed")
        tap.result(f"a file of {FILE_OCTETS} octets goes there and back", complaints)


# ---- without SMB servers ----


class Echo:
    """Sends back what comes. Or, to who asks by a first octet of 0xff, sends SLOW_OCTETS of its own."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=MANY)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer:
            try:
                first = peer.recv(65536)
                if first[:1] == b"\xff":
                    peer.sendall(pattern(SLOW_OCTETS))
                    return
                while first:
                    peer.sendall(first)
                    first = peer.recv(65536)
            except OSError:
                pass


class Full:
    """A listener that answers no connection: its backlog is full."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.listener.getsockname()[1]
        self.waiting = []
        for _ in range(4):
            peer = socket.socket()
            peer.setblocking(False)
            peer.connect_ex(("127.0.0.1", self.port))
            self.waiting.append(peer)
        return self

    def __exit__(self, *_):
        for peer in (*self.waiting, self.listener):
            peer.close()


def pattern(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def frames(seed):
    """Frames as SMB has them, of sizes and contents that the seed chooses: READ requests and responses, and noise."""
    chance = random.Random(seed)
    octets = b""
    for number in range(chance.randint(1, 6)):
        header = b"\xfeSMB" + (64).to_bytes(2, "little") + bytes(6) + (8).to_bytes(2, "little") + bytes(10)
        body = header + number.to_bytes(8, "little") + bytes(32) + chance.randbytes(chance.randint(0, 3000))
        octets += len(body).to_bytes(4, "big") + body
    return octets


def read_all(peer, size):
    parts = []
    while size > 0:
        part = peer.recv(min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def open_many(relay):
    peers = []
    for _ in range(MANY):
        peer = socket.create_connection(("127.0.0.1", relay.port))
        peer.settimeout(WAIT_SECONDS)
        peers.append(peer)
    return peers


def echo_complaints(peers):
    for number, peer in enumerate(peers):
        peer.sendall(frames(number))
    for number, peer in enumerate(peers):
        sent = frames(number)
        got = read_all(peer, len(sent))
        if hashlib.sha256(got).digest() != hashlib.sha256(sent).digest():
            yield f"connection {number}: {len(got)} octets came back of {len(sent)}, or others"


def slow_complaints(relay, sanitized):
    """Readers that do not read for a while: what was sent to them waits at its sender, and not in the relay."""
    readers = []
    for _ in range(SLOW):
        reader = socket.create_connection(("127.0.0.1", relay.port))
        reader.settimeout(WAIT_SECONDS)
        reader.sendall(b"\xff")
        readers.append(reader)
    time.sleep(1.5)
    memory = relay.memory_kib()
    print(f"# {MANY} connections, {SLOW} slow readers: {memory} KiB")
    if memory > MEMORY_KIB and not sanitized:
        yield f"the relay takes {memory} KiB, more than {MEMORY_KIB}"
    for number, reader in enumerate(readers):
        if read_all(reader, SLOW_OCTETS) != pattern(SLOW_OCTETS):
            yield f"slow reader {number} got something else"
        reader.close()


def many(tap, program, sanitized):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < 3 * MANY:
        tap.skip(f"{MANY} connections", f"only {limit} descriptors are allowed")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with Echo() as echo, Relay(program, echo.port, "--tamper", "negotiate.request:drop") as relay:
        peers = open_many(relay)
        tap.result(f"{MANY} connections, each its own octets", echo_complaints(peers))
        tap.result(f"{SLOW} slow readers", slow_complaints(relay, sanitized))
        for peer in peers:
            peer.close()
    complaints = [f"exit status {relay.status}"] if relay.status != 0 else []
    if len(relay.connections) != MANY + SLOW:
        complaints.append(f"{len(relay.connections)} connections are reported")
    if any(connection["altered"] for connection in relay.connections):
        complaints.append("something was altered")
    tap.result("the report of them", complaints)


def endings(tap, program):
    """A reset is passed on as a reset, an end as an end; a server that is not there is told."""
    with Echo() as echo, Relay(program, echo.port) as relay:
        peer = socket.create_connection(("127.0.0.1", relay.port))
        peer.settimeout(WAIT_SECONDS)
        peer.sendall(b"\x00")
        peer.shutdown(socket.SHUT_WR)
        got = read_all(peer, 2)
        peer.close()
    tap.result("half a connection closes first", [] if got == b"\x00" else [f"{got!r} came back"])
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Relay(program, port) as relay:
        peer = socket.create_connection(("127.0.0.1", relay.port))
        peer.settimeout(WAIT_SECONDS)
        try:
            end = "an end" if peer.recv(1) == b"" else "octets"
        except ConnectionResetError:
            end = "a reset"
        peer.close()
    complaints = [] if end == "a reset" else [f"the client sees {end}"]
    if relay.summary.get("without_server") != 1:
        complaints.append(f"{relay.summary}")
    tap.result("no server", complaints)


def idle(tap, program):
    """A connection on which nothing comes is closed; one on which something comes now and then is not."""
    with Echo() as echo, Relay(program, echo.port, "--idle", "1") as relay:
        peers = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(2)]
        for peer in peers:
            peer.settimeout(WAIT_SECONDS)
        busy, silent = peers
        complaints = []
        for number in range(8):
            busy.sendall(frames(number))
            if read_all(busy, len(frames(number))) != frames(number):
                complaints.append(f"round {number}: other octets came back")
                break
            time.sleep(0.25)
        try:
            complaints.append(f"the silent one is not reset: {silent.recv(1)!r}")
        except ConnectionResetError:
            pass
        for peer in peers:
            peer.close()
    if len(relay.connections) != 2:
        complaints.append(f"{len(relay.connections)} connections are reported")
    tap.result("--idle", complaints)
    with Full() as full, Recording() as folder, Relay(program, full.port, "--idle", "1", record=folder) as relay:
        peer = socket.create_connection(("127.0.0.1", relay.port))
        peer.settimeout(WAIT_SECONDS)
        try:
            complaints = [f"it is not reset: {peer.recv(1)!r}"]
        except ConnectionResetError:
            complaints = []
        peer.close()
    if [connection["error"] for connection in relay.connections] != ["Connection timed out"]:
        complaints.append(f"{relay.connections}")
    tap.result("--idle, and a server that does not answer", complaints)


def smb1_message(flags, words, octets):
    """NEGOTIATE of SMB1, with its four octets in front."""
    header = b"\xffSMB\x72" + bytes(4) + bytes([flags]) + bytes(22)
    message = header + bytes([len(words) // 2]) + words + len(octets).to_bytes(2, "little") + octets
    return len(message).to_bytes(4, "big") + message


def refuse_smb1(listener):
    """DialectIndex 0xffff, and then it waits."""
    with listener.accept()[0] as peer:
        peer.settimeout(WAIT_SECONDS)
        peer.recv(4096)
        peer.sendall(smb1_message(0x80, b"\xff\xff", b""))
        peer.recv(1)


def smb1_refused(tap, program):
    """A server that takes none of the dialects has noticed, though it is the client that closes then."""
    offer = b"".join(b"\x02" + name + b"\0" for name in (b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse_smb1, args=(listener,), daemon=True)
        thread.start()
        with Relay(program, listener.getsockname()[1], "--profile", "smb1-fallback") as relay:
            with socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_SECONDS) as peer:
                peer.sendall(smb1_message(0, b"", offer))
                peer.recv(4096)
            thread.join(WAIT_SECONDS)
    found = [(connection["noticed_by"], connection["noticed_at"]) for connection in relay.connections]
    tap.result("SMB1 refused in SMB1", [] if found == [("server", "NEGOTIATE")] else [f"{relay.connections}"])


def usage(tap, program):
    for options, status, told in (
        ((), 3, "where to?"),
        (("--to", "127.0.0.1", "--tamper", "negotiat:drop"), 3, "did you mean NEGOTIATE?"),
        (("--to", "127.0.0.1", "--profile", "nothing"), 3, "--list"),
        (("--to", "127.0.0.1", "--every", "0"), 3, "numbers from 1 on"),
        (("--to", "127.0.0.1", "--idle", "99999999"), 3, "no more than"),
        (("--to", "127.0.0.1", "--record", "/nonexistent/x", "--listen", "127.0.0.1:0"), 4, "/nonexistent/x"),
    ):
        found, output = relay_lab.run([program, "relay", *options])
        complaints = [] if found == status and told in output else [f"exit status {found}: {output}"]
        tap.result(f"relay {' '.join(options)}", complaints)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--sanitized", action="store_true", help="a sanitizer's memory is not the program's")
    options = parser.parse_args()
    program = options.smbproof
    tap = Tap()
    usage(tap, program)
    endings(tap, program)
    idle(tap, program)
    smb1_refused(tap, program)
    many(tap, program, options.sanitized)
    live(tap, program)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
