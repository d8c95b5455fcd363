"""The Linux kernel's SMB client and server, in virtual machines that a program outside this project boots.

    with KernelServer(machine) as server, KernelClient(machine) as client:
        client.run(server.port, "3.1.1")

The program is called as

    MACHINE server --port N --share NAME --user U --password P --share-size MIB
    MACHINE client --port N --share NAME --user U --password P --script FILE --no-mount --timeout SECONDS -- ARGUMENT...

The first has to serve a share at that port of 127.0.0.1 until it gets SIGTERM, and to print a line that begins with READY
once it does. The second has to run the script in the machine with its arguments, with `cifs-mount OPTIONS FOLDER` to mount
the share there, where 10.0.2.2 is 127.0.0.1 of this machine; `port=PORT` is among the options.
"""
import contextlib
import queue
import signal
import socket
import subprocess
from pathlib import Path

START_SECONDS = 180
# Mount and listing are killed after a minute each (machine_client.sh), and a machine that says nothing is given up.
ANSWER_SECONDS = 150
LIFE_SECONDS = 3 * 3600
USER, PASSWORD, SHARE = "root", "secret", "data"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Machine:
    """stop() ends the program that was started, and with it the machine."""

    user, password, share = USER, PASSWORD, SHARE

    def start(self, machine, role, port, *options):
        command = [machine, role, "--port", str(port), "--share", self.share, "--user", self.user]
        command += ["--password", self.password, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class KernelServer(Machine):
    """ksmbd at `port`, from the moment on at which it answers."""

    name = "Linux ksmbd"

    def __init__(self, machine, *options):
        self.machine, self.options = machine, options

    def missing(self):
        return None if self.machine else "no machine for ksmbd"

    def __enter__(self):
        self.port = free_port()
        self.start(self.machine, "server", self.port, "--share-size", "64", *self.options)
        for line in self.process.stdout:
            if line.startswith("READY"):
                return self
        self.stop()
        raise OSError("the machine with ksmbd did not start")

    def __exit__(self, *_):
        self.stop()


class Lane:
    """A loop of the machine's script (machine_client.sh) that mounts, one after another, what it is told to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(START_SECONDS)
        self.port = self.listener.getsockname()[1]
        self.said = None

    def hear(self):
        """What the machine says of the work before; it then waits for the next."""
        self.said, _ = self.listener.accept()
        self.said.settimeout(ANSWER_SECONDS)
        return b"".join(iter(lambda: self.said.recv(4096), b"")).decode(errors="replace")

    def greet(self):
        """-> the kernel's release."""
        release = self.hear().partition(" ")[2]
        self.listener.settimeout(ANSWER_SECONDS)
        return release

    def run(self, work):
        """-> the exit status of mount or ls ("timeout" where none came), and what they printed."""
        self.said.sendall(f"{work}\n".encode())
        self.said.close()
        try:
            status, _, text = self.hear().partition(" ")
        except TimeoutError:
            return "timeout", ""
        return int(status), text

    def close(self):
        if self.said:
            self.said.close()
        self.listener.close()


class KernelClient(Machine):
    """cifs.ko: each run() is a mount, a listing, and the mount's end. `dialects`: options of mount by name. So many as
    there are lanes can be run side by side, on threads. Once it runs, `name` has the kernel's version."""

    name = "Linux"

    def __init__(self, machine, dialects, lane_count=1):
        self.machine, self.dialects, self.lane_count = machine, dialects, lane_count

    def missing(self):
        return None if self.machine else "no machine for Linux's client"

    def __enter__(self):
        self.lanes = [Lane() for _ in range(self.lane_count)]
        script = Path(__file__).with_name("machine_client.sh")
        options = ("--script", str(script), "--no-mount", "--timeout", str(LIFE_SECONDS))
        self.start(self.machine, "client", 1, *options, "--", *(str(lane.port) for lane in self.lanes))
        try:
            release = [lane.greet() for lane in self.lanes][0]
        except TimeoutError:
            self.stop()
            raise OSError("the machine with Linux's client did not start") from None
        self.name = "Linux " + ".".join(release.split(".")[:2])
        self.idle = queue.SimpleQueue()
        for lane in self.lanes:
            self.idle.put(lane)
        return self

    @contextlib.contextmanager
    def idle_lane(self):
        lane = self.idle.get()
        try:
            yield lane
        finally:
            self.idle.put(lane)

    def run(self, port, dialect):
        """As Lane.run() has it."""
        with self.idle_lane() as lane:
            return lane.run(f"{port} {self.dialects[dialect]}")

    def __exit__(self, *_):
        for lane in self.lanes:
            lane.close()
        self.stop()
