"""WRITEs that are neither signed nor encrypted, whose data the server leaves in the socket until it knows where they go: what
comes of them in pieces, refused, cut short, on a full disk. Prints what differs.

usage: late_writes.py PORT SHARE      (SHARE: the folder that the server serves, on a disk of 4 MiB; takes impacket)
"""
import os
import struct
import sys
import time
from pathlib import Path

from impacket.smbconnection import SMBConnection

PORT, SHARE = int(sys.argv[1]), Path(sys.argv[2])
SUCCESS = 0
INVALID_PARAMETER, ACCESS_DENIED = 0xC000000D, 0xC0000022
DISK_FULL, CLOSED = 0xC000007F, 0xC0000128
WRITE_THROUGH = 1
SIZE = 300000
CREDIT_OCTETS = 65536
PAUSE_SECONDS = 0.2


class Client:
    def __init__(self):
        self.connection = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=PORT)
        self.connection.login("ada", "secret")
        self.tree = self.connection.connectTree("data")
        self.server = self.connection.getSMBServer()
        self.socket = self.server._NetBIOSSession.get_socket()
        for _ in range(8):  # for credits
            self.server.echo()

    def open(self, name, access=0x12019F):
        return self.server.create(self.tree, name, access, 7, 0x40, 3, 0)

    def frame(self, file, offset, data, at=112, flags=0, length=None):
        window = self.server._Connection
        message_id, charge = window["SequenceWindow"], (len(data) - 1) // CREDIT_OCTETS + 1
        window["SequenceWindow"] += charge
        session = self.server._Session["SessionID"]
        header = struct.pack("<4sHHIHHIIQIIQ16x", b"\xfeSMB", 64, charge, 0, 9, 64, 0, 0, message_id, 0xFEFF, self.tree, session)
        length = len(data) if length is None else length
        body = struct.pack("<HHIQ16sIIHHI", 49, at, length, offset, file, 0, 0, 0, 0, flags)
        content = header + body + b"-" * (at - 112) + data
        return struct.pack(">I", len(content)) + content

    def receive(self, size):
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                raise EOFError("the server closed")
            got += piece
        return got

    def answer(self):
        """The status of a response and, of a WRITE, its count."""
        content = self.receive(struct.unpack(">I", self.receive(4))[0])
        status = struct.unpack_from("<I", content, 8)[0]
        return status, struct.unpack_from("<I", content, 68)[0] if status == SUCCESS else 0

    def write(self, *arguments, **options):
        self.socket.sendall(self.frame(*arguments, **options))
        return self.answer()


def expect(what, found, wanted):
    if found != wanted:
        print(what, found, "should be", wanted)


def content(name):
    return (SHARE / name).read_bytes()


def whole(client, name):
    file, data = client.open(name), os.urandom(SIZE)
    expect("at once", client.write(file, 0, data), (SUCCESS, SIZE))
    expect("at once: written", content(name) == data, True)
    expect("at once, with a gap in front of its data", client.write(file, 5, data, at=120), (SUCCESS, SIZE))
    expect("with a gap: written", content(name) == data[:5] + data, True)
    expect("through to the disk", client.write(file, 0, data, flags=WRITE_THROUGH), (SUCCESS, SIZE))
    expect("through: written", content(name) == data + data[-5:], True)
    client.socket.sendall(client.frame(file, 0, data) + client.frame(file, SIZE, data))
    expect("two at once", [client.answer(), client.answer()], [(SUCCESS, SIZE)] * 2)
    expect("two at once: written", content(name) == data * 2, True)
    client.server.close(client.tree, file)


def pieces(client, name):
    file, data = client.open(name), os.urandom(SIZE)
    frame = client.frame(file, 0, data)
    for at in (0, 3, 50, 116, 1000, SIZE // 2):
        client.socket.sendall(frame[at : {0: 3, 3: 50, 50: 116, 116: 1000, 1000: SIZE // 2}.get(at, SIZE * 2)])
        if at == 1000:
            time.sleep(PAUSE_SECONDS)
            expect("half of it is there: nothing is written", content(name), b"")
    expect("in pieces", client.answer(), (SUCCESS, SIZE))
    expect("in pieces: written", content(name) == data, True)
    frame = client.frame(file, 0, data[::-1])
    for at in range(0, len(frame), 300):
        client.socket.sendall(frame[at : at + 300])
    expect("in many pieces", client.answer(), (SUCCESS, SIZE))
    expect("in many pieces: written", content(name) == data[::-1], True)
    client.server.close(client.tree, file)


def refused(client, name):
    file, data = client.open(name), os.urandom(SIZE)
    readable, other = client.open(name, 0x120089), Client()
    expect("no right to write", client.write(readable, 0, data), (ACCESS_DENIED, 0))
    expect("no such file", client.write(b"\1" * 16, 0, data), (CLOSED, 0))
    expect("longer than it is", client.write(file, 0, data, length=SIZE + 1), (INVALID_PARAMETER, 0))
    expect("beyond all files", client.write(file, 1 << 63, data), (INVALID_PARAMETER, 0))
    expect("refused: nothing is written", content(name), b"")
    expect("after all that", client.write(file, 0, data), (SUCCESS, SIZE))
    expect("after all that: written", content(name) == data, True)
    frame = other.frame(other.open(name), 0, bytes(SIZE))
    other.socket.sendall(frame[: SIZE // 2])
    time.sleep(PAUSE_SECONDS)
    other.socket.close()
    expect("gone in the middle: nothing is written", content(name) == data, True)


def full(client, name):
    file, done = client.open(name), 0
    for _ in range(40):
        status, count = client.write(file, done, b"x" * SIZE)
        done += count
        if status != SUCCESS:
            break
    expect("on a full disk", status, DISK_FULL)
    expect("on a full disk: what fits is written", content(name) == b"x" * done, True)
    expect("on a full disk again", client.write(file, done, b"x" * SIZE), (DISK_FULL, 0))
    expect("over what is there", client.write(file, 0, b"y" * SIZE), (SUCCESS, SIZE))
    expect("over what is there: written", content(name) == b"y" * SIZE + b"x" * (done - SIZE), True)


def main():
    client = Client()
    whole(client, "whole")
    pieces(client, "pieces")
    refused(client, "refused")
    full(client, "full")


main()
