"""A relay on loopback that passes every frame on as it came, but for what it is told to change, by the field's names.

    with TamperRelay(port, ["negotiate.response.Capabilities&=~0x40"]) as relay:
        connect to 127.0.0.1:relay.port ...
    relay.applied  # how often each change found its frame
    relay.most     # connections that were open at the same time

A change is a message and what is done to it:

    negotiate.request.SecurityMode=1            a number field: =, |=, &=, ^=; a value with ~ is its complement
    negotiate.request.Dialects-=0x0300,0x0302   these leave the array, as long as one stays
    negotiate.request:cipher                    its list of ciphers begins with another one
    negotiate.request.ClientGuid^=1             a field of octets is a number, the first octet its lowest
    session_setup.response@66=0x01              an octet, by its offset from the protocol id
    validate.request:drop                       the frame is not passed on
    validate.response:status=0xc00000bb         an error response, unsigned; `garbage=` has a wrong signature in it
    session_setup.response:strip-signature      flag and field
    smb1.request:strip=SMB 2.???                the dialect's string becomes another
    tree_connect.response:reset                 the connection is closed in place of passing it on

Messages: smb1, negotiate (.wildcard_response is the one with dialect 0x02FF), session_setup (.final_response is the one
with STATUS_SUCCESS), logoff, tree_connect, validate, each .request or .response. Frames that are encrypted pass as they
came.
"""
import re
import socket
import struct
import threading

COMMANDS = {0: "negotiate", 1: "session_setup", 2: "logoff", 3: "tree_connect"}
VALIDATE = 0x00140204
IOCTL = 11
SIGNED = 8
RESPONSE = 1

# Name: (offset from the protocol id, octets). The header's are the same in every message.
HEADER = {
    "CreditCharge": (6, 2), "Status": (8, 4), "Command": (12, 2), "Credits": (14, 2), "HeaderFlags": (16, 4),
    "NextCommand": (20, 4), "MessageId": (24, 8), "TreeId": (36, 4), "SessionId": (40, 8), "Signature": (48, 16),
}  # fmt: skip
FIELDS = {
    "negotiate.request": {
        "DialectCount": (66, 2), "SecurityMode": (68, 2), "Reserved": (70, 2), "Capabilities": (72, 4),
        "ClientGuid": (76, 16), "NegotiateContextOffset": (92, 4), "NegotiateContextCount": (96, 2),
    },
    "negotiate.response": {
        "SecurityMode": (66, 2), "DialectRevision": (68, 2), "NegotiateContextCount": (70, 2), "ServerGuid": (72, 16),
        "Capabilities": (88, 4), "MaxTransactSize": (92, 4), "MaxReadSize": (96, 4), "MaxWriteSize": (100, 4),
        "SystemTime": (104, 8), "ServerStartTime": (112, 8), "NegotiateContextOffset": (124, 4),
    },
    "session_setup.request": {
        "Flags": (66, 1), "SecurityMode": (67, 1), "Capabilities": (68, 4), "PreviousSessionId": (80, 8),
    },
    "session_setup.response": {"SessionFlags": (66, 2)},
    "tree_connect.response": {"ShareType": (66, 1), "ShareFlags": (68, 4), "MaximalAccess": (76, 4)},
    "validate.request": {
        "Capabilities": (120, 4), "Guid": (124, 16), "SecurityMode": (140, 2), "DialectCount": (142, 2),
    },
    "validate.response": {"Capabilities": (112, 4), "Guid": (116, 16), "SecurityMode": (132, 2), "Dialect": (134, 2)},
}  # fmt: skip
DIALECTS_AT = {"negotiate.request": (66, 100), "validate.request": (142, 144)}

CHANGE = re.compile(
    r"^(\w+)\.(request|response|final_response|wildcard_response)"
    r"(?:\.(\w+)(=|\|=|&=|\^=|-=)(.+)|@(\d+)=(.+)|:([\w-]+)(?:=(.+))?)$"
)


def number(text):
    return ~int(text[1:], 0) if text.startswith("~") else int(text, 0)


