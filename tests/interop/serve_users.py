#!/usr/bin/env python3
"""Accounts that are mapped to users of the system: whose the files are, what is refused, groups, many at a time.

usage: serve_users.py --smbproof PROGRAM

The users are in lists of the system's users and groups that only this test and its servers see, in a mount namespace of
their own; so it has to be root. Prints TAP.
"""
import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import mounts  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 60
EXIT_INPUT = 4
ADA, BOB, EVE, SERVER, TEAM = 5001, 5002, 5003, 5009, 5100
IDS = {"root": 0, "ada": ADA, "robert": BOB, "eve": EVE, "server": SERVER}
USERS = "".join(f"{name}:x:{id}:{id}::/:\n" for name, id in IDS.items())
GROUPS = "".join(f"{name}:x:{id}:\n" for name, id in IDS.items()) + f"team:x:{TEAM}:ada,robert\n"
MAP = ("--map=bob=robert", "--map=*=*", "--map=*=eve")
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
CAP_SETGID, CAP_SETUID = 6, 7
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2
ROUNDS, CLIENTS = 8, 6
LIBC = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "the test cannot have a mount namespace of its own")


def hide_users(folder):
    """Lists of its own for this process and those that it starts."""
    must(LIBC.unshare(CLONE_NEWNS))
    must(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    for name, text in (("passwd", USERS), ("group", GROUPS), ("nsswitch.conf", "passwd: files\ngroup: files\n")):
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        if os.path.exists(f"/etc/{name}"):
            must(LIBC.mount(bytes(path), f"/etc/{name}".encode(), None, MS_BIND, None))


def become_server():
    """An ordinary user that may act as others, as the service manager would start it."""
    LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(SERVER, SERVER, SERVER)
    os.setresuid(SERVER, SERVER, SERVER)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    both = 1 << CAP_SETGID | 1 << CAP_SETUID
    must(LIBC.capset(header, (ctypes.c_uint32 * 6)(both, both, both, 0, 0, 0)))
    for capability in (CAP_SETGID, CAP_SETUID):
        must(LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def become_nobody_special():
    os.setgroups([])
    os.setresgid(SERVER, SERVER, SERVER)
    os.setresuid(SERVER, SERVER, SERVER)


class Place:
    def __init__(self, program, folder):
        """The program is copied to where users come to: whoever builds in root's home has it where they do not."""
        self.folder, self.share = Path(folder), Path(folder) / "share"
        self.program = shutil.copy(program, folder)
        os.chmod(folder, 0o755)
        self.share.mkdir()
        self.share.chmod(0o1777)
        self.accounts = self.folder / "accounts"
        for user in ("ada", "bob", "carol"):
            subprocess.run([program, "passwd", self.accounts, user], input=b"secret\n", check=True, capture_output=True)

    def command(self, *options, guest=False):
        return [self.program, "serve", "--listen=127.0.0.1:0", "--loops=1", f"--accounts={self.accounts}",
                f"--share=data={self.share}{',guest' if guest else ''}", *options]  # fmt: skip

    def check(self, *options, become=None):
        command = self.command("--check", *options)
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, preexec_fn=become)

    def empty(self):
        for path in self.share.iterdir():
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


class Server:
    def __init__(self, place, *options, become=None, guest=False):
        self.log_path = place.folder / "log"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(place.command(*options, guest=guest), stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, preexec_fn=become)  # fmt: skip
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.place = place

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT_SECONDS)
        finally:
            self.process.kill()
            self.log.close()

    def run(self, user, *command, options=()):
        """What `smbproof COMMAND` says of it: its exit status and all output. A share's path stands in it as @PATH."""
        url = f"smb://{user}@127.0.0.1:{self.port}/data/"
        words = [word.replace("@", url, 1) if word.startswith("@") else word for word in command]
        done = subprocess.run([self.place.program, words[0], *options, *words[1:]], capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS, env={**os.environ, "SMBPROOF_PASSWORD": "secret"})  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def smbclient(self, user, what):
        return ["smbclient", "//127.0.0.1/data", "-p", str(self.port), "-s", "/dev/null", "-U", f"{user}%secret", "-c", what]

    def put(self, user, name, text="content"):
        source = self.place.folder / f"source-{user}"
        source.write_text(text)
        return self.run(user, "put", str(source), f"@{name}")


def owner(path):
    status = path.stat()
    return status.st_uid, status.st_gid


def want(wrong, good, words):
    if not good:
        wrong.append(str(words))


def check_owners(tap, place, server, name, others):
    wrong = []
    for user, ids in (("ada", (ADA, ADA)), ("bob", (BOB, BOB)), ("carol", others)):
        said = server.put(user, f"of-{user}")
        want(wrong, said[0] == 0 and owner(place.share / f"of-{user}") == ids, (user, said))
        said = server.run(user, "mkdir", f"@folder-{user}")
        want(wrong, said[0] == 0 and owner(place.share / f"folder-{user}") == ids, (user, said))
    tap.result(f"{name}: what is made is the mapped user's", wrong)


