"""A private smbd on loopback for the tests: own folder, own port, own accounts, nothing of the system's Samba touched.

    with Samba({"smb encrypt": "required"}, shares={"locked": {"read only": "yes"}}) as samba:
        run(f"smb://root@127.0.0.1:{samba.port}/data", samba.password)

Runs as root, since smbd does. `Samba.missing()` says why it cannot be started here; a test then says that it skipped.
From a shell: samba.py start FOLDER [KEY=VALUE...] prints the port, samba.py stop FOLDER ends it.
"""
import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 10
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
MARK = "SMBPROOF_SAMBA"  # with the folder, in the environment of a server and of all that it starts
FOLDERS = ("private", "lock", "state", "cache", "pid", "ncalrpc", "log")


def free_port():
    """A port that nobody listens on now. Below the range that the kernel gives to clients, so that none takes it."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port was found")


class Samba:
    """settings: of [global], over the defaults below. shares: {name: settings}, beside "data", which is writable, and
    "public", which guests may use. environment: of smbd, in place of this process's.
    users: {Unix name: password}; the names must exist on this machine."""

    def __init__(self, settings=None, shares=None, users=None, folder=None, port=None, environment=None):
        self.users = {"root": "secret"} if users is None else users
        self.password = self.users.get("root")
        self.own_folder = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="smbproof-samba-")).resolve()
        self.port = port or free_port()
        self.share = self.folder / "share"
        self.settings = settings or {}
        self.shares = shares or {}
        self.environment = {**(environment or os.environ), "PATH": search_path(), MARK: str(self.folder)}
        self.process = None

    @staticmethod
    def missing():
        if os.geteuid() != 0:
            return "smbd needs root"
        absent = [name for name in ("smbd", "pdbedit") if shutil.which(name, path=search_path()) is None]
        return f"{' and '.join(absent)} not installed" if absent else None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def global_settings(self):
        named = {
            "server role": "standalone server",
            "interfaces": "lo 127.0.0.1/8 ::1/128",
            "bind interfaces only": "yes",
            "disable netbios": "yes",
            "smb ports": str(self.port),
            "private dir": self.folder / "private",
            "lock directory": self.folder / "lock",
            "state directory": self.folder / "state",
            "cache directory": self.folder / "cache",
            "pid directory": self.folder / "pid",
            "ncalrpc dir": self.folder / "ncalrpc",
            "log file": self.folder / "log" / "log",
            "log level": "0",
            "load printers": "no",
            "printcap name": "/dev/null",
            "disable spoolss": "yes",
            "server min protocol": "SMB2_02",
            "map to guest": "Bad User",
            "guest account": "nobody",
        }
        named.update(self.settings)
        return named

    def write_config(self):
        shares = {
            "data": {"path": self.share, "read only": "no"},
            "public": {"path": self.share, "read only": "yes", "guest ok": "yes"},
        }
        for name, settings in self.shares.items():
            shares.setdefault(name, {"path": self.share}).update(settings)
        parts = {"global": self.global_settings(), **shares}
        lines = []
        for name, settings in parts.items():
            lines.append(f"[{name}]")
            lines += [f" {key} = {value}" for key, value in settings.items()]
        (self.folder / "smb.conf").write_text("\n".join(lines) + "\n")

    def tool(self, *arguments, **options):
        """Runs one of Samba's own tools with this configuration."""
        command = [arguments[0], "-s", str(self.folder / "smb.conf"), *arguments[1:]]
        environment = {**os.environ, "PATH": search_path()}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, **options)

    def set_password(self, user, password):
        known = subprocess.run(
            ["pdbedit", "-s", self.folder / "smb.conf", "-u", user], capture_output=True, env={"PATH": search_path()}
        )
        if known.returncode == 0:
            self.tool("pdbedit", "-x", user)
        self.tool("pdbedit", "-a", "-t", user, input=f"{password}\n{password}\n")

    def nt_hash(self, user="root"):
        """As 32 hexadecimal digits, out of the server's own database."""
        return self.tool("pdbedit", "-L", "-w", "-u", user).stdout.split(":")[3]

    def start(self):
        for name in FOLDERS:
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.share.mkdir(exist_ok=True)
        self.share.chmod(0o777)
        self.write_config()
        for user, password in self.users.items():
            self.set_password(user, password)
        self.run()

    def run(self):
        # Whoever is left of a killed server is this process's to bury. smbd takes a zombie for alive, and its locks too.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        command = ["smbd", "-F", "--no-process-group", "-s", str(self.folder / "smb.conf")]
        with open(self.folder / "out", "wb") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=self.environment,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        said = (self.folder / "out").read_text(errors="replace") + self.log()
        self.stop()
        raise OSError(f"smbd did not start: {said[-2000:]}")

    def log(self):
        return "".join(path.read_text(errors="replace") for path in sorted((self.folder / "log").glob("log*")))

    def kill(self, how=signal.SIGTERM):
        """Ends the server, the process of each connection, and those that answer RPC."""
        if self.process is None:
            return
        end_all(self.folder, how)
        bury(-self.process.pid)
        self.process.wait()
        self.process = None

    def stop(self):
        self.kill()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def belongs(process, folder):
    """Has smbd of this folder started it? Not so a zombie, which has no environment any more."""
    try:
        return f"{MARK}={folder}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def send(process, folder, how):
    """The number could be another process's by now; what the descriptor is of, it stays."""
    try:
        descriptor = os.pidfd_open(int(process.name))
    except ProcessLookupError:
        return
    if belongs(process, folder):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, how)
    os.close(descriptor)


def end_all(folder, how=signal.SIGTERM):
    """Ends smbd and all that it has started: samba-dcerpcd makes a session of its own, and stays when the others go."""
    deadline = time.monotonic() + STOP_SECONDS
    seen = set()
    while left := [process for process in Path("/proc").glob("[0-9]*") if belongs(process, folder)]:
        is_late = time.monotonic() >= deadline
        for process in left:
            if is_late or process not in seen:
                send(process, folder, signal.SIGKILL if is_late else how)
        seen.update(left)
        time.sleep(0.05)
    for process in seen:
        bury(int(process.name))


def bury(which):
    """Reaps a dead process, or with minus its number a group of them, as far as they are children of this one."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(which, 0)


def main():
    if len(sys.argv) >= 3 and sys.argv[1] == "start":
        samba = Samba(dict(pair.split("=", 1) for pair in sys.argv[3:]), folder=sys.argv[2])
        samba.start()
        print(samba.port)
    elif len(sys.argv) == 3 and sys.argv[1] == "stop":
        end_all(Path(sys.argv[2]).resolve())
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
