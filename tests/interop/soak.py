#!/usr/bin/env python3
"""Many clients of several kinds at work on one server for a while, which is ended and started again in the middle.

usage: soak.py --smbproof PROGRAM --load PROGRAM [--minutes N] [--clients N] [--pause SECONDS] [--folder FOLDER]

A quarter each of the clients are smbclient, this project's get and put, impacket, and tests/interop/load. Each writes files,
reads them back, renames and deletes, over connections of its own. What a client was told is written has to be there at the
end, with the same contents. Whatever fails in the seconds around the restart is tried again; anything else is a complaint.
Prints figures, and how much memory the server has while it goes on. Exit status 0: nothing was lost, nothing complained.
"""
import argparse
import collections
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from samba import free_port  # noqa: E402

KINDS = ("smbclient", "smbproof", "impacket", "load")
KEPT = 3  # files that each client leaves
SIZE_MAX = 300_000
RESTART_SECONDS = 15  # around which clients may fail
TIMEOUT_SECONDS = 120
SAMPLES = 12


# A process of its own: it signs in Python, and 50 threads of that would wait for each other.
IMPACKET = """
import sys
from impacket.smbconnection import SMBConnection
port, what, name, path = sys.argv[1:]
connection = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=int(port), timeout=120)
connection.login("ada", "secret")
if what == "delete":
    connection.deleteFile("data", name)
elif what == "put":
    with open(path, "rb") as file:
        connection.putFile("data", name, file.read)
else:
    with open(path, "wb") as file:
        connection.getFile("data", name, file.write)
connection.logoff()
"""


class Server:
    def __init__(self, options, folder):
        self.options, self.folder, self.port = options, folder, free_port()
        self.share = folder / "share"
        self.share.mkdir()
        subprocess.run([options.smbproof, "passwd", folder / "accounts", "ada"], input=b"secret\n", check=True,
                       capture_output=True)  # fmt: skip

    def start(self):
        command = [self.options.smbproof, "serve", "--listen", f"127.0.0.1:{self.port}", "--accounts",
                   self.folder / "accounts", "--share", f"data={self.share}"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.process.stdout.readline()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_SECONDS)

    def memory_kib(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    pass


class Client(threading.Thread):
    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.number, self.kind = soak, number, KINDS[number % len(KINDS)]
        self.random = random.Random(number)
        self.kept = collections.OrderedDict()  # name: SHA-256
        self.scratch = soak.folder / f"scratch-{number}"
        self.made = 0

    def command(self, *command):
        environment = {**os.environ, "SMBPROOF_PASSWORD": "secret", "HOME": str(self.soak.folder)}
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment,
                              timeout=TIMEOUT_SECONDS)  # fmt: skip
        if done.returncode != 0:
            raise Failed(f"{done.returncode}: {(done.stdout + done.stderr)[-500:]}")

    def smbclient(self, said):
        self.command("smbclient", "//127.0.0.1/data", "-p", self.soak.server.port, "-U", "ada%secret", "-m", "SMB3", "-c", said)

    def url(self, name):
        return f"smb://ada@127.0.0.1:{self.soak.server.port}/data/{name}"

    def impacket(self, what, name):
        self.command(sys.executable, "-c", IMPACKET, self.soak.server.port, what, name, self.scratch)

    def put(self, name, contents):
        self.scratch.write_bytes(contents)
        if self.kind == "impacket":
            self.impacket("put", name)
        elif self.kind == "smbclient":
            self.smbclient(f"put {self.scratch} {name}")
        else:
            self.command(self.soak.options.smbproof, "put", "-q", self.scratch, self.url(name))

    def get(self, name):
        self.scratch.unlink(missing_ok=True)
        if self.kind == "impacket":
            self.impacket("get", name)
        elif self.kind == "smbclient":
            self.smbclient(f"get {name} {self.scratch}")
        else:
            self.command(self.soak.options.smbproof, "get", "-q", self.url(name), self.scratch)
        return self.scratch.read_bytes()

    def delete(self, name):
        if self.kind == "impacket":
            self.impacket("delete", name)
        elif self.kind == "smbclient":
            self.smbclient(f"del {name}")
        else:
            self.command(self.soak.options.smbproof, "rm", self.url(name))

    def turn(self):
        if self.kind == "load":
            folder = f"client-{self.number}"
            (self.soak.server.share / folder).mkdir(exist_ok=True)
            self.command(self.soak.options.load, "127.0.0.1", self.soak.server.port, "data", "churn", 10, folder,
                         "user", "ada", "timeout", TIMEOUT_SECONDS * 1000)  # fmt: skip
            return
        name = f"client-{self.number}-{self.made}"
        self.made += 1
        contents = self.random.randbytes(self.random.randrange(1, SIZE_MAX))
        self.put(name, contents)
        self.kept[name] = hashlib.sha256(contents).hexdigest()
        if self.get(name) != contents:
            raise Failed(f"{name} came back with other contents")
        if len(self.kept) > KEPT:
            oldest = next(iter(self.kept))
            del self.kept[oldest]  # from here on it may be there or not
            self.delete(oldest)

    def run(self):
        self.soak.begun.wait()
        while time.monotonic() < self.soak.until:
            began = time.monotonic()
            try:
                self.turn()
                self.soak.count(self.kind)
            except (Failed, subprocess.TimeoutExpired, OSError) as error:
                self.soak.complain(began, f"{self.kind} {self.number}: {error}")
            time.sleep(self.random.random() * 2 * self.soak.options.pause)


