#!/usr/bin/env python3
"""The server and other people's clients: smbclient in each dialect, plain, signed, encrypted, with NTLM and Kerberos; impacket;
libsmbclient through Python, smbget and gio; smbcacls; rclone; nmap's scripts; the command line of this project.

usage: serve_clients.py --smbproof PROGRAM

Prints TAP. What is not installed is skipped.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import kerberos  # noqa: E402
from serve_manage import Place, Server  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 120
DIALECTS = {"SMB2_02": "2.0.2", "SMB2_10": "2.1", "SMB3_00": "3.0", "SMB3_02": "3.0.2", "SMB3_11": "3.1.1"}
PASSWORD = "secret"
HOST = "server.test"  # smbclient takes no ticket for localhost

IMPACKET = """
import io, socket, struct, sys
from impacket.smbconnection import SMBConnection
dialect, port = int(sys.argv[1], 16), int(sys.argv[2])
smb = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=port, preferredDialect=dialect)
smb.login("ada", "secret")
assert smb.getDialect() == dialect, hex(smb.getDialect())
assert "data\\0" in [share["shi1_netname"] for share in smb.listShares()]
content = bytes(range(256)) * 1024
smb.createDirectory("data", "folder")
smb.putFile("data", "folder\\\\file", io.BytesIO(content).read)
got = io.BytesIO()
smb.getFile("data", "folder\\\\file", got.write)
assert got.getvalue() == content
smb.rename("data", "folder\\\\file", "folder\\\\other")
assert [one.get_longname() for one in smb.listPath("data", "folder\\\\o*")] == ["other"]
smb.deleteFile("data", "folder\\\\other")
smb.deleteDirectory("data", "folder")
if dialect >= 0x300:  # FSCTL_QUERY_NETWORK_INTERFACE_INFO: the loopback interface, of which 127.0.0.1 is an address
    server = smb.getSMBServer()
    told = server.ioctl(smb.connectTree("IPC$"), None, 0x1401fc, flags=1, maxOutputResponse=4096)
    following, index, capability, _, speed, family, port, address = struct.unpack("<IIIIQHH4s", told[:32])
    assert (len(told), following, capability, family, address) == (152, 0, 0, 2, bytes([127, 0, 0, 1])), told
    assert index == socket.if_nametoindex("lo") and speed > 0
smb.logoff()
"""

# Signed WRITEs that come together, one of them half, one of them altered; and the end of what the client says behind them.
TOGETHER = """
import socket, struct, sys, time
from impacket.smb3structs import FILE_READ_DATA, FILE_WRITE_DATA
from impacket.smbconnection import SMBConnection
ACCESS_DENIED = 0xc0000022
def log_on():
    smb = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=int(sys.argv[1]), preferredDialect=0x300)
    smb.login("ada", "secret")
    session = smb.getSMBServer()._Session  # it encrypts wherever it can, and here it is to sign
    session["SessionFlags"] &= ~4
    session["SigningActivated"] = True
    return smb
class Writer:
    def __init__(self):
        self.smb = log_on()
        self.tree = self.smb.connectTree("data")
        self.file = self.smb.createFile(self.tree, "together", desiredAccess=FILE_READ_DATA | FILE_WRITE_DATA)
        self.session = self.smb.getSMBServer()._NetBIOSSession
        self.socket = self.session.get_socket()
        self.socket.settimeout(20)
    def frames(self, letters):
        made, self.session.send_packet = [], lambda data: made.append(bytearray(struct.pack(">I", len(data)) + data))
        for i, letter in enumerate(letters):
            self.smb.getSMBServer().write(self.tree, self.file, letter * 8192, i * 8192, 8192, waitAnswer=False)
        del self.session.send_packet
        return made
    def octets(self, size):
        got = b""
        while len(got) < size:
            more = self.socket.recv(size - len(got))
            assert more, "the connection is closed"
            got += more
        return got
    def statuses(self, count):
        answers = [self.octets(struct.unpack(">I", self.octets(4))[0]) for _ in range(count)]
        answers.sort(key=lambda answer: struct.unpack_from("<Q", answer, 24))  # that which is refused is answered first
        return [struct.unpack_from("<I", answer, 8)[0] for answer in answers]