class Change:
    """One change, from its text."""

    def __init__(self, text):
        match = CHANGE.match(text)
        if not match:
            raise ValueError(f"not a change: {text}")
        self.text = text
        self.only = {"final_response": lambda message: status_of(message) == 0,
                     "wildcard_response": lambda message: message[68:70] == b"\xff\x02"}.get(match[2])  # fmt: skip
        self.message = f"{match[1]}.{'response' if self.only else match[2]}"
        self.field, self.operator, self.value = match[3], match[4], match[5]
        if match[6]:
            self.field, self.operator, self.value = int(match[6]), "=", match[7]
        self.verb, self.argument = match[8], match[9]

    def place(self):
        if isinstance(self.field, int):
            return self.field, 1
        return HEADER.get(self.field) or FIELDS[self.message][self.field]

    def fits(self, name, message):
        return name == self.message and (self.only is None or self.only(message))

    def apply(self, message):
        """The message as it goes on; None: it does not."""
        if self.verb:
            return getattr(self, self.verb.replace("-", "_"))(message)
        if self.operator == "-=":
            return self.remove_dialects(message)
        at, width = self.place()
        old, value = int.from_bytes(message[at : at + width], "little"), number(self.value)
        new = {"=": value, "|=": old | value, "&=": old & value, "^=": old ^ value}[self.operator]
        message[at : at + width] = (new & (1 << 8 * width) - 1).to_bytes(width, "little")
        return message

    def remove_dialects(self, message):
        count_at, at = DIALECTS_AT[self.message]
        gone = [number(value) for value in self.value.split(",")]
        count = struct.unpack_from("<H", message, count_at)[0]
        kept = [dialect for dialect in struct.unpack_from(f"<{count}H", message, at) if dialect not in gone]
        if kept:
            struct.pack_into("<H", message, count_at, len(kept))
            struct.pack_into(f"<{count}H", message, at, *kept, *[0] * (count - len(kept)))
        return message

    def cipher(self, message):
        at = message.find(b"\x02\x00\x0a\x00\x00\x00\x00\x00\x04\x00")  # the context, ten octets, four ciphers
        if at >= 0:
            message[at + 10] ^= 1
        return message

    def drop(self, message):
        return None

    def reset(self, message):
        raise ConnectionResetError(self.text)

    def strip_signature(self, message):
        flags = struct.unpack_from("<I", message, 16)[0]
        struct.pack_into("<I16s", message, 16, flags & ~SIGNED, message[20:36])
        message[48:64] = bytes(16)
        return message

    def status(self, message):
        message = self.strip_signature(message[:64] + b"\x09" + bytes(8))
        struct.pack_into("<I", message, 8, number(self.argument))
        return message

    def garbage(self, message):
        message = self.status(message)
        message[16] |= SIGNED
        message[48:64] = b"\x5a" * 16
        return message

    def strip(self, message):
        name = self.argument.encode()
        at = message.find(name)
        if at < 0:
            raise ValueError(f"{self.argument} is not offered")
        message[at : at + len(name)] = b"9" * len(name)
        return message


def status_of(message):
    return struct.unpack_from("<I", message, 8)[0]


class Connection:
    """Two sockets, and the changes between them."""

    def __init__(self, relay, client):
        self.relay = relay
        self.sockets = {"request": client, "response": socket.create_connection(("127.0.0.1", relay.to_port))}
        self.validations = set()

    def name_of(self, message, direction):
        if message[:4] == b"\xffSMB":
            return f"smb1.{direction}"
        if message[:4] != b"\xfeSMB" or len(message) < 64:
            return ""
        command, message_id = struct.unpack_from("<H", message, 12)[0], message[24:32]
        if command == IOCTL and direction == "request" and struct.unpack_from("<I", message, 68)[0] == VALIDATE:
            self.validations.add(bytes(message_id))
        if command == IOCTL and bytes(message_id) in self.validations:
            return f"validate.{direction}"
        return f"{COMMANDS.get(command, 'other')}.{direction}"

    def changed(self, message, direction):
        name = self.name_of(message, direction)
        for change in self.relay.changes:
            if message is not None and change.fits(name, message):
                before = bytes(message)
                self.relay.applied[change.text] += change.verb is not None  # also one that ends the connection
                message = change.apply(message)
                self.relay.applied[change.text] += change.verb is None and message != before
        return message

    def receive(self, source, size):
        data = bytearray()
        while len(data) < size:
            part = source.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def pump(self, direction):
        source = self.sockets[direction]
        target = self.sockets["response" if direction == "request" else "request"]
        try:
            while True:
                header = self.receive(source, 4)
                message = self.receive(source, int.from_bytes(header[1:], "big"))
                if header[0] == 0:
                    message = self.changed(message, direction)
                if message is not None:
                    target.sendall(bytes([header[0]]) + len(message).to_bytes(3, "big") + message)
        except OSError:
            pass
        finally:
            self.close()

    def close(self):
        for end in self.sockets.values():
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self):
        other = threading.Thread(target=self.pump, args=("response",), daemon=True)
        self.relay.count(1)
        other.start()
        self.pump("request")
        other.join()
        for end in self.sockets.values():
            end.close()
        self.relay.count(-1)


class TamperRelay:
    """Listens on loopback, and passes each connection on to `to_port` there."""

    def __init__(self, to_port, changes=()):
        self.to_port = to_port
        self.changes = [Change(text) for text in changes]
        self.applied = {change.text: 0 for change in self.changes}
        self.lock, self.open, self.most = threading.Lock(), 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def count(self, change):
        with self.lock:
            self.open += change
            self.most = max(self.most, self.open)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=Connection(self, client).run, daemon=True).start()
