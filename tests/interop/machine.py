"""The Linux kernel's SMB client and server, in virtual machines that a program outside this project boots.

    with KernelServer(machine) as server, KernelClient(machine) as client:
        client.run(server.port, "3.1.1")

The program is called as

    MACHINE server --port N --share NAME --user U --password P --share-size MIB
    MACHINE client --port N --share NAME --user U --password P --script FILE --no-mount --smp 1 --timeout SECONDS
        -- ARGUMENT...

The first has to serve a share at that port of 127.0.0.1 until it gets SIGTERM, and to print a line that begins with READY
once it does. The second has to run the script in the machine with its arguments, with `cifs-mount OPTIONS` to mount the
share at the port that stands in /cfg/port at /mnt, where 10.0.2.2 is 127.0.0.1 of this machine.
"""
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

START_SECONDS = 180
# Mount and listing are killed after 30 s each (machine_client.sh), and a machine that says nothing is given up.
ANSWER_SECONDS = 90
LIFE_SECONDS = 3 * 3600
COMPLAINTS = 3  # lines of a machine that did not start
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
        self.complaints = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.complaints, text=True)

    def failure(self):
        """Stops it -> an exception with the last that it complained of."""
        self.stop()
        self.complaints.seek(0)
        lines = self.complaints.read().decode(errors="replace").splitlines()[-COMPLAINTS:]
        return OSError(f"the machine of {self.name} did not start: " + "; ".join(lines))

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
        raise self.failure()

    def __exit__(self, *_):
        self.stop()


class KernelClient(Machine):
    """cifs.ko: each run() is a mount, a listing, and the mount's end. `dialects`: options of mount by name. Once it runs,
    `name` has the kernel's version. `patience`: so many tenths of a second a run lasts at most until the kernel, too, has
    closed the connection."""

    name = "Linux"

    def __init__(self, machine, dialects, patience=100):
        self.machine, self.dialects, self.patience = machine, dialects, patience

    def missing(self):
        return None if self.machine else "no machine for Linux's client"

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(START_SECONDS)
        script = Path(__file__).with_name("machine_client.sh")
        options = ("--script", str(script), "--no-mount", "--smp", "1", "--timeout", str(LIFE_SECONDS))
        arguments = (str(self.listener.getsockname()[1]), str(self.patience))
        self.start(self.machine, "client", 1, *options, "--", *arguments)
        self.said = None
        try:
            release = self.hear().partition(" ")[2]
        except TimeoutError:
            raise self.failure() from None
        self.name = "Linux " + ".".join(release.split(".")[:2])
        self.listener.settimeout(ANSWER_SECONDS)
        return self

    def hear(self):
        """What the machine says of the work before; it then waits for the next."""
        self.said, _ = self.listener.accept()
        self.said.settimeout(ANSWER_SECONDS)
        return b"".join(iter(lambda: self.said.recv(4096), b"")).decode(errors="replace")

    def run(self, port, dialect):
        """-> the exit status of mount or ls ("timeout" where none came), and what they printed."""
        self.said.sendall(f"{port} {self.dialects[dialect]}\n".encode())
        self.said.close()
        try:
            status, _, text = self.hear().partition(" ")
        except TimeoutError:
            return "timeout", ""
        return int(status), text

    def __exit__(self, *_):
        self.said.close()
        self.listener.close()
        self.stop()