def check_refusals(tap, place, server, name):
    wrong = []
    private = place.share / "private"
    private.write_text("private")
    private.chmod(0o600)
    os.chown(private, BOB, BOB)
    closed = place.share / "closed"
    closed.mkdir(0o700)
    os.chown(closed, BOB, BOB)
    (closed / "inside").write_text("inside")
    os.chown(closed / "inside", BOB, BOB)
    for command in (("cat", "@private"), ("ls", "@closed"), ("cat", "@closed/inside"), ("rm", "@private"),
                    ("mv", "@private", "@mine"), ("mkdir", "@closed/new")):  # fmt: skip
        said = server.run("ada", *command)
        want(wrong, said[0] != 0 and "private" in os.listdir(place.share), (command, said))
    want(wrong, "ACCESS_DENIED" in server.run("ada", "cat", "@private")[1], "0600 of another is not ACCESS_DENIED")
    said = server.run("ada", "stat", "@private")
    want(wrong, said[0] == 0 and "7 octets" in said[1], ("its attributes are not shown", said))
    want(wrong, server.run("ada", "stat", "@closed/inside")[0] != 0, "attributes in a closed folder are shown")
    want(wrong, server.run("bob", "cat", "@private") == (0, "private"), "its owner cannot read it")
    want(wrong, "inside" in server.run("bob", "ls", "@closed")[1], "its owner cannot list it")
    said = server.run("bob", "mv", "@private", "@closed/private")
    want(wrong, said[0] == 0 and (closed / "private").exists(), said)
    said = server.run("bob", "rm", "@closed/private")
    want(wrong, said[0] == 0 and not (closed / "private").exists(), said)
    (closed / "inside").unlink()
    readable = place.share / "open"
    readable.mkdir()
    (readable / "inside").write_text("inside")
    said = server.run("ada", "rm", "@open/inside")
    want(wrong, said[0] != 0 and (readable / "inside").exists(), ("removed from a folder that he may not write", said))
    (readable / "inside").unlink()
    box = place.share / "box"
    box.mkdir()
    box.chmod(0o733)
    said = server.put("ada", "box/letter")
    want(wrong, said[0] == 0 and (box / "letter").read_text() == "content", ("a folder to write only", said))
    want(wrong, server.run("ada", "ls", "@box")[0] != 0, "a folder to write only is listed")
    (box / "letter").unlink()
    sticky = place.share / "of-root"
    sticky.write_text("root")
    said = server.run("ada", "rm", "@of-root")
    want(wrong, said[0] != 0 and sticky.exists(), ("removed beside a sticky bit", said))
    tap.result(f"{name}: files and folders of another are closed to him, and the owner's own", wrong)


def check_groups(tap, place, server, name):
    wrong = []
    shared = place.share / "shared"
    shared.mkdir()
    os.chown(shared, 0, TEAM)
    shared.chmod(0o2770)
    for user in ("ada", "bob"):
        said = server.put(user, f"shared/{user}")
        want(wrong, said[0] == 0 and (shared / user).stat().st_gid == TEAM, (user, said))
    said = server.put("carol", "shared/carol")
    want(wrong, said[0] != 0 and not (shared / "carol").exists(), said)
    for path in shared.iterdir():
        path.unlink()
    tap.result(f"{name}: supplementary groups count", wrong)


def client(server, user, ids, wrong):
    for i in range(ROUNDS):
        said = server.put(user, f"{user}-{threading.get_ident()}-{i}")
        path = server.place.share / f"{user}-{threading.get_ident()}-{i}"
        if said[0] != 0 or owner(path) != ids:
            wrong.append(f"{user}: {said}")
        said = server.run(user, "cat", "@only-bob")
        if (said[0] == 0) != (user == "bob"):
            wrong.append(f"{user} reads what only bob may: {said}")


