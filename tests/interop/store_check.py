#!/usr/bin/env python3
"""The server and its disk: what comes of a full one, a read-only one, a folder that goes away, links that lead out, files that
others change, and a server that is killed.

usage: store_check.py --smbproof PROGRAM

Prints TAP. Takes root, for the disks.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from serve_check import Server  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 60
KILLS = 4
# What the writer tells before it goes on is on the disk; run with the server's port and the number of the round.
WRITER = """
import sys
from impacket.smbconnection import SMBConnection
from impacket.smb3structs import FILE_SHARE_READ, FILE_CREATE, FILE_NON_DIRECTORY_FILE, SMB2_0_INFO_FILE, SMB2_FILE_BASIC_INFO
import struct
connection = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=int(sys.argv[1]))
connection.login("ada", "secret")
tree = connection.connectTree("data")
server = connection.getSMBServer()
for count in range(100000):
    name = f"r{sys.argv[2]}-{count}"
    file = server.create(tree, name, 0x12019f, FILE_SHARE_READ, FILE_NON_DIRECTORY_FILE, FILE_CREATE, 0x80)
    server.write(tree, file, name.encode() * 1000, 0, len(name) * 1000)
    hidden = struct.pack("<QQQQII", 0, 0, 0, 0, 0x22, 0)
    server.setInfo(tree, file, hidden, SMB2_0_INFO_FILE, SMB2_FILE_BASIC_INFO)
    server.flush(tree, file)
    print(name, flush=True)
    server.close(tree, file)
"""

# Others at work in the share while a client has files open there; prints what differs. Run with the port and the share.
BENEATH = """
import os, struct, sys
from pathlib import Path
from impacket.smbconnection import SMBConnection
share = Path(sys.argv[2])
connection = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=int(sys.argv[1]))
connection.login("ada", "secret")
tree, server = connection.connectTree("data"), connection.getSMBServer()
END_OF_FILE, NOT_FOUND, PATH_NOT_FOUND, NOT_A_DIRECTORY = 0xc0000011, 0xc0000034, 0xc000003a, 0xc0000103

def open_file(name, options=0x40, disposition=1):
    return server.create(tree, name, 0x1f01ff, 7, options, disposition, 0)

