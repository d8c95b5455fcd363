#!/usr/bin/env python3
"""The relay as a transparent box: between two network namespaces, with addresses and ports the same at both ends.

usage: transparent_check.py --smbproof PROGRAM

Prints TAP. Makes three namespaces of its own, and takes them away again: client, box, server. Skipped, with the reason,
where that is not permitted or the kernel has no TPROXY.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import relay_lab  # noqa: E402
from tap import Tap  # noqa: E402

CLIENT, SERVER = "198.51.100.1", "203.0.113.1"
BOX_TO_CLIENT, BOX_TO_SERVER = "198.51.100.2", "203.0.113.2"
PORT, CLIENT_PORT = 445, 40445
SECONDS = 20
TABLE, MARK = "100", "1"

RULES = f"""
table ip smbproof {{
 chain box {{ type filter hook prerouting priority mangle;
  iifname "toclient" tcp dport {PORT} tproxy to 127.0.0.1:4450 meta mark set {MARK} accept
  iifname "toserver" tcp sport {PORT} socket transparent 1 meta mark set {MARK} accept
 }}
}}
"""

# The server says who came, and gives back what it got; the client says what it sent, and got.
SERVER_PROGRAM = f"""
import socket, sys
listener = socket.create_server(("{SERVER}", {PORT}))
listener.settimeout({SECONDS})
print("ready", flush=True)
peer, address = listener.accept()
peer.settimeout({SECONDS})
got = peer.recv(4096)
print(*address[:2], *peer.getsockname()[:2], got.hex(), flush=True)
peer.sendall(got)
peer.recv(1)
"""
CLIENT_PROGRAM = f"""
import socket, sys
peer = socket.socket()
peer.bind(("{CLIENT}", {CLIENT_PORT}))
peer.settimeout({SECONDS})
peer.connect(("{SERVER}", {PORT}))
peer.sendall(bytes.fromhex(sys.argv[1]))
got = peer.recv(4096)
print(*peer.getpeername()[:2], got.hex())
"""


def negotiate_request():
    """An SMB2 NEGOTIATE request of dialect 2.1, SecurityMode 1, behind its four octets."""
    header = b"\xfeSMB" + (64).to_bytes(2, "little") + bytes(58)
    body = (36).to_bytes(2, "little") + (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + bytes(30)
    message = header + body + (0x0210).to_bytes(2, "little")
    return len(message).to_bytes(4, "big") + message


class Namespaces:
    """client -- box -- server."""

    def __init__(self):
        self.names = {name: f"smbproof-{name}-{os.getpid()}" for name in ("client", "box", "server")}

    def ip(self, name, *words):
        self.do("ip", "-n", self.names[name], *words)

    def do(self, *words, **options):
        done = subprocess.run(words, capture_output=True, text=True, **options)
        if done.returncode != 0:
            raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")

    def inside(self, name, *words):
        return ["ip", "netns", "exec", self.names[name], *words]

    def link(self, name, device, address, box_device, box_address):
        self.do("ip", "link", "add", device, "netns", self.names[name], "type", "veth", "peer", "name", box_device,
                "netns", self.names["box"])  # fmt: skip
        for where, what, which in ((name, device, address), ("box", box_device, box_address)):
            self.ip(where, "address", "add", f"{which}/24", "dev", what)
            self.ip(where, "link", "set", what, "up")
        self.ip(name, "route", "add", "default", "via", box_address)

    def __enter__(self):
        try:
            for name in self.names.values():
                self.do("ip", "netns", "add", name)
            for name in self.names:
                self.ip(name, "link", "set", "lo", "up")
            self.link("client", "tobox", CLIENT, "toclient", BOX_TO_CLIENT)
            self.link("server", "tobox", SERVER, "toserver", BOX_TO_SERVER)
            self.do(*self.inside("box", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
            self.do(*self.inside("box", "nft", "-f", "-"), input=RULES)
            self.ip("box", "rule", "add", "fwmark", MARK, "lookup", TABLE)
            self.ip("box", "route", "add", "local", "default", "dev", "lo", "table", TABLE)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def missing():
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in ("ip", "nft") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else None


def start(words):
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not process.stdout.readline():
        raise OSError(process.stderr.read())
    return process


def finish(process):
    try:
        return process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def try_it(tap, program, namespaces, folder):
    relay = start(namespaces.inside("box", program, "relay", "--json", "--transparent", "--listen", "127.0.0.1:4450",
                                    "--tamper", "negotiate.request.SecurityMode=2", "--record", folder))  # fmt: skip
    server = start(namespaces.inside("server", sys.executable, "-c", SERVER_PROGRAM))
    sent = negotiate_request()
    status, client_said = relay_lab.run(namespaces.inside("client", sys.executable, "-c", CLIENT_PROGRAM, sent.hex()))
    server_said = finish(server)
    relay.send_signal(signal.SIGTERM)
    connections = [json.loads(line) for line in finish(relay).splitlines() if '"connection"' in line]

    changed = bytearray(sent)
    changed[4 + 68] = 2
    wanted = f"{CLIENT} {CLIENT_PORT} {SERVER} {PORT} {bytes(changed).hex()}"
    tap.result("the server sees the client's address and port, and the altered octets",
               [] if server_said.strip() == wanted else [server_said, f"should be {wanted}"])  # fmt: skip
    wanted = f"{SERVER} {PORT} {bytes(changed).hex()}"
    tap.result("the client sees the server's", [] if status == 0 and client_said.strip() == wanted else [client_said])
    altered = [connection["altered"] for connection in connections]
    tap.result("the relay says what it did", [] if len(altered) == 1 and altered[0] else [str(connections)])
    _, said = relay_lab.run([program, "explain", "--json", f"{folder}/relay.pcapng"])
    pairs = {(one["connection"]["client"], one["connection"]["server"])
             for one in map(json.loads, said.splitlines()) if "connection" in one}  # fmt: skip
    wanted = {(f"{CLIENT}:{CLIENT_PORT}", f"{SERVER}:{PORT}")}
    tap.result("the recording has both legs of one connection", [] if pairs == wanted else [str(pairs), said])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    program = str(Path(parser.parse_args().smbproof).resolve())
    tap = Tap()
    why = missing()
    try:
        if why is None:
            with Namespaces() as namespaces, tempfile.TemporaryDirectory(prefix="smbproof-box-") as folder:
                try_it(tap, program, namespaces, folder)
    except OSError as error:
        why = str(error).strip().replace("\n", "; ")
    if why:
        tap.skip("the relay as a transparent box", why)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