writer = Writer()
first, second = writer.frames([b"a", b"b"])
writer.socket.sendall(first + second[:5000])
assert writer.statuses(1) == [0]
writer.socket.sendall(second[5000:])
assert writer.statuses(1) == [0]
frames = writer.frames([b"c", b"d", b"e", b"f", b"g", b"h"])
frames[2][4000] ^= 1
writer.socket.sendall(b"".join(frames))
assert writer.statuses(6) == [0, 0, ACCESS_DENIED, 0, 0, 0]
content = writer.smb.readFile(writer.tree, writer.file, 0, 6 * 8192)
assert content == b"c" * 8192 + b"d" * 8192 + bytes(8192) + b"f" * 8192 + b"g" * 8192 + b"h" * 8192
writer.socket.sendall(b"".join(writer.frames([b"i", b"j", b"k"])))
writer.socket.shutdown(socket.SHUT_WR)
while writer.socket.recv(65536):  # nobody promises the answers
    pass
smb, got = log_on(), bytearray()
for _ in range(100):
    if got[:3 * 8192] == b"i" * 8192 + b"j" * 8192 + b"k" * 8192:
        break
    time.sleep(0.1)
    got.clear()
    smb.getFile("data", "together", got.extend)
else:
    raise AssertionError("what came before the end was not written")
smb.deleteFile("data", "together")
smb.logoff()
"""

LIBSMBCLIENT = """
import smbc, sys
context = smbc.Context(auth_fn=lambda *_: ("", "ada", "secret"))
context.port = int(sys.argv[1])
root = "smb://127.0.0.1/data/"
context.mkdir(root + "folder", 0o755)
file = context.creat(root + "folder/file")
file.write(b"content" * 1000)
file.close()
assert context.open(root + "folder/file").read() == b"content" * 1000
assert context.stat(root + "folder/file")[6] == 7000
assert "file" in [one.name for one in context.opendir(root + "folder").getdents()]
context.unlink(root + "folder/file")
context.rmdir(root + "folder")
"""


def python_with(module):
    """The system's modules may not be those of the Python that runs this."""
    for program in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([program, "-c", f"import {module}"], capture_output=True).returncode == 0:
            return program
    return None


class Smbclient:
    def __init__(self, program, folder, server, realm):
        self.program, self.folder, self.server, self.realm = program, folder, server, realm
        self.status, self.told = folder / "status", folder / "told"
        self.content = os.urandom(3 * 1024 * 1024 + 17)
        (folder / "up").write_bytes(self.content)

    def run(self, dialect, protection, mechanism, *arguments, script=None):
        command = [
            "smbclient", "--configfile=/dev/null", "-I", "127.0.0.1", "-p", str(self.server.port), f"--client-protection={protection}",
            f"--option=client min protocol={dialect}", f"--option=client max protocol={dialect}",
        ]  # fmt: skip
        environment = dict(os.environ)
        if mechanism == "Kerberos":
            command += ["--use-kerberos=required", f"--use-krb5-ccache={self.realm.cache}"]
            environment = {**self.realm.env, "KRB5CCNAME": self.realm.cache}
        else:
            command += ["--use-kerberos=off", "-U", f"ada%{PASSWORD}"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, cwd=self.folder,
                              input=script, timeout=TIMEOUT_SECONDS)  # fmt: skip

    def works(self, dialect, protection, mechanism):
        down = self.folder / "down"
        down.unlink(missing_ok=True)
        self.told.unlink(missing_ok=True)
        steps = (
            "mkdir folder", "cd folder", "put up file", "get file down", "rename file other", "ls", "allinfo other",
            f"!{self.program} status -o json {self.status} > {self.told}", "setmode other +h", "rm other", "cd ..",
            "rmdir folder", "du",
        )  # fmt: skip
        done = self.run(dialect, protection, mechanism, f"//{HOST}/data", script="\n".join(steps))
        if done.returncode != 0 or "NT_STATUS" in done.stdout:
            return [f"exit status {done.returncode}", done.stdout[-2000:], done.stderr[-1000:]]
        if not down.exists() or down.read_bytes() != self.content:
            return ["the file came back another one"]
        return self.protected(json.loads(self.told.read_text())["connections"], DIALECTS[dialect], protection)

    def protected(self, rows, dialect, protection):
        """Does the server see what was asked for?"""
        row = rows[0] if len(rows) == 1 else {}
        wanted = {"dialect": dialect, "user": "ada", "guest": False}
        if protection == "sign":
            wanted["signing"] = "required"
        if protection == "encrypt" and row.get("cipher") is None:
            return [f"not encrypted: {rows}"]
        return [f"{key}: {row.get(key)!r}, should be {value!r}; {rows}" for key, value in wanted.items()
                if row.get(key) != value]  # fmt: skip

    def lists(self, dialect, mechanism):
        done = self.run(dialect, "sign", mechanism, "-L", HOST)
        return [] if done.returncode == 0 and "data" in done.stdout and "IPC$" in done.stdout else [
            done.stdout[-1000:], done.stderr[-1000:]]  # fmt: skip


