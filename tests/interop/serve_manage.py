#!/usr/bin/env python3
"""Running the server: configuration files, reloading, limits, status, numbers over HTTP, the service manager's protocols.

usage: serve_manage.py --smbproof PROGRAM --connect PROGRAM [--unit FILE]

Prints TAP.
"""
import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 60
EXIT_USAGE, EXIT_INPUT = 3, 4


class Place:
    """A folder with accounts, two folders to serve, and a configuration file."""

    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)
        self.config, self.accounts = self.folder / "serve.conf", self.folder / "accounts"
        for name in ("one", "two"):
            (self.folder / name).mkdir()
        (self.folder / "one" / "file").write_text("content")
        self.password("ada", "secret")
        self.write(self.share("data", "one"))

    def password(self, user, password):
        command = [self.program, "passwd", self.accounts, user]
        subprocess.run(command, input=f"{password}\n".encode(), check=True, capture_output=True)

    def share(self, name, folder, *lines):
        return "\n".join([f"[share {name}]", f"Folder = {self.folder / folder}", *lines])

    def write(self, *sections, server=()):
        text = "\n".join(["[server]", "Listen = 127.0.0.1:0", f"Accounts = {self.accounts}", *server, *sections])
        self.config.write_text(text + "\n")

    def log_text(self):
        return (self.folder / "log").read_text(errors="replace")

    def check(self, *options):
        command = [self.program, "serve", "--check", f"--config={self.config}", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)


def set_limit(descriptors):
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


class Server:
    def __init__(self, place, *options, environment=None, limit=None):
        self.place = place
        self.log = open(place.folder / "log", "ab")
        self.process = subprocess.Popen(
            [place.program, "serve", f"--config={place.config}", *options], stdout=subprocess.PIPE, stderr=self.log,
            text=True, env=environment, preexec_fn=limit and (lambda: set_limit(limit)),
        )  # fmt: skip
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "SIGTERM did not end it"
        finally:
            self.log.close()

    def wait_for(self, text, count=1):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self.log_text().count(text) >= count:
                return
            time.sleep(0.02)
        raise RuntimeError(f"the log never has {text!r}: {self.log_text()[-2000:]}")

    def log_text(self):
        return self.place.log_text()

    def reload(self, result):
        before = self.log_text().count(f"event=reload result={result}")
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(f"event=reload result={result}", before + 1)


