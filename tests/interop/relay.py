"""A box on the path: passes SMB over TCP on, and changes what `alter` changes.

    with Relay(samba.port, ALTERATIONS["request-capabilities"]) as relay:
        run(f"smb://root@127.0.0.1:{relay.port}/data")

alter(from_client, message) gets each message that is not encrypted, as a bytearray from its protocol id on, and returns
what goes on in its place. Only NEGOTIATE is of interest here, so only that is given to the functions of ALTERATIONS.
"""
import socket
import struct
import threading

SMB2 = b"\xfeSMB"
NEGOTIATE = 0
# Offsets from the protocol id ([MS-SMB2] 2.2.3, 2.2.4).
REQUEST_COUNT, REQUEST_MODE, REQUEST_CAPABILITIES, REQUEST_GUID, REQUEST_DIALECTS = 66, 68, 72, 76, 100
RESPONSE_MODE, RESPONSE_DIALECT, RESPONSE_GUID, RESPONSE_CAPABILITIES, RESPONSE_MAX_READ = 66, 68, 72, 88, 96


def read_exactly(stream, size):
    octets = b""
    while len(octets) < size:
        more = stream.recv(size - len(octets))
        if not more:
            return None
        octets += more
    return octets


class Relay:
    def __init__(self, port, alter=None):
        self.to, self.alter = port, alter
        self.connections = self.altered = 0

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.to))
            for source, sink, from_client in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.pump, args=(source, sink, from_client), daemon=True).start()

    def pump(self, source, sink, from_client):
        try:
            while True:
                head = read_exactly(source, 4)
                body = head and read_exactly(source, int.from_bytes(head, "big"))
                if body is None:
                    break
                body = self.change(from_client, body)
                sink.sendall(len(body).to_bytes(4, "big") + body)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def change(self, from_client, body):
        is_negotiate = len(body) >= 100 and body[:4] == SMB2 and struct.unpack_from("<H", body, 12)[0] == NEGOTIATE
        if self.alter is None or not is_negotiate:
            return body
        changed = bytes(self.alter(from_client, bytearray(body)) or body)
        self.altered += changed != body
        return changed


def number(from_client, offset, width, change):
    """-> an alteration of one number of the request (from_client) or of the response."""

    def alter(is_request, message):
        if is_request != from_client:
            return None
        value = int.from_bytes(message[offset : offset + width], "little")
        message[offset : offset + width] = change(value).to_bytes(width, "little")
        return message

    return alter


def octets(from_client, offset, size, change):
    def alter(is_request, message):
        if is_request != from_client:
            return None
        message[offset : offset + size] = change(bytes(message[offset : offset + size]))
        return message

    return alter


def without_dialects(dropped):
    """Takes dialects out of the request, as long as one is left; what follows moves up and is padded."""

    def alter(is_request, message):
        if not is_request:
            return None
        (count,) = struct.unpack_from("<H", message, REQUEST_COUNT)
        dialects = struct.unpack_from(f"<{count}H", message, REQUEST_DIALECTS)
        left = [dialect for dialect in dialects if dialect not in dropped]
        if not left or len(left) == count:
            return None
        struct.pack_into("<H", message, REQUEST_COUNT, len(left))
        struct.pack_into(f"<{count}H", message, REQUEST_DIALECTS, *left, *([0] * (count - len(left))))
        return message

    return alter


def other_cipher(is_request, message):
    """The request's list of ciphers begins with another one; only the hash of 3.1.1 protects that."""
    at = message.find(b"\x02\x00\x0a\x00\x00\x00\x00\x00\x04\x00")  # encryption context, ten octets, four ciphers
    if not is_request or at < 0:
        return None
    message[at + 10] ^= 1
    return message


ALTERATIONS = {
    "request-capabilities": number(True, REQUEST_CAPABILITIES, 4, lambda value: value & ~0x40),
    "request-capabilities-added": number(True, REQUEST_CAPABILITIES, 4, lambda value: value | 0x80),
    "request-security-mode": number(True, REQUEST_MODE, 2, lambda value: value ^ 2),
    "request-guid": octets(True, REQUEST_GUID, 16, lambda guid: bytes(octet ^ 0x5A for octet in guid)),
    "request-guid-zero": octets(True, REQUEST_GUID, 16, lambda guid: bytes(16)),
    "request-without-3.1.1": without_dialects({0x0311}),
    "request-without-3.x": without_dialects({0x0300, 0x0302, 0x0311}),
    "request-cipher": other_cipher,
    "response-capabilities": number(False, RESPONSE_CAPABILITIES, 4, lambda value: value & ~4),
    "response-security-mode": number(False, RESPONSE_MODE, 2, lambda value: value ^ 2),
    "response-guid": octets(False, RESPONSE_GUID, 16, lambda guid: bytes(octet ^ 0x5A for octet in guid)),
    "response-max-read": number(False, RESPONSE_MAX_READ, 4, lambda value: value // 2),
}