def with_smbclient(tap, smbclient):
    if shutil.which("smbclient") is None:
        tap.skip("smbclient", "it is not installed")
        return
    mechanisms = ["NTLM"] + (["Kerberos"] if smbclient.realm is not None else [])
    for mechanism in mechanisms:
        for dialect, number in DIALECTS.items():
            for protection in ("off", "sign") + (("encrypt",) if number >= "3" else ()):
                name = f"smbclient {number} {'plain' if protection == 'off' else protection} {mechanism}"
                tap.result(name, smbclient.works(dialect, protection, mechanism))
        tap.result(f"smbclient -L {mechanism}", smbclient.lists("SMB3_11", mechanism))
    if smbclient.realm is None:
        tap.skip("smbclient with Kerberos", "krb5kdc is not installed")


def ran(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    return [] if done.returncode == 0 else [done.stdout[-1000:], done.stderr[-2000:]]


def with_python(tap, server, signed=False):
    program = python_with("impacket.smbconnection")
    # Of 3.1.1 it knows the number, but not how TREE_CONNECT is signed there ([MS-SMB2] 3.2.4.1.1).
    for dialect in ("0x0202", "0x0210", "0x0300"):
        name = f"impacket {dialect}{' signed' if signed else ''}"
        if program is None:
            tap.skip(name, "it is not installed")
        else:
            tap.result(name, ran([program, "-c", IMPACKET, dialect, str(server.port)]))
    if signed and program is not None:
        tap.result("signed WRITEs that come together", ran([program, "-c", TOGETHER, str(server.port)]))
    if signed:
        return
    program = python_with("smbc")
    if program is None:
        tap.skip("libsmbclient", "python3-smbc is not installed")
    else:
        tap.result("libsmbclient", ran([program, "-c", LIBSMBCLIENT, str(server.port)]))


def with_smbget(tap, server, folder):
    if shutil.which("smbget") is None:
        tap.skip("smbget", "it is not installed")
        return
    (folder / "two" / "wanted").write_bytes(os.urandom(300_000))
    target = folder / "wanted"
    complaints = ran(["smbget", "-q", "-U", f"ada%{PASSWORD}", "-o", target, f"smb://127.0.0.1:{server.port}/data/wanted"])
    if not complaints and target.read_bytes() != (folder / "two" / "wanted").read_bytes():
        complaints = ["what came differs"]
    (folder / "two" / "wanted").unlink()
    tap.result("smbget", complaints)


def with_rclone(tap, server, folder):
    """It speaks through go-smb2."""
    if shutil.which("rclone") is None:
        tap.skip("rclone", "it is not installed")
        return
    (folder / "some").mkdir()
    for i in range(5):
        (folder / "some" / f"file {i}").write_bytes(os.urandom(40_000 * i))
    obscured = subprocess.run(["rclone", "obscure", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    to_server = ["--config=/dev/null", "--smb-host=127.0.0.1", f"--smb-port={server.port}", "--smb-user=ada",
                 f"--smb-pass={obscured}"]  # fmt: skip
    steps = (("copy", folder / "some", ":smb:data/some"), ("copy", ":smb:data/some", folder / "some back"),
             ("moveto", ":smb:data/some/file 1", ":smb:data/some/moved"), ("purge", ":smb:data/some"))  # fmt: skip
    complaints = [line for step in steps for line in ran(["rclone", *step, *to_server])]
    tap.result("rclone", complaints + ran(["diff", "-r", folder / "some", folder / "some back"]))


GIO = """
set -e
printf 'WORKGROUP\\nsecret\\n' | gio mount "$1"
gio copy "$2" "$1/gio-file"
gio cat "$1/gio-file" | cmp - "$2"
gio rename "$1/gio-file" gio-other
gio mkdir "$1/gio-folder"
test "$(gio list "$1" | sort | tr '\\n' ' ')" = "gio-folder gio-other "
gio info "$1/gio-other" | grep -q "size:"
gio remove "$1/gio-other"
gio remove "$1/gio-folder"
gio mount -u "$1"
"""


def with_gio(tap, server, folder):
    """As the file managers of GNOME and others do it. gvfsd has to be started by a bus of its own."""
    programs = ("gio", "dbus-run-session", "/usr/lib/gvfs/gvfsd-smb")
    if None in map(shutil.which, programs):
        tap.skip("gio", "gvfs-backends or dbus is not installed")
        return
    run = folder / "run"
    run.mkdir(mode=0o700)
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(run), "GIO_USE_VOLUME_MONITOR": "unix"}
    command = ["dbus-run-session", "--", "sh", "-c", GIO, "sh", f"smb://ada@127.0.0.1:{server.port}/data", folder / "up"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_SECONDS)
    subprocess.run(["umount", "-l", run / "gvfs"], capture_output=True)
    tap.result("gio", [] if done.returncode == 0 else [done.stdout[-1000:], done.stderr[-2000:]])


class Network:
    """A server in a network of its own, on port 445, for programs that know no other."""

    def __init__(self, program, folder):
        self.folder = folder / "network"
        (self.folder / "share").mkdir(parents=True)
        accounts = self.folder / "accounts"
        subprocess.run([program, "passwd", accounts, "ada"], input=f"{PASSWORD}\n".encode(), check=True, capture_output=True)
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", program, "serve",
                   "--listen=127.0.0.1:445", f"--accounts={accounts}", f"--share=data={self.folder / 'share'}"]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(TIMEOUT_SECONDS)

    def run(self, *command):
        done = subprocess.run(["nsenter", "-t", str(self.process.pid), "-n", *command], capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS, cwd=self.folder)  # fmt: skip
        return done.stdout + done.stderr


def with_acls(tap, program, folder):
    if os.geteuid() != 0 or shutil.which("smbcacls") is None:
        tap.skip("smbcacls", "it is not installed, or this is not root")
        return
    login, denied = ("-U", f"ada%{PASSWORD}"), "ACL:S-1-1-0:DENIED/0x0/R"
    with Network(program, folder) as network:
        (network.folder / "share" / "file").write_text("content")

        def acls(*change):
            return network.run("smbcacls", "//127.0.0.1/data", "file", *login, *change)

        def get():
            return network.run("smbclient", "//127.0.0.1/data", *login, "-c", "get file got")

        before, complaints = acls(), []
        if "OWNER:S-1-22-1-" not in before or acls("-a", denied) or denied not in acls():
            complaints.append(f"an entry is added: {before} {acls()}")
        if "NT_STATUS_ACCESS_DENIED" not in get():
            complaints.append("what is denied is done")
        if acls("-D", denied) or denied in acls() or "NT_STATUS" in get():
            complaints.append(f"an entry is taken away: {acls()}")
        tap.result("smbcacls", complaints)


def with_nmap(tap, server):
    if shutil.which("nmap") is None:
        tap.skip("nmap", "it is not installed")
        return
    scripts = "+smb-protocols,+smb2-security-mode,+smb2-capabilities,+smb2-time"
    command = ["nmap", "-Pn", "-n", "-p", str(server.port), "--script", scripts, "--script-args", f"smbport={server.port}",
               "127.0.0.1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    dialects = [rf"^\|_? +{number}$" for number in ("202", "210", "300", "302", "311")]
    wanted = (*dialects, "Message signing enabled but not required", r"302: *$\n\| +Multi-credit operations", r"date: \d{4}-")
    missing = [f"no {pattern!r}" for pattern in wanted if not re.search(pattern, done.stdout, flags=re.MULTILINE)]
    tap.result("nmap's scripts", missing + [done.stdout + done.stderr] if missing else [])


def with_own(tap, place, server, folder):
    environment = {**os.environ, "SMBPROOF_PASSWORD": PASSWORD}
    url = f"smb://ada@127.0.0.1:{server.port}"
    (folder / "tree" / "deep").mkdir(parents=True)
    for i in range(50):
        (folder / "tree" / "deep" / f"file {i}").write_bytes(os.urandom(1000 * i))

    def run(*arguments):
        done = subprocess.run([place.program, *arguments], capture_output=True, text=True, env=environment,
                              timeout=TIMEOUT_SECONDS)  # fmt: skip
        return [] if done.returncode == 0 else [f"{arguments}: exit status {done.returncode}: {done.stderr[-1000:]}"]

    tap.result("smbproof shares", run("shares", url))
    tap.result("smbproof put -r, get -r", run("put", "-r", folder / "tree", f"{url}/data/tree")
               + run("get", "-r", f"{url}/data/tree", folder / "back")
               + ran(["diff", "-r", folder / "tree", folder / "back"]))  # fmt: skip
    tap.result("smbproof rm -r", run("rm", "-r", f"{url}/data/tree"))


def start_realm(folder):
    if kerberos.program("krb5kdc") is None:
        return None
    folder.mkdir()
    realm = kerberos.Realm(folder)
    realm.admin("addprinc -pw Password01! ada", f"addprinc -randkey cifs/{HOST}", f"ktadd -k {folder}/keytab cifs/{HOST}")
    realm.cache = realm.ticket("ada", "Password01!", "tickets")
    return realm


def run_all(tap, program, folder, realm):
    place = Place(program, folder)
    keytab = [f"Keytab = {realm.folder}/keytab"] if realm is not None else []
    place.write(place.share("data", "two"), server=["RequireSecuritySignature = allowed", f"StatusSocket = {folder}/status",
                                                    *keytab])  # fmt: skip
    with Server(place, environment=realm.env if realm is not None else None) as server:
        with_smbclient(tap, Smbclient(program, folder, server, realm))
        with_python(tap, server)
        with_smbget(tap, server, folder)
        with_gio(tap, server, folder)
        with_rclone(tap, server, folder)
        with_nmap(tap, server)
        with_own(tap, place, server, folder)
        place.write(place.share("data", "two"), server=["RequireSecuritySignature = required"])
        server.reload("done")
        with_python(tap, server, signed=True)
        tap.result("nothing is left behind", [str(list((folder / "two").iterdir()))] if any((folder / "two").iterdir()) else [])
        tap.result("SIGTERM ends it", [] if server.stop() == 0 else ["it did not end well"])
    with_acls(tap, program, folder)
    log = (folder / "log").read_text(errors="replace")
    tap.result("nothing for the sanitizers", ["look at the log"] if "Sanitizer" in log else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=lambda path: str(Path(path).resolve()))
    options = parser.parse_args()
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-clients-") as name:
        realm = start_realm(Path(name) / "realm")
        try:
            run_all(tap, options.smbproof, Path(name), realm)
        finally:
            if realm is not None:
                realm.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