class Client:
    def __init__(self, program, server):
        self.command, self.server = [program, "127.0.0.1", str(server.port)], server

    def start(self, share, *options, user="ada", password="secret"):
        environment = {**os.environ, "SMBPROOF_PASSWORD": password}
        command = [*self.command, share, "user", user, "chains", "no", *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def result(self, process):
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return json.loads(out) if out else {"crash": err}

    def run(self, *arguments, **keywords):
        return self.result(self.start(*arguments, **keywords))


def differs(found, **wanted):
    wrong = [f"{key}: {found.get(key)!r}, should be {value!r}" for key, value in wanted.items() if found.get(key) != value]
    return wrong + [str(found)] if wrong else []


def check_files(tap, place):
    good = place.check()
    tap.result("--check of a right file", [] if good.returncode == 0 and "MaxConnections = 16384" in good.stdout
               else [good.stdout + good.stderr])  # fmt: skip
    again = place.folder / "again.conf"
    again.write_text(re.sub(r"^\w+ = \t.*\n", "", good.stdout, flags=re.MULTILINE))
    command = [place.program, "serve", "--check", f"--config={again}"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)

    def bare(text):
        return re.sub(r"\t.*", "", text)

    tap.result("what --check shows is a file that says the same",
               [] if bare(second.stdout) == bare(good.stdout) else [second.stdout, second.stderr])  # fmt: skip
    wrong = (
        (["Nonsense = 1"], [], EXIT_USAGE, r":4: `Nonsense' is no key"),
        (["MaxConnections = many"], [], EXIT_USAGE, r":4: MaxConnections: `many' .* 1 to 1000000 connections"),
        (["MaxConnections = 10", "MaxConnectionsPerAddress = 10"], [], EXIT_USAGE, r":5 and .*:4: one address"),
        (["Dialects = 3.0.2-2.1"], [], EXIT_USAGE, r":4: Dialects: "),
        (["Dialects = 2.0.2-2.1", "Encryption = required"], [], EXIT_USAGE, r":5 and .*:4: SMB 2 has no encryption"),
        ([], [place.share("data", "one"), place.share("DATA", "two")], EXIT_USAGE, r":6: the share DATA is there twice"),
        ([], ["[share data]"], EXIT_USAGE, r":4: share data: it has no Folder"),
        ([], ["[share IPC$]", "Folder = /"], EXIT_USAGE, r":4: IPC\$ is the server's own"),
        ([], ["[share a/b]", "Folder = /"], EXIT_USAGE, r":4: a share's name"),
        ([], [place.share("data", "nowhere")], EXIT_INPUT, r":5: .*nowhere: No such file"),
        ([], [place.share("data", "one/file")], EXIT_INPUT, r":5: .*file: Not a directory"),
        ([], [place.share("data", "one", "Guest = on", "Encrypt = on")], EXIT_USAGE, r":4: share data: guests have no key"),
        (["Encryption = off"], [place.share("data", "one", "Encrypt = on")], EXIT_USAGE, r":5: share data: it demands enc"),
        ([f"Keytab = {place.folder}/none"], [], EXIT_INPUT, r":4: .*none: No such file"),
        (["Listen = nothing"], [], EXIT_USAGE, r":4: Listen: `nothing' is no ADDRESS:PORT"),
    )
    for server, sections, status, pattern in wrong:
        place.write(*sections, server=server)
        done = place.check()
        complaints = [] if done.returncode == status and re.search(pattern, done.stderr) else [
            f"exit status {done.returncode}, {done.stderr!r} has no {pattern}"]  # fmt: skip
        tap.result(f"--check refuses: {pattern}", complaints)
    place.write(place.share("data", "one"))
    place.config.chmod(0o666)
    done = place.check()
    tap.result("--check refuses a file that everybody may write to", [] if done.returncode == EXIT_USAGE else [done.stderr])
    place.config.chmod(0o600)


def reloads(tap, place, connect):
    place.write(place.share("data", "one"))
    with Server(place) as server:
        client = Client(connect, server)
        stays = client.start("data", "wait", "4000")
        server.wait_for("event=tree")
        place.write(place.share("data", "one"), place.share("more", "two", "Encrypt = on"))
        place.password("bob", "geheim")
        server.reload("done")
        tap.result("SIGHUP: a share comes", differs(client.run("more"), connected=True, encrypted=True))
        tap.result("SIGHUP: an account comes", differs(client.run("data", user="bob", password="geheim"), connected=True))
        place.write("[share more]")
        server.reload("kept")
        tap.result("SIGHUP: a wrong file changes nothing", differs(client.run("more"), connected=True)
                   + ([] if "it has no Folder" in server.log_text() else [server.log_text()[-500:]]))  # fmt: skip
        place.write(place.share("data", "one"), server=["Dialects = 2.1"])
        server.reload("done")
        tap.result("SIGHUP: a share goes", differs(client.run("more"), status="STATUS_BAD_NETWORK_NAME"))
        tap.result("SIGHUP: new connections have the new policy", differs(client.run("data"), connected=True, dialect="2.1"))
        tap.result("SIGHUP: a connection stays", differs(client.result(stays), connected=True, dialect="3.1.1"))
        tap.result("SIGTERM ends it", [] if server.stop() == 0 else ["it did not end well"])


class Put:
    """A copy to the server from a stream, which waits for the rest of it with the file open."""

    def __init__(self, place, server, name, user, password):
        self.target, self.data = place.folder / "one" / name, os.urandom(4 << 20)
        environment = {**os.environ, "SMBPROOF_PASSWORD": password, "HOME": str(place.folder)}
        url = f"smb://{user}@127.0.0.1:{server.port}/data/{name}"
        self.process = subprocess.Popen([place.program, "put", "-", url], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment)  # fmt: skip
        self.process.stdin.write(self.data[: len(self.data) // 2])
        self.process.stdin.flush()

    def finish(self):
        """Exit status, what it said, and whether all is there."""
        said = self.process.communicate(self.data[len(self.data) // 2 :], timeout=TIMEOUT_SECONDS)[1].decode()
        return self.process.returncode, said, self.target.exists() and self.target.read_bytes() == self.data


def accounts_go(tap, place):
    """Sessions of those who may log on no more expire at SIGHUP, and end where logging on again fails (3.3.5.2.9)."""

    def change(what):
        subprocess.run([place.program, "passwd", what, place.accounts, "eve"], check=True, capture_output=True)

    place.password("eve", "geheim")
    place.write(place.share("data", "one"))
    with Server(place) as server:
        before = server.log_text().count("event=tree")
        puts = [Put(place, server, name, *who) for name, *who in (
            ("enabled", "eve", "geheim"), ("disabled", "eve", "geheim"), ("others", "ada", "secret"))]  # fmt: skip
        server.wait_for("event=tree", before + len(puts))
        change("--disable")
        server.reload("done")
        server.wait_for("event=expired", len(puts) - 1)
        change("--enable")
        result = puts[0].finish()
        tap.result("an account that is there again: its file stayed open", [] if result == (0, "", True) else [str(result)])
        change("--disable")
        code, said, whole = puts[1].finish()
        tap.result("one that is not has to leave",
                   [] if code and "STATUS_ACCOUNT_DISABLED" in said and not whole else [f"{code} {said}"])  # fmt: skip
        result = puts[2].finish()
        tap.result("others notice nothing", [] if result == (0, "", True) else [str(result)])
        said = re.findall(r"event=expired .*", server.log_text())
        wrong = len(said) != len(puts) - 1 or not all('user="eve" why=account' in line for line in said)
        tap.result("the log says whose sessions expired", said if wrong else [])


def expired_ends(tap, place):
    """A session that has expired, and on which nobody logs on again, ends with its files after a while."""
    place.password("eli", "geheim")
    place.write(place.share("data", "one"), server=["ExpiredTime = 1", f"StatusSocket = {place.folder}/status"])
    with Server(place) as server:

        def open_files():
            command = [place.program, "status", "--output=json", place.folder / "status"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
            return len(json.loads(done.stdout)["files"])

        before = [server.log_text().count(f"event={what}") for what in ("tree", "expired", "ended")]
        puts = [Put(place, server, name, *who) for name, *who in (("left", "eli", "geheim"), ("kept", "ada", "secret"))]
        server.wait_for("event=tree", before[0] + len(puts))
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while open_files() < len(puts) and time.monotonic() < deadline:
            time.sleep(0.02)
        subprocess.run([place.program, "passwd", "--delete", place.accounts, "eli"], check=True, capture_output=True)
        server.reload("done")
        server.wait_for("event=expired", before[1] + 1)
        server.wait_for("event=ended", before[2] + 1)
        while (left := open_files()) > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        tap.result("an expired session that nobody logs on to ends with its files", [] if left == 1 else [str(left)])
        code, said, whole = puts[0].finish()
        tap.result("its client learns so", [] if code and not whole else [f"{code} {said}"])
        result = puts[1].finish()
        tap.result("others keep theirs", [] if result == (0, "", True) else [str(result)])


def share_goes(tap, place):
    """Whoever is in it is told that it is gone."""
    place.write(place.share("data", "one"), place.share("other", "two"))
    with Server(place) as server:
        before = server.log_text().count("event=tree")
        put = Put(place, server, "gone", "ada", "secret")
        server.wait_for("event=tree", before + 1)
        place.write(place.share("other", "two"))
        server.reload("done")
        code, said, whole = put.finish()
    tap.result("a share that is removed while a file is written",
               [] if code and "STATUS_NETWORK_NAME_DELETED" in said and not whole else [f"{code} {said}"])  # fmt: skip


def smbclient_expires(tap, place):
    """smbclient does not log on again by itself: it says what it was told."""
    if shutil.which("smbclient") is None:
        tap.skip("smbclient whose account goes", "smbclient is not installed")
        return
    place.password("eva", "geheim")
    place.write(place.share("data", "one"))
    with Server(place) as server:
        trees, expired = (server.log_text().count(f"event={what}") for what in ("tree", "expired"))
        command = ["smbclient", "//127.0.0.1/data", "-p", str(server.port), "-U", "eva%geheim", "-s", "/dev/null"]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        server.wait_for("event=tree", trees + 1)
        subprocess.run([place.program, "passwd", "--delete", place.accounts, "eva"], check=True, capture_output=True)
        server.reload("done")
        server.wait_for("event=expired", expired + 1)
        said = client.communicate("ls\n", timeout=TIMEOUT_SECONDS)[0]
    tap.result("smbclient whose account goes", [] if "NT_STATUS_NETWORK_SESSION_EXPIRED" in said else [said])


def limits(tap, place, connect):
    place.write(place.share("data", "one"), server=["MaxConnections = 8", "MaxConnectionsPerAddress = 4", "LogonTime = 1"])
    with Server(place) as server:
        client = Client(connect, server)
        idle = [socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) for _ in range(4)]
        server.wait_for("event=connected", server.log_text().count("event=connected"))
        fifth = client.run("data")
        refused = "limit=per-address" in server.log_text()
        tap.result("a fifth connection from one address is refused",
                   [] if not fifth.get("connected") and refused else [str(fifth), server.log_text()[-500:]])  # fmt: skip
        for one in idle:
            one.settimeout(TIMEOUT_SECONDS)
        ended = [one.recv(1) == b"" for one in idle]
        tap.result("without a logon they end", [] if all(ended) and "why=no-logon" in server.log_text() else [str(ended)])
        tap.result("then there is room again", differs(client.run("data"), connected=True))


def few_descriptors(tap, place, connect):
    """More come than the system lets the server have: it waits for some to go, and says so now and then."""
    place.write(place.share("data", "one"))
    before = len(place.log_text())
    with Server(place, limit=48) as server:
        many = [socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) for _ in range(60)]
        server.wait_for("limit=descriptors", place.log_text()[:before].count("limit=descriptors") + 2)
        told = place.log_text()[before:].count("limit=descriptors")
        for one in many:
            one.close()
        tap.result("without descriptors it waits, and does not spin", [] if told < 50 else [f"{told} lines"])
        tap.result("and then goes on", differs(Client(connect, server).run("data"), connected=True))


def ask(program, path, *options):
    done = subprocess.run([program, "status", *options, path], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    return done.returncode, done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def statuses(tap, place, connect):
    path, metrics = place.folder / "status", f"127.0.0.1:{free_port()}"
    place.write(place.share("data", "one"), server=[f"StatusSocket = {path}", f"Metrics = {metrics}"])
    with Server(place) as server:
        client = Client(connect, server)
        before = server.log_text().count("event=tree")
        other = client.start("data", "wait", "60000", "dialects", "3.0", "encrypt", "required")
        waits = client.start("data", "wait", "60000", "sign", "required")
        server.wait_for("event=tree", before + 2)
        mode = stat.S_IMODE(path.stat().st_mode)
        tap.result("the status socket is its owner's", [] if mode == 0o600 else [oct(mode)])
        code, text = ask(place.program, path, "-o", "json")
        told = json.loads(text)
        rows = {row["dialect"]: row for row in told["connections"]}
        tap.result("status: a connection of 3.1.1", differs(rows["3.1.1"], user="ada", signing="required", validated="preauth",
                                                            signing_algorithm="AES-GMAC"))  # fmt: skip
        tap.result("status: an encrypted one of 3.0", differs(rows["3.0"], user="ada", cipher="AES-128-CCM"))
        tap.result("status: counters", differs(told["counters"], connections=2, logons=2, reloads=0))
        code, text = ask(place.program, path)
        tap.result("status: text", [] if code == 0 and " 3.1.1 " in text and "ada" in text else [text])
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=TIMEOUT_SECONDS) as answer:
            numbers = answer.read().decode()
        wanted = ('smbproof_connections_by_dialect{dialect="3.1.1"} 1\n', "smbproof_logons_total 2\n", "smbproof_connections 2\n")
        tap.result("numbers over HTTP", [f"no {line!r} in {numbers}" for line in wanted if line not in numbers])
        try:
            urllib.request.urlopen(f"http://{metrics}/passwd", timeout=TIMEOUT_SECONDS)
            found = 200
        except urllib.error.HTTPError as error:
            found = error.code
        tap.result("nothing else over HTTP", [] if found == 404 else [str(found)])
        with socket.socket(socket.AF_UNIX) as mute:
            mute.connect(str(path))
            code, text = ask(place.program, path)
            tap.result("status beside one who says nothing", [] if code == 0 else [str(code)])
        for process in (other, waits):
            process.kill()
            process.communicate()
        second = subprocess.run([place.program, "serve", f"--config={place.config}"], capture_output=True, text=True,
                                timeout=TIMEOUT_SECONDS)  # fmt: skip
        tap.result("a second server leaves the socket alone",
                   [] if second.returncode == 6 and path.exists() else [second.stderr])  # fmt: skip
        server.stop()
        tap.result("the socket goes with the server", [] if not path.exists() else ["it is still there"])
    code, text = ask(place.program, path)
    tap.result("status without a server", [] if code == 6 else [str(code)])
    place.write(place.share("data", "one"), server=["Metrics = 0.0.0.0:9"])
    done = subprocess.run([place.program, "serve", f"--config={place.config}"], capture_output=True, text=True,
                          timeout=TIMEOUT_SECONDS)  # fmt: skip
    tap.result("numbers only on a loopback address", [] if done.returncode == 6 and "loopback" in done.stderr else [done.stderr])


def log_injection(tap, place, connect):
    place.write(place.share("data", "one"))
    with Server(place) as server:
        before = len(server.log_text())
        user = 'eve"\n2026 event=logon result=done user="root\x1b[2J\u202e'
        Client(connect, server).run("data", user=user, password="secret")
        server.wait_for("result=refused")
        lines = server.log_text()[before:].splitlines()
        bad = [line for line in lines if not re.match(r"[\d-]+T[\d:.]+Z (info|warning) event=\w+ [\x20-\x7e]*$", line)]
        tap.result("nothing can be put into the log", bad + ([] if "secret" not in server.log_text() else ["a password"]))


def service_manager(tap, place, connect):
    """LISTEN_FDS has to name this process, so a shell becomes the server; sd_notify comes to a socket of ours."""
    place.write(place.share("data", "one"))
    path, states = place.folder / "notify", []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, socket.socket() as listener:
        notify.bind(str(path))
        notify.settimeout(TIMEOUT_SECONDS)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        script = f'exec 3<&{listener.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        command = ["/bin/sh", "-c", script, "sh", place.program, "serve", f"--config={place.config}"]
        with open(place.folder / "log", "ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True,
                                       pass_fds=[listener.fileno()], env={**os.environ, "NOTIFY_SOCKET": str(path)})  # fmt: skip
        address = process.stdout.readline().strip()
        states.append(notify.recv(4096).decode())
        port = listener.getsockname()[1]
        tap.result("LISTEN_FDS: it listens where it was told", [] if address == f"127.0.0.1:{port}" else [address])
        found = subprocess.run([connect, "127.0.0.1", str(port), "data", "user", "ada", "chains", "no"], capture_output=True,
                               text=True, env={**os.environ, "SMBPROOF_PASSWORD": "secret"}, timeout=TIMEOUT_SECONDS)  # fmt: skip
        tap.result("LISTEN_FDS: and serves", differs(json.loads(found.stdout), connected=True))
        process.send_signal(signal.SIGHUP)
        states += [notify.recv(4096).decode().splitlines()[0], notify.recv(4096).decode()]
        process.send_signal(signal.SIGTERM)
        states.append(notify.recv(4096).decode())
        process.wait(TIMEOUT_SECONDS)
    wanted = ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    tap.result("NOTIFY_SOCKET: what it is told", [] if states == wanted else [str(states)])


def in_flight(tap, place, connect, program):
    """SIGTERM while files are read: what is under way is finished, or the client says that it was not."""
    (place.folder / "one" / "large").write_bytes(os.urandom(64 * 1024 * 1024))
    place.write(place.share("data", "one"))
    with Server(place) as server:
        target = place.folder / "got"
        environment = {**os.environ, "SMBPROOF_PASSWORD": "secret"}
        get = subprocess.Popen([program, "get", f"smb://ada@127.0.0.1:{server.port}/data/large", target], env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        threading.Event().wait(0.15)
        status = server.stop()
        get.communicate(timeout=TIMEOUT_SECONDS)
    whole = target.exists() and target.read_bytes() == (place.folder / "one" / "large").read_bytes()
    tap.result("SIGTERM while a file is read: all of it, or an error",
               [] if status == 0 and (get.returncode != 0) != whole else [f"{status} {get.returncode} {whole}"])  # fmt: skip


def unit_file(tap, unit, program):
    """systemd's own opinion of the unit, where systemd is installed."""
    if unit is None or shutil.which("systemd-analyze") is None:
        tap.skip("the unit of systemd", "systemd-analyze is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="smbproof-unit-") as folder:
        text = re.sub(r"^(ExecStart(?:Pre)?=)\S+", rf"\g<1>{Path(program).resolve()}", Path(unit).read_text(), flags=re.MULTILINE)
        (Path(folder) / "smbproof.service").write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
        socket_unit = Path(__file__).parents[2] / "systemd" / "smbproof.socket"
        text = re.sub(r"^Documentation=.*\n", "", socket_unit.read_text(), flags=re.MULTILINE)
        (Path(folder) / "smbproof.socket").write_text(text)
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
        done = subprocess.run(["systemd-analyze", "verify", f"{folder}/smbproof.service"], capture_output=True, text=True,
                              env=environment, timeout=TIMEOUT_SECONDS)  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "smbproof." in line]
    tap.result("the unit of systemd", complaints)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--connect", required=True)
    parser.add_argument("--unit")
    options = parser.parse_args()
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-manage-") as folder:
        place = Place(options.smbproof, folder)
        check_files(tap, place)
        accounts_go(tap, place)
        expired_ends(tap, place)
        smbclient_expires(tap, place)
        share_goes(tap, place)
        reloads(tap, place, options.connect)
        limits(tap, place, options.connect)
        few_descriptors(tap, place, options.connect)
        statuses(tap, place, options.connect)
        log_injection(tap, place, options.connect)
        service_manager(tap, place, options.connect)
        in_flight(tap, place, options.connect, options.smbproof)
        unit_file(tap, options.unit, options.smbproof)
        sanitizer = "Sanitizer" in (Path(folder) / "log").read_text(errors="replace")
        tap.result("nothing for the sanitizers", ["look at the log"] if sanitizer else [])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
