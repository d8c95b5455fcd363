#!/usr/bin/env python3
"""Makes the captures of this folder: smbclient and smbd, real ones, with a box on the path that changes one field.

usage: make-captures.py [--out DIRECTORY] [NAME...]      as root; Debian packages: iproute2 samba smbclient tcpdump

Three network namespaces: client -- box -- server. The box is a bridge in user space: it takes Ethernet frames from one
side and puts them out on the other 2 ms later, so there is one TCP connection from end to end, and the endpoints'
kernels see nothing but a wire. tcpdump records in the client's and in the server's namespace.
"""
import argparse
import collections
import ctypes
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENT, SERVER = "192.0.2.10", "192.0.2.20"  # RFC 5737: addresses for documentation
USER, PASSWORD = "alice", "correct horse"
DELAY_S = 0.002  # each way
CAPTURES_WAIT_S = 0.5
START_MAX_S = 20.0

# name -> what the box changes, the newest protocol of smbclient, what smbclient does, which sides' captures are kept
SCENES = {
    "healthy": (None, "SMB3_02", "put hello.txt; get hello.txt hello.back", ["client"]),
    "altered-request": ("request-encryption", "SMB3_02", "ls", ["client", "server"]),
    "altered-response": ("response-encryption", "SMB3_02", "ls", ["client", "server"]),
    "altered-311": ("request-guid", "SMB3_11", "ls", ["client", "server"]),
}

# --- the box ---

NETBIOS_OCTETS = 4
BODY = NETBIOS_OCTETS + 64  # after the SMB2 header, [MS-SMB2] 2.2.1
CAP_ENCRYPTION = 0x40


def is_negotiate(payload, response):
    return (
        payload[4:8] == b"\xfeSMB"
        and struct.unpack_from("<H", payload, NETBIOS_OCTETS + 12)[0] == 0
        and payload[NETBIOS_OCTETS + 16] & 1 == response
    )


def clear_bits(payload, offset, bits):
    (value,) = struct.unpack_from("<I", payload, offset)
    struct.pack_into("<I", payload, offset, value & ~bits)


def change_payload(payload, change):
    """Changes one field of a NEGOTIATE in place; -> whether it did. Lengths stay, so TCP's numbers stay."""
    if len(payload) < BODY + 28:
        return False
    if change == "request-encryption" and is_negotiate(payload, 0):
        clear_bits(payload, BODY + 8, CAP_ENCRYPTION)  # Capabilities, 2.2.3
    elif change == "response-encryption" and is_negotiate(payload, 1):
        clear_bits(payload, BODY + 24, CAP_ENCRYPTION)  # Capabilities, 2.2.4
    elif change == "request-guid" and is_negotiate(payload, 0):
        payload[BODY + 12] ^= 0xFF  # first octet of ClientGuid, 2.2.3
    else:
        return False
    return True


def checksum_of(octets):
    octets = bytes(octets) + b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def change_frame(frame, change):
    """An Ethernet frame as it leaves the box."""
    if change is None or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP:
        return frame
    tcp = 14 + (frame[14] & 15) * 4
    end = 14 + struct.unpack_from("!H", frame, 16)[0]
    payload = bytearray(frame[tcp + (frame[tcp + 12] >> 4) * 4 : end])
    if not change_payload(payload, change):
        return frame
    changed = bytearray(frame[:end])
    changed[end - len(payload) :] = payload
    struct.pack_into("!H", changed, tcp + 16, 0)
    pseudo = changed[26:34] + struct.pack("!HH", socket.IPPROTO_TCP, end - tcp)
    struct.pack_into("!H", changed, tcp + 16, checksum_of(pseudo + changed[tcp:end]))
    return bytes(changed)


def run_box(change):
    """Runs in the box's namespace, until it is ended."""
    sockets = []
    for name in ("to-client", "to-server"):
        side = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
        side.bind((name, 0))
        sockets.append(side)
    waiting = collections.deque()  # one delay for all: in order of time
    print("ready", flush=True)
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for side in select.select(sockets, [], [], timeout)[0]:
            frame, address = side.recvfrom(65535)
            if address[2] != socket.PACKET_OUTGOING:
                other = sockets[1 - sockets.index(side)]
                waiting.append((time.monotonic() + DELAY_S, other, change_frame(frame, change)))
        while waiting and waiting[0][0] <= time.monotonic():
            _, other, frame = waiting.popleft()
            other.send(frame)


# --- the network ---


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


