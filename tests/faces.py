#!/usr/bin/env python3
"""How the command behaves towards people and scripts: exit statuses, columns, colour, names, signals, broken inputs.

usage: faces.py --smbproof COMMAND
"""
import argparse
import gzip
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tap import Tap

EXAMPLES = Path(os.environ.get("SMBPROOF_SOURCE_ROOT", Path(__file__).parent.parent)) / "examples"
CLIENT, SERVER = EXAMPLES / "altered-request.client.pcap", EXAMPLES / "altered-request.server.pcap"
HEALTHY = EXAMPLES / "healthy.pcap"
COLUMNS = 80


class Command:
    def __init__(self, path):
        self.path = str(Path(path).resolve())

    def run(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([self.path, *map(str, arguments)], stderr=subprocess.PIPE, timeout=60, **options)


def expect(run, status, *words):
    """-> complaints where the exit status is another, or a word is neither in the output nor among the messages."""
    text = (run.stdout or b"") + run.stderr
    if run.returncode != status:
        yield f"{run.args[1:]}: exit status {run.returncode}, not {status}: {text[:200]}"
    for word in words:
        if word.encode() not in text:
            yield f"{run.args[1:]}: {word!r} is not told: {text[:300]}"


def exit_statuses(command, folder):
    empty, text = folder / "empty", folder / "text"
    empty.write_bytes(b"")
    text.write_text("<html>no capture</html>")
    yield from expect(command.run("explain", HEALTHY), 0, "OK")
    yield from expect(command.run("explain", CLIENT), 1, "PROBLEM")
    yield from expect(command.run("explain", "--code", "1240"), 0, "ERROR_LOGIN_WKSTA_RESTRICTION")
    yield from expect(command.run("explain", "--code", "banana"), 2, "not known")
    for wrong in (["explain"], ["explain", "--nope"], ["explain", "-", "-"], ["explain", "a", "b", "c"], [], ["nope"],
                  ["explain", "--taken-at=mars", CLIENT], ["explain", "--color=blue", CLIENT]):
        yield from expect(command.run(*wrong), 3)
    for path, word in ((empty, "empty"), (folder, "directory"), (folder / "none", "No such file"), (text, "not a capture")):
        yield from expect(command.run("explain", path), 4, word)
    yield from expect(command.run("explain", CLIENT, folder / "none"), 4, "No such file", "M01")


def event_trace(command, folder):
    octets = bytearray(4096)
    struct.pack_into("<I", octets, 0, 65536)
    octets[0x4a:0x4c] = b"\2\xc0"
    (folder / "trace.bin").write_bytes(octets)
    yield from expect(command.run("explain", folder / "trace.bin"), 4, "etl2pcapng")


def captures_cut_short(command, folder):
    whole = CLIENT.read_bytes()
    for name, octets in (("cut.pcap", whole[:-10]), ("cut.pcap.gz", gzip.compress(whole)[:-20])):
        (folder / name).write_bytes(octets)
        yield from expect(command.run("explain", folder / name), 4, "at octet", "192.0.2.10")
    run = command.run("explain", "--json", folder / "cut.pcap")
    yield from expect(run, 4)
    if not run.stdout.startswith(b"{"):
        yield "what was read before the cut is not told"


def full_disk(command, _):
    for arguments in (["explain", CLIENT], ["explain", "--json", CLIENT], ["explain", "--code", "5"], ["explain", "--help"],
                      ["--help"], ["--version"]):
        with open("/dev/full", "wb") as full:
            yield from expect(command.run(*arguments, stdout=full), 5, "No space left")
    closed = subprocess.run(["/bin/sh", "-c", 'exec "$0" explain --json "$1" >&-', command.path, CLIENT],
                            stderr=subprocess.PIPE, timeout=60)
    yield from expect(closed, 5)


def hostile_names(command, folder):
    path = folder / "evil\x1b[31m\x07\r\nname"
    path.write_bytes(CLIENT.read_bytes())
    broken = folder / "broken\x1b[31m"
    broken.write_bytes(CLIENT.read_bytes()[:100])
    for run in (command.run("explain", path, SERVER), command.run("explain", broken), command.run("explain", "--code", "\x1b[31m")):
        for octet in b"\x1b\x07\r":
            if octet in run.stdout + run.stderr:
                yield f"{run.args[2:]}: the octet 0x{octet:02x} comes out"
    umlaut = folder / "tr\u00e4ce.pcap"
    umlaut.write_bytes(CLIENT.read_bytes())
    yield from expect(command.run("explain", umlaut, SERVER), 1, "tr\u00e4ce.pcap")


def as_ipv6(octets):
    """The same pcap, its IPv4 addresses replaced by long IPv6 ones."""
    out, at, first = bytearray(octets[:24]), 24, None
    ends = [bytes.fromhex("20010db812345678") + bytes([end]) * 8 for end in (0xaa, 0xbb)]
    while at < len(octets):
        seconds, fraction, size = struct.unpack_from("<III", octets, at)
        frame = octets[at + 16:at + 16 + size]
        at += 16 + size
        tcp = frame[34:14 + struct.unpack_from("!H", frame, 16)[0]]
        first = first or frame[26:30]
        source, destination = ends if frame[26:30] == first else reversed(ends)
        frame = frame[:12] + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + source + destination + tcp
        out += struct.pack("<IIII", seconds, fraction, len(frame), len(frame)) + frame
    return bytes(out)


def columns(command, folder):
    long = folder / ("long-" * 40)
    long.write_bytes(as_ipv6(CLIENT.read_bytes()))
    healthy = folder / "healthy6.pcap"
    healthy.write_bytes(as_ipv6(HEALTHY.read_bytes()))
    runs = [command.run("explain", "-v", long, SERVER), command.run("explain", healthy), command.run("explain", "--help"),
            command.run("--help"), command.run("explain", "--code", "0xC0000022"), command.run("explain", "--code", "M01")]
    runs += [command.run("explain", "-v", path) for path in sorted(EXAMPLES.glob("*.pcap"))]
    for run in runs:
        for line in run.stdout.decode().splitlines():
            if len(line) > COLUMNS:
                yield f"{run.args[1:]}: {len(line)} columns: {line}"


def ladders(command, folder):
    """Nothing is drawn that is not in the capture."""
    for path in sorted(EXAMPLES.glob("*.pcap")):
        # Without the VALIDATE exchange a healthy connection is an exposure, whose ladder is drawn.
        octets = path.read_bytes().replace(bytes.fromhex("04021400"), bytes.fromhex("ffff1400"))
        (folder / path.name).write_bytes(octets)
        for line in command.run("explain", folder / path.name).stdout.decode().splitlines():
            if re.match(r" +0  (client ->| +<- server)", line):
                yield f"{path.name}: a message of packet 0: {line}"


def on_terminal(command, *arguments, **environment):
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update(environment)
        os.execv(command.path, [command.path, *map(str, arguments)])
    text = b""
    try:
        while more := os.read(terminal, 65536):
            text += more
    except OSError:
        pass  # the terminal's other end is closed
    os.waitpid(child, 0)
    os.close(terminal)
    return b"\x1b[" in text


def colour(command, _):
    for expected, seen, name in (
            (True, on_terminal(command, "explain", CLIENT), "a terminal"),
            (False, on_terminal(command, "explain", CLIENT, NO_COLOR="1"), "NO_COLOR"),
            (True, on_terminal(command, "explain", CLIENT, NO_COLOR=""), "an empty NO_COLOR"),
            (True, on_terminal(command, "explain", "--color=always", CLIENT, NO_COLOR="1"), "--color=always"),
            (False, on_terminal(command, "explain", "--json", CLIENT), "--json"),
            (False, b"\x1b[" in command.run("explain", CLIENT).stdout, "a pipe"),
            (True, b"\x1b[" in command.run("explain", "--color=always", CLIENT).stdout, "--color=always, a pipe")):
        if seen != expected:
            yield f"{name}: colour {seen}, not {expected}"


def interrupted(command, _):
    """A pipe that says nothing more: Ctrl-C ends the reading at once, and what was read is told."""
    process = subprocess.Popen([command.path, "explain", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    process.stdin.write(CLIENT.read_bytes())
    process.stdin.flush()
    begin = time.monotonic()
    while Path(f"/proc/{process.pid}/wchan").read_text() not in ("pipe_read", "anon_pipe_read"):
        if time.monotonic() - begin > 2:  # no permission to see it
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    try:
        output, messages = process.stdout.read(), process.stderr.read()
        if process.wait(timeout=20) != 1 or b"M01" not in output or b"interrupted" not in messages:
            yield f"exit status {process.returncode}: {output[:100]} {messages}"
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def from_a_pipe(command, _):
    run = command.run("explain", "-", stdin=None, input=CLIENT.read_bytes())
    yield from expect(run, 1, "M01")
    run = command.run("explain", CLIENT, "-", stdin=None, input=SERVER.read_bytes())
    yield from expect(run, 1, "certain")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smbproof", required=True)
    command = Command(parser.parse_args().smbproof)
    tap = Tap()
    for test in (exit_statuses, event_trace, captures_cut_short, full_disk, hostile_names, columns, ladders, colour,
                 interrupted, from_a_pipe):
        with tempfile.TemporaryDirectory() as folder:
            tap.result(test.__name__.replace("_", " "), test(command, Path(folder)))
    return tap.done()


sys.exit(main())