def check_many(tap, place, server, name, own):
    """All of them on the one loop and its workers."""
    wrong = []
    only = place.share / "only-bob"
    only.write_text("bob")
    only.chmod(0o600)
    os.chown(only, BOB, BOB)
    threads = [threading.Thread(target=client, args=(server, *((("ada", (ADA, ADA)), ("bob", (BOB, BOB)))[i % 2]), wrong))
               for i in range(CLIENTS)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for status in Path(f"/proc/{server.process.pid}/task").glob("*/status"):
        ids = [line.split()[1:] for line in status.read_text().splitlines() if line.startswith(("Uid:", "Gid:"))]
        want(wrong, all(each == [str(own)] * 4 for each in ids), f"a thread stays somebody else: {ids}")
    tap.result(f"{name}: many at a time do not take each other's place", wrong[:5])


def check_watch(tap, place, server, name):
    """Only bob may look into his folder, and he is told what changes in it; ada is not."""
    if shutil.which("smbclient") is None:
        tap.skip(f"{name}: changes are told", "smbclient is not installed")
        return
    watched = place.share / "watched"
    watched.mkdir(0o700)
    os.chown(watched, BOB, BOB)
    bob, ada = (subprocess.Popen(["stdbuf", "-oL", *server.smbclient(user, "notify watched")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True) for user in ("bob", "ada"))  # fmt: skip
    refused = ada.communicate(timeout=TIMEOUT_SECONDS)[0]
    told = []
    reader = threading.Thread(target=lambda: told.append(bob.stdout.readline()))
    reader.start()
    for i in range(TIMEOUT_SECONDS * 10):
        (watched / f"new-{i}").write_text("")
        reader.join(0.1)
        if told:
            break
    bob.kill()
    bob.communicate()
    reader.join()
    for path in watched.iterdir():
        path.unlink()
    tap.result(f"{name}: changes are told to who may see them",
               [] if "new-" in "".join(told) and "ACCESS_DENIED" in refused else [told, refused])  # fmt: skip


def check_times(tap, place, server, name):
    """Times of a file that he may write, and that is another's; and of one that he may not."""
    if shutil.which("smbclient") is None:
        tap.skip(f"{name}: times", "smbclient is not installed")
        return
    wrong, old = [], 1000000000
    for file, mode in (("team", 0o660), ("bobs", 0o644)):
        path = place.share / file
        path.write_text("text")
        path.chmod(mode)
        os.chown(path, BOB, TEAM)
        said = subprocess.run(server.smbclient("ada", f"utimes {file} -1 -1 2001:09:09-01:46:40 -1"), capture_output=True,
                              text=True, timeout=TIMEOUT_SECONDS, env={**os.environ, "TZ": "UTC"})  # fmt: skip
        want(wrong, (path.stat().st_mtime == old) == (file == "team"), (file, path.stat().st_mtime, said.stdout))
        path.unlink()
    tap.result(f"{name}: times may be set by who may write", wrong)


def check_guests(tap, place):
    """Who calls himself bob and is a guest is not bob."""
    with Server(place, "--map=bob=robert", "--map=*=eve", "--sign=allowed", guest=True) as server:
        os.chmod(place.share, 0o1777)
        source = place.folder / "source"
        source.write_text("guest")
        said = server.run("dora", "put", str(source), "@of-guest", options=("--allow-guest",))
        good = said[0] == 0 and owner(place.share / "of-guest") == (EVE, EVE)
        tap.result("a guest is served as the user for all others", [] if good else [str(said)])


def check_start(tap, place):
    wrong = []
    for options, become, sentence in (
        (("--map=ada=ada",), None, "would act as root"),
        (("--map=ada=ghost", "--map=*=eve"), None, "no such user"),
        (("--map=ada=ada",), become_nobody_special, "CAP_SETUID"),
    ):
        done = place.check(*options, become=become)
        want(wrong, done.returncode == EXIT_INPUT and sentence in done.stderr, (options, done.returncode, done.stderr))
        done = subprocess.run(place.command(*options), capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
                              preexec_fn=become)  # fmt: skip
        want(wrong, done.returncode == EXIT_INPUT and sentence in done.stderr, ("start", options, done.stderr))
    for options in (("--map=ada",), ("--map=ada=",), ("--map=ada=*",), ("--map==ada",)):
        done = place.check(*options)
        want(wrong, done.returncode == 3, (options, done.returncode, done.stderr))
    tap.result("a mapping that cannot be is refused at the start, and by --check", wrong)
    done = place.check(*MAP)
    good = done.returncode == 0 and "Map = bob=robert,*=*,*=eve\t" in done.stdout
    tap.result("--check shows the mapping", [] if good else [done.stdout + done.stderr])


def check_server(tap, place, name, become, others):
    options = MAP if become is None else MAP[:2]
    with Server(place, *options, "--sign=allowed", become=become) as server:
        check_owners(tap, place, server, name, others)
        check_refusals(tap, place, server, name)
        check_groups(tap, place, server, name)
        check_watch(tap, place, server, name)
        if become is None:
            check_times(tap, place, server, name)
        check_many(tap, place, server, name, 0 if become is None else SERVER)
    place.empty()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=Path)
    options = parser.parse_args()
    tap = Tap()
    if missing := mounts.missing():
        tap.skip("accounts as users of the system", missing)
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-users-") as folder:
        hide_users(Path(folder))
        place = Place(options.smbproof.absolute(), folder)
        check_start(tap, place)
        check_server(tap, place, "as root", None, (EVE, EVE))
        check_guests(tap, place)
        os.chown(place.accounts, SERVER, SERVER)
        check_server(tap, place, "as a user with two capabilities", become_server, (SERVER, SERVER))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
