"""The relay between clients and servers, for the test and for the table of who noticed what.

    with Relay(program, port, "--profile", "wan-accelerator", record=folder) as relay:
        CLIENTS["smbclient"].run(relay.port, "3.1.1")
    relay.connections  # what it says of each
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import KernelClient

CLIENT_SECONDS = 40
STOP_SECONDS = 20
SIDES = ("relay", "client", "server")


class Relay:
    def __init__(self, program, to_port, *options, record=None):
        self.command = [program, "relay", "--json", "--listen", "127.0.0.1:0", "--to", f"127.0.0.1:{to_port}", *options]
        if record:
            self.command += ["--record", str(record)]
        self.status, self.connections, self.summary = None, [], {}

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise OSError(f"the relay did not start: {self.process.stderr.read()}")
        self.port = int(json.loads(line)["listening"].rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            out, self.errors = self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, self.errors = self.process.communicate()
        self.status = self.process.returncode
        lines = [json.loads(line) for line in out.splitlines()]
        self.connections = [line for line in lines if "connection" in line]
        self.summary = next((line["summary"] for line in lines if "summary" in line), {})

    def memory_kib(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def run(command, environment=None):
    """-> exit status ("timeout" where it took too long) and what was printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=CLIENT_SECONDS)
    except subprocess.TimeoutExpired:
        return "timeout", ""
    return done.returncode, done.stdout + done.stderr


class Client:
    """dialects: what it can be held to, by name."""

    def __init__(self, name, dialects, command, environment=None, missing=None):
        self.name, self.dialects, self.command = name, dialects, command
        self.environment, self.missing = environment or {}, missing or (lambda: None)

    def run(self, port, dialect, user="root", password="secret"):
        command = self.command(port, self.dialects[dialect], user, password)
        return run(command, {**os.environ, "SMBPROOF_PASSWORD": password, **self.environment})


IMPACKET = """
import sys
from impacket import smbconnection
port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
preferred = int(sys.argv[4], 16) or None
client = smbconnection.SMBConnection("127.0.0.1", "127.0.0.1", sess_port=port, preferredDialect=preferred, timeout=5)
client.login(user, password)
for file in client.listPath("data", "*"):
    print(file.get_longname())
"""


def python_with_impacket():
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import impacket"], capture_output=True).returncode == 0:
            return python
    return None


def kernel_client(machine, more=False):
    """As clients() has them; it has to be entered before it can be used. echo_interval: what gets no answer ends soon."""
    ways = {dialect: f"vers={dialect}" for dialect in ("3.1.1", "3.0.2", "2.1")}
    if more:
        ways["any"] = "vers=default"
    return KernelClient(machine, {name: f"{way},soft,nosharesock,echo_interval=1" for name, way in ways.items()})


def clients(program, more=False):
    """What a client is held to is a name for the page, and options. more: further ways to use the same clients."""

    def smbproof(port, options, user, _):
        return [program, "ls", "--timeout", "3", *options, f"smb://{user}@127.0.0.1:{port}/data"]

    def smbclient(port, options, user, password):
        return ["smbclient", "//127.0.0.1/data", "-p", str(port), "-U", f"{user}%{password}", "-t", "3", *options, "-c",
                "ls"]  # fmt: skip

    def impacket(port, options, user, password):
        return [python_with_impacket(), "-c", IMPACKET, str(port), user, password, *options]

    below_311 = ["--dialects", "2.0.2,2.1,3.0,3.0.2"]
    ours = {"3.1.1": [], "3.0.2": below_311}
    samba = {"3.1.1": ["-m", "SMB3_11"], "3.0.2": ["-m", "SMB3_02"]}
    python = {"3.0": ["0x300"]}
    if more:
        ours["3.0.2, signing required"] = [*below_311, "--sign", "required"]
        samba["3.1.1, SMB1 allowed"] = ["-m", "SMB3_11", "--option=client min protocol=NT1"]
        python["any"] = ["0"]
    return [
        Client("smbproof", ours, smbproof),
        Client("smbclient", samba, smbclient,
               missing=lambda: None if shutil.which("smbclient") else "smbclient is not installed"),
        Client("impacket", python, impacket,
               missing=lambda: None if python_with_impacket() else "impacket is not installed"),
    ]  # fmt: skip


def profiles(program):
    _, out = run([program, "relay", "--list", "--json"])
    return [json.loads(line) for line in out.splitlines()]


def findings(program, capture):
    """-> [(rule, confidence)] of explain."""
    _, out = run([program, "explain", "--json", str(capture)])
    connections = [json.loads(line) for line in out.splitlines()]
    return [(one["rule"], one["confidence"]) for line in connections for one in line.get("findings", [])]


def truths(connections):
    """The causes of smbproof-explain(1) by which what the relay did may be called; empty: it did nothing."""
    true = set()
    for connection in connections:
        for one in connection["altered"]:
            verbs = {text.rsplit(":", 1)[1].split("=")[0] for text in one["alterations"] if ":" in text}
            if verbs and verbs <= {"delay", "split", "coalesce"}:
                continue
            if verbs & {"drop", "reset", "answer"}:
                true |= {"M05", "M04"}
            elif one["stage"] == "NEGOTIATE":
                true |= {"M03", "M10", "M01" if one["from"] == "client" else "M02"}
            elif one["stage"] == "SESSION_SETUP":
                true |= {"M03", "M04", "M10"}
            else:
                true |= {"M04"}
    return true


def told_wrongly(program, folder, connections):
    """Sentences about where explain says another thing than the relay's own log."""
    true = truths(connections)
    for side in SIDES:
        found = findings(program, Path(folder) / f"{side}.pcapng")
        sure = {rule for rule, confidence in found if confidence in ("certain", "likely")}
        for rule in sorted(sure):
            if rule.startswith("M") and rule not in true:
                yield f"explain calls {side}.pcapng {rule}, and that is not what was done ({sorted(true)})"
        blamed = {rule for rule, _ in found if rule.startswith("M")}
        if not true and blamed:
            yield f"explain blames the path in {side}.pcapng ({sorted(blamed)}), and nothing was done"
        if side == "relay" and true and not sure & true:
            yield f"explain does not see in relay.pcapng what was done ({sorted(true)}): {found}"


class Recording:
    """A folder for --record, gone afterwards."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="smbproof-relay-")
        return self.folder

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)