def answer(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return error.get_error_code()

def begin(content):
    (share / "file").write_bytes(content)
    return open_file("file")

def replace():
    (share / "other").write_bytes(b"another")
    os.replace(share / "other", share / "file")

def expect(what, found, wanted):
    if found != wanted:
        print(what, found, "should be", wanted)

def rename(file):
    name = "renamed".encode("utf-16le")
    return answer(server.setInfo, tree, file, struct.pack("<B7xQI", 0, 0, len(name)) + name, 1, 10)

file = begin(b"x" * 10000)
os.truncate(share / "file", 100)
expect("cut, read beyond", answer(server.read, tree, file, 5000, 100), END_OF_FILE)
expect("cut, read", answer(server.read, tree, file, 0, 200), b"x" * 100)
(share / "file").write_bytes(b"new")
expect("written anew, read", answer(server.read, tree, file, 0, 200), b"new")
(share / "file").unlink()
expect("removed, opened again", answer(open_file, "file"), NOT_FOUND)
expect("removed, read", answer(server.read, tree, file, 0, 200), b"new")
expect("removed, disposition", answer(server.setInfo, tree, file, b"\\1", 1, 13), True)
expect("removed, closed", answer(server.close, tree, file), True)

file = begin(b"mine")
replace()
expect("replaced, read", answer(server.read, tree, file, 0, 200), b"mine")
expect("replaced, renamed", rename(file), NOT_FOUND)
expect("replaced, disposition", answer(server.setInfo, tree, file, b"\\1", 1, 13), True)
expect("replaced, closed", answer(server.close, tree, file), True)
expect("replaced: the other one stays", (share / "file").read_bytes(), b"another")
(share / "file").write_bytes(b"mine")
file = open_file("file", 0x1040)
replace()
expect("replaced, delete on close", answer(server.close, tree, file), True)
expect("replaced: the other one stays here, too", (share / "file").read_bytes(), b"another")

(share / "folder").mkdir()
folder = open_file("folder", 1)
(share / "folder").rmdir()
expect("folder removed, made below", answer(open_file, "folder" + chr(92) + "file", 0x40, 2), PATH_NOT_FOUND)
expect("folder removed, closed", answer(server.close, tree, folder), True)
(share / "folder").write_bytes(b"")
expect("file in its place", answer(open_file, "folder", 1), NOT_A_DIRECTORY)
connection.logoff()
"""


def client(server, *commands, share="data"):
    """The statuses that smbclient names, and all that it says."""
    command = ["smbclient", f"//127.0.0.1/{share}", "-p", str(server.port), "-U", "ada%secret", "-c", "; ".join(commands)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, cwd=server.folder)
    said = done.stdout + done.stderr
    return re.findall(r"NT_STATUS_\w+", said), said


def expect(tap, name, server, wanted, *commands):
    statuses, said = client(server, *commands)
    tap.result(name, [] if statuses == wanted else [f"{statuses}, should be {wanted}", said])


class Mounted:
    """A file system over the share, for as long as the test takes."""

    def __init__(self, folder, *options):
        self.share = Path(folder) / "share"
        self.share.mkdir(exist_ok=True)
        subprocess.run(["mount", *options, self.share], check=True)

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.share], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.share], check=True)


def full_and_read_only(tap, program, folder):
    (Path(folder) / "large").write_bytes(os.urandom(1 << 20))
    (Path(folder) / "small").write_bytes(b"small")
    with Mounted(folder, "-t", "tmpfs", "-o", "size=512k", "smbproof-test") as disk, Server(program, folder) as server:
        expect(tap, "a full disk", server, ["NT_STATUS_DISK_FULL"], "put large")
        expect(tap, "a full disk: it goes on where there is room again", server, [], "del large", "put small", "ls small")
        disk.remount("ro")
        expect(tap, "a read-only file system: no making", server, ["NT_STATUS_MEDIA_WRITE_PROTECTED"], "put small new")
        expect(tap, "a read-only file system: no removing", server, ["NT_STATUS_MEDIA_WRITE_PROTECTED"], "del small")
        expect(tap, "a read-only file system: reading", server, [], "get small back")
        disk.remount("rw")
        expect(tap, "writable again", server, [], "del small")


def changed_beneath(tap, program, folder):
    with Server(program, folder) as server:
        share = Path(folder) / "share"
        (share / "Kept").write_text("kept")
        (share / "out").symlink_to("/etc")
        (share / "up").symlink_to("../accounts")
        (share / "in").symlink_to("Kept")
        expect(tap, "a link out of the share", server, ["NT_STATUS_ACCESS_DENIED"], "get out\\hostname x")
        expect(tap, "a link to the folder above", server, ["NT_STATUS_ACCESS_DENIED"], "get up x")
        expect(tap, "a link within the share, in another case", server, [], "get IN x")
        (share / "Kept").rename(share / "Moved")
        expect(tap, "a name that others changed", server, ["NT_STATUS_OBJECT_NAME_NOT_FOUND"], "get kept x", "get moved x")
        shutil.rmtree(share)
        expect(tap, "a share whose folder is gone", server, ["NT_STATUS_OBJECT_NAME_NOT_FOUND"], "put large")
        share.mkdir()


def python_with(module):
    """A Python that has it: the one of the system, where Debian puts its modules."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
            return python
    return None


def changed_while_open(tap, program, folder):
    python = python_with("impacket.smbconnection")
    if python is None:
        tap.skip("files that change while they are open", "there is no impacket")
        return
    with Server(program, folder) as server:
        done = subprocess.run([python, "-c", BENEATH, str(server.port), str(Path(folder) / "share")], capture_output=True,
                              text=True, timeout=TIMEOUT_SECONDS)  # fmt: skip
    said = done.stdout + done.stderr
    tap.result("files that change while they are open", [said] if said or done.returncode else [])


def late_writes(tap, program, folder):
    """In memory, where the loop writes, and on a disk, where a worker does."""
    python = python_with("impacket.smbconnection")
    if python is None:
        tap.skip("writes whose data come late", "there is no impacket")
        return
    script, image = Path(__file__).parent / "late_writes.py", Path(folder) / "image"
    subprocess.run(["truncate", "-s", "8M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", image], check=True)
    for kind, options in (("memory", ["-t", "tmpfs", "-o", "size=4m", "smbproof-test"]), ("a disk", ["-o", "loop", image])):
        with Mounted(folder, *options) as disk, Server(program, folder, "--sign", "allowed") as server:
            done = subprocess.run([python, script, str(server.port), disk.share], capture_output=True, text=True,
                                  timeout=TIMEOUT_SECONDS)  # fmt: skip
        said = done.stdout + done.stderr
        tap.result(f"writes whose data come late, to {kind}", [said] if said or done.returncode else [])


def killed_once(server, python, round_number):
    """Kills the server in the middle; yields the names whose FLUSH was answered."""
    writer = subprocess.Popen([python, "-c", WRITER, str(server.port), str(round_number)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    names = []
    for line in writer.stdout:
        names.append(line.strip())
        if len(names) == 20 + round_number:
            server.process.kill()
    writer.wait(TIMEOUT_SECONDS)
    server.process.kill()
    server.process.wait()
    return names


def whole(path):
    """What is wrong with a file that was flushed."""
    octets = path.name.encode() * 1000
    if path.read_bytes() != octets:
        return [f"{path.name}: its contents"]
    attributes = os.getxattr(path, "user.smbproof.dos")
    return [] if len(attributes) in (16, 40) and attributes[0] == 0x22 else [f"{path.name}: its attributes {attributes!r}"]


def killed(tap, program, folder):
    python = python_with("impacket.smbconnection")
    if python is None:
        tap.skip("a server that is killed", "there is no impacket")
        return
    wrong, count = [], 0
    for number in range(KILLS):
        with Server(program, folder) as server:
            names = killed_once(server, python, number)
        count += len(names)
        wrong += [complaint for name in names for complaint in whole(Path(folder) / "share" / name)]
    if count < KILLS * 20:
        wrong.append(f"only {count} files were written")
    torn = [name for name in os.listdir(Path(folder) / "share")
            for size in (len(os.getxattr(Path(folder) / "share" / name, "user.smbproof.dos")),) if size not in (16, 40)]  # fmt: skip
    tap.result(f"{count} files flushed before the server was killed are whole", wrong)
    tap.result("no attributes are torn", torn)
    with Server(program, folder) as server:
        expect(tap, "it serves again", server, [], "get r0-0 x")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smbproof", required=True)
    arguments = parser.parse_args()
    tap = Tap()
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as folder:
            full_and_read_only(tap, arguments.smbproof, folder)
        with tempfile.TemporaryDirectory() as folder:
            late_writes(tap, arguments.smbproof, folder)
    else:
        tap.skip("full and read-only disks", "not root")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "large").write_bytes(b"large")
        changed_beneath(tap, arguments.smbproof, folder)
    with tempfile.TemporaryDirectory() as folder:
        changed_while_open(tap, arguments.smbproof, folder)
    with tempfile.TemporaryDirectory() as folder:
        killed(tap, arguments.smbproof, folder)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