class Soak:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.server = Server(options, folder)
        self.lock, self.turns, self.complaints = threading.Lock(), collections.Counter(), []
        self.interrupted, self.restarted, self.begun = 0, None, threading.Event()

    def count(self, kind):
        with self.lock:
            self.turns[kind] += 1

    def complain(self, began, what):
        now = time.monotonic()
        with self.lock:
            if self.restarted is not None and began < self.restarted + RESTART_SECONDS and now > self.restarted:
                self.interrupted += 1
            else:
                self.complaints.append(what)

    def restart(self):
        self.restarted = time.monotonic()
        status = self.server.stop()
        self.server.start()
        print(f"restarted within {time.monotonic() - self.restarted:.1f} s, exit status {status}", flush=True)
        if status != 0:
            self.complaints.append(f"the server ended with {status}")

    def watch(self, until):
        """The server's memory now and then."""
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self.options.minutes * 60 / SAMPLES))
            print(f"{self.server.memory_kib()} KiB, {self.server.cpu_seconds():.1f} s of CPU, {sum(self.turns.values())} turns",
                  flush=True)

    def lost(self, clients):
        for client in clients:
            for name, digest in client.kept.items():
                file = self.server.share / name
                if not file.exists():
                    yield f"{name} is not there"
                elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                    yield f"{name} has other contents"

    def run(self):
        self.server.start()
        clients = [Client(self, number) for number in range(self.options.clients)]
        for client in clients:
            client.start()
        began = time.monotonic()
        self.until = began + self.options.minutes * 60
        self.begun.set()
        self.watch(began + self.options.minutes * 30)
        self.restart()
        self.watch(self.until)
        for client in clients:
            client.join()
        kept = sum(len(client.kept) for client in clients)
        lost = list(self.lost(clients))
        status = self.server.stop()
        print(f"{len(clients)} clients, {dict(self.turns)} turns, {self.interrupted} interrupted by the restart")
        print(f"{kept} files were to be there, {len(lost)} lost; {len(self.complaints)} complaints; exit status {status}")
        for line in (lost + self.complaints)[:20]:
            print(line)
        return 0 if not lost and not self.complaints and status == 0 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--pause", type=float, default=2, help="seconds on average between two turns of a client")
    parser.add_argument("--folder", help="where the share lies, for a while; default: the system's place for such")
    options = parser.parse_args()
    if subprocess.run([sys.executable, "-c", "import impacket"], capture_output=True).returncode != 0:
        sys.exit("impacket is not there for " + sys.executable)
    with tempfile.TemporaryDirectory(prefix="smbproof-soak-", dir=options.folder) as folder:
        return Soak(options, Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
