#!/usr/bin/env python3
"""The server under people who mean it ill, with one who means it well beside them, who has to be served all the time.

usage: abuse.py --smbproof PROGRAM --load PROGRAM [--requests N] [--seed N]

  malformed requests, from those who are logged on, and from those who are not
  connections that say nothing, say it slowly, or stop in the middle of logging on, beyond the limit of half-open ones
  connections beyond the limit of all
  those who ask for much and take no answer
Then the server has to be as large as before, and to end in order. Prints TAP. Without --requests a few thousand malformed
requests are sent, which takes some seconds; by hand, a million.
"""
import argparse
import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from serve_check import Server  # noqa: E402
from tap import Tap  # noqa: E402

HALF_OPEN, CONNECTIONS, LOGON_SECONDS = 100, 400, 5
SENDERS = 4
GREEDY = 4
GREEDY_MIB = 64
TIMEOUT_SECONDS = 60
# Two dialects and two contexts, as in any client's first message.
NEGOTIATE = bytes.fromhex(
    "fe534d4240000000000000000000010000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000002400020001000000000000000123456789abcdef0123456789abcdef0000000000000000020311030000000000000000"
)


class Abuse:
    def __init__(self, tap, server, options):
        self.tap, self.server, self.options = tap, server, options
        self.environment = {**os.environ, "SMBPROOF_PASSWORD": "secret"}

    def load(self, mode, number, path, *more, **how):
        command = [self.options.load, "127.0.0.1", str(self.server.port), "data", mode, str(number), str(path), "user", "ada",
                   "timeout", str(TIMEOUT_SECONDS * 1000), *more]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)

    def works(self, name):
        """The one who means it well: a new connection, and files made, read, renamed, deleted."""
        began = time.monotonic()
        client = self.load("churn", 20, "good")
        said = client.communicate()[1]
        print(f"# {name}: served within {time.monotonic() - began:.2f} s", flush=True)
        self.tap.result(f"well-behaved beside {name}", [said or "failed"] if client.returncode != 0 else [])

    def garbled(self):
        count, answered = self.options.requests // SENDERS, 0
        clients = [self.load("garble", count, self.options.seed + i, "dialects", dialect)
                   for i, dialect in enumerate(("3.1.1", "3.0.2", "2.1", "3.1.1"))]
        self.works("malformed requests")
        complaints = []
        for client in clients:
            said, complaint = client.communicate()
            if client.returncode != 0:
                complaints.append(complaint)
            else:
                answered += int(said.split()[1])
        print(f"# {SENDERS * count} malformed requests, {answered} of them answered")
        self.tap.result("malformed requests of those who are logged on", complaints)

    def garbled_by_strangers(self):
        """The server answers or ends the connection. Nothing that it says can be anything but SMB."""
        choose, complaints = random.Random(self.options.seed), []
        for number in range(self.options.requests // 10):
            message = bytearray(NEGOTIATE)
            for _ in range(choose.randrange(6)):
                message[choose.randrange(len(message))] = choose.randrange(256)
            del message[choose.choice((4, 64, 100, len(message), len(message))):]
            with contextlib.suppress(ConnectionError), self.server.open() as one:
                one.sendall(struct.pack(">I", len(message)) + message)
                one.shutdown(socket.SHUT_WR)
                answer = one.recv(8)
                if answer and answer[4:8] != b"\xfeSMB":
                    complaints.append(f"{number}: {answer!r} after {message.hex()}")
        self.tap.result("malformed requests of strangers", complaints[:5])

    def half_open(self):
        """Twice as many as may be; the oldest make room. Slow ones and those that stop are out in time."""
        stopped = [self.server.open() for _ in range(HALF_OPEN)]
        for one in stopped:
            one.sendall(struct.pack(">I", len(NEGOTIATE)) + NEGOTIATE)
        slow = [self.server.open() for _ in range(HALF_OPEN)]
        for one in slow:
            one.sendall(b"\0")
        self.works("half-open connections")
        began = time.monotonic()
        while time.monotonic() < began + LOGON_SECONDS - 1:
            for one in slow:
                with contextlib.suppress(OSError):
                    one.sendall(b"\0")
            time.sleep(0.5)
        time.sleep(2)
        left = sum(not is_closed(one) for one in stopped + slow)
        self.tap.result("half-open connections are closed in time", [f"{left} are left"] if left else [])

    def flood(self):
        """Those who are in stay in, whoever else comes."""
        inside = self.load("idle", CONNECTIONS - HALF_OPEN, "-", stdin=subprocess.PIPE)
        inside.stdout.readline()
        crowd = []
        with contextlib.suppress(OSError):
            crowd = [self.server.open() for _ in range(2 * HALF_OPEN)]
        began = time.monotonic()
        inside.stdin.write("ask\n")
        inside.stdin.flush()
        answer = inside.stdout.readline()
        print(f"# {CONNECTIONS - HALF_OPEN} connections at the limit asked within {time.monotonic() - began:.2f} s")
        self.tap.result("well-behaved beside a flood of connections", [] if answer == "answered\n" else [answer])
        out = sum(is_closed(one) for one in crowd)
        self.tap.result("who comes beyond the limits is turned away",
                        [] if out >= HALF_OPEN - 1 else [f"{out} of {len(crowd)}"])  # fmt: skip
        for one in crowd:
            one.close()
        inside.communicate()

    def greedy(self):
        before = self.server.memory_kib()
        client = self.load("greedy", GREEDY, "large", "sign", "required", stdin=subprocess.PIPE)
        asked = client.stdout.readline()
        time.sleep(0.5)
        self.works("those who take no answer")
        grown = (self.server.memory_kib() - before) / 1024
        print(f"# {asked.strip()} times 64 KiB and took none: {grown:.1f} MiB more", flush=True)
        self.tap.result("unsent answers are few", [f"{grown:.1f} MiB"] if grown > GREEDY_MIB else [])
        client.communicate()


def is_closed(one):
    one.settimeout(0.01)
    try:
        while one.recv(4096):
            continue
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tap = Tap()
    limits = ("--max-half-open", str(HALF_OPEN), "--max-connections", str(2 * CONNECTIONS), "--max-connections-per-address",
              str(CONNECTIONS), "--logon-time", str(LOGON_SECONDS))
    with tempfile.TemporaryDirectory(prefix="smbproof-abuse-") as folder:
        with Server(options.smbproof, folder, *limits) as server:
            (Path(folder) / "share" / "good").mkdir()
            (Path(folder) / "share" / "large").write_bytes(os.urandom(65536) * 16)
            abuse = Abuse(tap, server, options)
            abuse.works("nobody")
            abuse.garbled()
            settled = server.memory_kib()
            for part in (abuse.garbled_by_strangers, abuse.half_open, abuse.flood, abuse.greedy, abuse.garbled):
                part()
            abuse.works("nobody any more")
            grown = (server.memory_kib() - settled) / 1024
            print(f"# {settled / 1024:.1f} MiB after the first malformed requests, {grown:.1f} MiB more at the end")
            tap.result("it ends in order", [] if server.stop() == 0 else ["exit status"])
        log = (Path(folder) / "log").read_text(errors="replace")
        tap.result("nothing is amiss in its memory", [log[log.index("Sanitizer") - 200 :][:3000]] if "Sanitizer" in log else [])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