def offloads_off(name):
    """Checksums and segments as on a wire, ETHTOOL_STXCSUM, _STSO and _SGSO; in the namespace of the caller."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for number in (0x17, 0x1F, 0x24):
            value = ctypes.create_string_buffer(struct.pack("II", number, 0), 8)
            request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
            fcntl.ioctl(any_socket, 0x8946, request)  # SIOCETHTOOL


class Network:
    def __init__(self, directory):
        self.directory = directory
        self.prefix = f"smbproof{os.getpid()}-"
        self.running = []

    def inside(self, space):
        return ["ip", "netns", "exec", self.prefix + space]

    def __enter__(self):
        for space in ("client", "box", "server"):
            run("ip", "netns", "add", self.prefix + space)
            run(*self.inside(space), "ip", "link", "set", "lo", "up")
        for number, (space, address) in enumerate((("client", CLIENT), ("server", SERVER)), 1):
            mine = self.prefix + space
            run("ip", "link", "add", "eth0", "netns", mine, "address", f"02:00:00:00:00:0{number}", "type", "veth",
                "peer", "name", "to-" + space, "netns", self.prefix + "box")  # fmt: skip
            run(*self.inside(space), sys.executable, __file__, "--offloads-off", "eth0")
            run(*self.inside(space), "ip", "address", "add", address + "/24", "dev", "eth0")
            run(*self.inside(space), "ip", "link", "set", "eth0", "up")
            run(*self.inside("box"), "ip", "link", "set", "to-" + space, "up")
        return self

    def start(self, space, *command, ready):
        """-> the process, once a line of its output matches ready."""
        process = subprocess.Popen(
            [*self.inside(space), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, text=True, cwd=self.directory
        )  # fmt: skip
        self.running.append(process)
        said = []
        for line in process.stdout:
            said.append(line)
            if re.search(ready, line):
                return process
        raise SystemExit(f"{command[0]} ended: {''.join(said)}")

    def stop(self, process):
        self.running.remove(process)
        os.killpg(process.pid, signal.SIGTERM)  # its own group: start_new_session
        process.wait(START_MAX_S)
        process.stdout.close()

    def __exit__(self, *_):
        for process in reversed(list(self.running)):
            self.stop(process)
        for space in ("client", "box", "server"):
            subprocess.run(["ip", "netns", "delete", self.prefix + space], check=False)


# --- Samba ---


def configure_samba(directory):
    private = {
        name: directory / name.replace(" ", "-")
        for name in ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
    }
    for path in [*private.values(), directory / "share"]:
        path.mkdir(mode=0o755)
    private["private dir"].chmod(0o700)
    (directory / "users").write_text(f"root = {USER}\n")
    lines = [f"{name} = {path}" for name, path in private.items()]
    (directory / "server.conf").write_text(
        "[global]\n"
        + "\n".join(lines)
        + f"""
netbios name = FILESERVER
workgroup = EXAMPLE
server role = standalone server
disable netbios = yes
smb ports = 445
bind interfaces only = yes
interfaces = {SERVER}/24
username map = {directory}/users
log file = {directory}/log
load printers = no
printcap name = /dev/null
disable spoolss = yes
[data]
path = {directory}/share
read only = no
"""
    )
    (directory / "client.conf").write_text(
        "[global]\nnetbios name = CLIENT\nworkgroup = EXAMPLE\nclient min protocol = SMB2_02\n" + "\n".join(lines) + "\n"
    )
    run("pdbedit", "-s", f"{directory}/server.conf", "-a", "-t", "root", input=f"{PASSWORD}\n{PASSWORD}\n")


def wait_for_port(network):
    for _ in range(int(START_MAX_S * 10)):
        if ":445 " in run(*network.inside("server"), "ss", "-ltn").stdout:
            return
        time.sleep(0.1)
    raise SystemExit("smbd does not listen")


def make_scene(network, out, name):
    change, newest, commands, kept = SCENES[name]
    box = network.start("box", sys.executable, __file__, "--box", change or "nothing", ready="ready")
    recorders = []
    for side in kept:
        path = out / (f"{name}.{side}.pcap" if len(kept) > 1 else f"{name}.pcap")
        command = ["tcpdump", "-i", "eth0", "-Z", "root", "--immediate-mode", "-U", "-w", str(path), "tcp port 445"]
        recorders.append(network.start(side, *command, ready="listening on"))
    spoken = subprocess.run(
        [*network.inside("client"), "smbclient", f"//{SERVER}/data", "-s", str(network.directory / "client.conf"),
         "-U", f"{USER}%{PASSWORD}", "-m", newest, "-c", commands],
        cwd=network.directory, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    time.sleep(CAPTURES_WAIT_S)
    for process in [*recorders, box]:
        network.stop(process)
    print(f"{name}: smbclient said {spoken.returncode}: {(spoken.stdout + spoken.stderr).strip()}")


def make_captures(out, names):
    with tempfile.TemporaryDirectory(prefix="smbproof-captures-") as name:
        directory = Path(name)
        configure_samba(directory)
        (directory / "hello.txt").write_text("Hello over SMB 3.0.2.\n")
        with Network(directory) as network:
            # smbd itself says nothing on standard output
            network.start("server", "sh", "-c", 'echo start; exec smbd -F --no-process-group -s "$0"',
                          str(directory / "server.conf"), ready="start")  # fmt: skip
            wait_for_port(network)
            for scene in names:
                make_scene(network, out, scene)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--box", help=argparse.SUPPRESS)
    parser.add_argument("--offloads-off", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENES))
    options = parser.parse_args()
    if options.box:
        return run_box(options.box)
    if options.offloads_off:
        return offloads_off(options.offloads_off)
    if unknown := set(options.names) - set(SCENES):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        parser.error("needs root: it makes network namespaces")
    if missing := [tool for tool in ("ip", "ss", "tcpdump", "smbd", "smbclient", "pdbedit") if not shutil.which(tool)]:
        parser.error(f"not installed: {', '.join(missing)}")
    return make_captures(options.out.resolve(), options.names or list(SCENES))


if __name__ == "__main__":
    sys.exit(main())
