"""An SMB server in this process, for anonymous sessions, that answers as a script says.

    def script(request):
        if request.command == READ and request.nth == 3:
            return Answer(pending=2, length=10)

    with ScriptedServer({"file": b"octets"}, script) as server:
        run(f"smb://127.0.0.1:{server.port}/data/file")
    server.files["file"], server.count[READ] ...

The script sees each request in the order in which they come, and says with an Answer what is not to be as usual; None
leaves it so. The files are in memory, in one folder, and know neither times nor attributes that matter.
"""
import collections
import dataclasses
import socket
import struct
import threading
import time

NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CREATE, CLOSE = range(7)
READ, WRITE, LOCK, IOCTL, CANCEL, ECHO, QUERY_DIRECTORY, NOTIFY, QUERY_INFO, SET_INFO = range(8, 18)

SUCCESS, PENDING, MORE_PROCESSING = 0, 0x103, 0xC0000016
END_OF_FILE, NO_SUCH_FILE, NOT_FOUND, COLLISION = 0xC0000011, 0xC000000F, 0xC0000034, 0xC0000035
FILE_CLOSED, INVALID_PARAMETER, EXPIRED, DISK_FULL = 0xC0000128, 0xC000000D, 0xC000035C, 0xC000007F

RESPONSE, ASYNC, RELATED = 1, 2, 4
SESSION_ID, TREE_ID, SESSION_IS_NULL = 0x5150, 7, 2
INHERITED = b"\xff" * 16
FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_DIRECTORY = 0x80, 0x10
SET_RENAME, SET_DISPOSITION, SET_END_OF_FILE = 10, 13, 20

NTLM_OID = bytes.fromhex("060a2b06010401823702020a")


@dataclasses.dataclass
class Answer:
    status: int = None  # in place of what would be
    pending: int = 0  # interim responses before it
    delay: float = 0  # seconds between them, and before the final one
    length: int = None  # octets that a READ brings, or a WRITE takes, at most
    credits: int = None  # granted
    silent: bool = False  # nothing is done any more, neither for this request nor for a later one
    close: bool = False  # the connection is closed instead
    leads_on: bool = False  # the last entry of a listing says that there is another one behind it


@dataclasses.dataclass
class Request:
    command: int
    nth: int  # 0: the first one of its command
    flags: int
    message_id: int
    charge: int
    tree_id: int
    body: bytes
    message: bytes
    expired_before: int


@dataclasses.dataclass
class File:
    name: str
    is_folder: bool = False
    delete: bool = False


def der(tag, *parts):
    content = b"".join(parts)
    length = bytes([len(content)]) if len(content) < 128 else b"\x82" + struct.pack(">H", len(content))
    return bytes([tag]) + length + content


def challenge():
    """NTLMSSP CHALLENGE in a negTokenResp; the target's name is empty, and so is its list."""
    flags = 0x628A8215
    token = b"NTLMSSP\0" + struct.pack("<IHHII8s8xHHIQ", 2, 0, 0, 56, flags, b"12345678", 4, 4, 56, 0x0F00000000000006)
    return der(0xA1, der(0x30, der(0xA0, b"\x0a\x01\x01"), der(0xA1, NTLM_OID), der(0xA2, der(4, token + bytes(4)))))


def accepted():
    return der(0xA1, der(0x30, der(0xA0, b"\x0a\x01\x00")))


def text(octets):
    return octets.decode("utf-16le")


class ScriptedServer:
    """credits: granted with each response. dialect: what it speaks. compound: are the answers to a chain in one frame?"""

    def __init__(self, files=None, script=None, credits=64, dialect=0x0311, max_size=1 << 20, multi_credit=True):
        self.files = {name: bytearray(octets) for name, octets in (files or {}).items()}
        self.folders = {""}
        self.script = script or (lambda request: None)
        self.credits, self.dialect, self.max_size, self.multi_credit = credits, dialect, max_size, multi_credit
        self.count = collections.Counter()
        self.times = collections.defaultdict(lambda: 0x1DA000000000000)  # of last writing
        self.logons = self.in_flight = self.most_in_flight = 0
        self.problems = []
        self.lock = threading.RLock()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()
        return self

    def __exit__(self, *_):
        for end in [self.listener, *self.sockets]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self.accepting.join()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(client)
            threading.Thread(target=Connection(self, client).run, daemon=True).start()


class Connection:
    def __init__(self, server, stream):
        self.server, self.stream = server, stream
        self.opens, self.next_open = {}, 1
        self.listed = set()
        self.granted, self.legs, self.silent = 1, 0, False

    # ---- frames ----

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.stream.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def run(self):
        try:
            while True:
                frame = self.receive(int.from_bytes(self.receive(4), "big"))
                self.take_frame(frame)
        except OSError:
            pass
        except Exception as problem:  # a request that cannot be: the test is to know
            self.server.problems.append(repr(problem))
            self.stream.close()

    def send(self, messages):
        data = b""
        for i, message in enumerate(messages):
            if i + 1 < len(messages):
                message += bytes(-len(message) % 8)
                message = message[:20] + struct.pack("<I", len(message)) + message[24:]
            data += message
        if data:
            self.stream.sendall(len(data).to_bytes(4, "big") + data)

    def take_frame(self, frame):
        answers, at, self.chain_id, self.chain_status = [], 0, INHERITED, SUCCESS
        while True:
            following = struct.unpack_from("<I", frame, at + 20)[0]
            message = frame[at : at + following if following else len(frame)]
            answers += self.take_message(message, is_alone=at == 0 and not following)
            if not following:
                break
            at += following
        self.send(answers)

    def take_message(self, message, is_alone):
        charge, command, flags = struct.unpack_from("<HxxxxHxxI", message, 6)
        message_id, tree_id = struct.unpack_from("<Q4xI", message, 24)
        request = Request(command, self.server.count[command], flags, message_id, charge, tree_id, message[64:],
                          message, self.legs)  # fmt: skip
        self.server.count[command] += 1
        if command == CANCEL:
            return []
        self.granted -= max(charge, 1)
        if self.granted < 0:
            self.server.problems.append(f"request {command} is sent without a credit")
        if not flags & RELATED:
            self.chain_status = SUCCESS
        answer = self.server.script(request) or Answer()
        if answer.close:
            raise ConnectionError
        self.silent |= answer.silent
        if self.silent:
            return []
        for _ in range(answer.pending):
            interim = self.response(request, PENDING, b"\x09" + bytes(8), 1 if _ == 0 else 0, flags=ASYNC)
            self.send([interim])
            time.sleep(answer.delay)
        if not answer.pending:
            time.sleep(answer.delay)
        status, body = self.answer(request, answer)
        if status != SUCCESS and command == CREATE:
            self.chain_status = status
        if status not in (SUCCESS, MORE_PROCESSING):
            body = b"\x09" + bytes(8)
        granted = answer.credits if answer.credits is not None else self.server.credits
        if answer.pending and answer.credits is None:
            granted -= 1
        final = self.response(request, status, body, granted, flags=ASYNC if answer.pending else 0)
        if answer.pending and not is_alone:
            self.send([final])
            return []
        return [final]

    def response(self, request, status, body, granted, flags=0):
        self.granted += granted
        session = 0 if request.command == NEGOTIATE else SESSION_ID
        where = struct.pack("<Q", 0x99) if flags & ASYNC else struct.pack("<II", 0, TREE_ID)
        return struct.pack("<4sHHIHHIIQ8sQ16x", b"\xfeSMB", 64, max(request.charge, 0), status, request.command,
                           granted, RESPONSE | flags | request.flags & RELATED, 0, request.message_id, where,
                           session) + body  # fmt: skip

    # ---- commands ----

    def answer(self, request, answer):
        if answer.status is not None:
            return answer.status, b""
        if request.flags & RELATED and self.chain_status != SUCCESS:
            return self.chain_status, b""
        handler = {
            NEGOTIATE: self.negotiate, SESSION_SETUP: self.session_setup, TREE_CONNECT: self.tree_connect,
            CREATE: self.create, CLOSE: self.close, READ: self.read, WRITE: self.write, SET_INFO: self.set_info,
            QUERY_INFO: self.query_info, QUERY_DIRECTORY: self.query_directory,
        }.get(request.command, lambda *_: (SUCCESS, struct.pack("<HH", 4, 0)))  # fmt: skip
        with self.server.lock:
            return handler(request.body, answer)

    def negotiate(self, body, answer):
        del answer
        server, context = self.server, b""
        if server.dialect == 0x0311:
            context = struct.pack("<HHIHHH32s", 1, 38, 0, 1, 32, 1, b"salt")
        return SUCCESS, struct.pack("<HHHH16sIIIIQQHHI", 65, 1, server.dialect, 1 if context else 0, b"scripted server!",
                                    4 if server.multi_credit else 0, server.max_size, server.max_size, server.max_size,
                                    0x1D0000000000000, 0, 128, 0, 128 if context else 0) + context  # fmt: skip

    def session_setup(self, body, answer):
        del body, answer
        self.legs += 1
        if self.legs % 2:
            token = challenge()
            return MORE_PROCESSING, struct.pack("<HHHH", 9, 0, 72, len(token)) + token
        self.server.logons += 1
        token = accepted()
        return SUCCESS, struct.pack("<HHHH", 9, SESSION_IS_NULL, 72, len(token)) + token

    def tree_connect(self, body, answer):
        del body, answer
        return SUCCESS, struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0x1F01FF)

    def times(self, name):
        return struct.pack("<QQQQ", 1, 1, self.server.times[name], self.server.times[name])

    def network_open(self, file):
        """Times, allocation, size, attributes: as CREATE and CLOSE have them."""
        size = len(self.server.files.get(file.name, b""))
        attributes = FILE_ATTRIBUTE_DIRECTORY if file.is_folder else FILE_ATTRIBUTE_NORMAL
        return self.times(file.name) + struct.pack("<QQI", size, size, attributes)

    def create(self, body, answer):
        del answer
        disposition, options, name_at, size = struct.unpack_from("<IIHH", body, 36)
        name = text(body[name_at - 64 : name_at - 64 + size])
        exists, is_folder = name in self.server.files, name in self.server.folders
        if not (exists or is_folder) and disposition in (1, 4):
            return NOT_FOUND, b""
        if (exists or is_folder) and disposition == 2:
            return COLLISION, b""
        if not exists and options & 1:
            self.server.folders.add(name)
            is_folder = True
        elif not is_folder and (not exists or disposition in (0, 4, 5)):
            self.server.files[name] = bytearray()
        self.chain_id = struct.pack("<QQ", self.next_open, self.next_open)
        self.next_open += 1
        self.opens[self.chain_id] = file = File(name, is_folder)
        return SUCCESS, struct.pack("<HBBI", 89, 0, 0, 1) + self.network_open(file) + bytes(4) + self.chain_id + bytes(8)

    def opened(self, body, at):
        file_id = body[at : at + 16]
        if file_id == INHERITED:
            file_id = self.chain_id
        return self.opens.get(bytes(file_id)), bytes(file_id)

    def close(self, body, answer):
        del answer
        file, file_id = self.opened(body, 8)
        if file is None:
            return FILE_CLOSED, b""
        del self.opens[file_id]
        self.listed.discard(file_id)
        said = self.network_open(file)
        if file.delete:
            self.server.files.pop(file.name, None)
            self.server.folders.discard(file.name)
        return SUCCESS, struct.pack("<HHI", 60, body[2], 0) + said

    def read(self, body, answer):
        length, offset = struct.unpack_from("<IQ", body, 4)
        file, _ = self.opened(body, 16)
        if file is None:
            return FILE_CLOSED, b""
        if length > self.server.max_size:
            return INVALID_PARAMETER, b""
        if answer.length is not None:
            length = min(length, answer.length)
        data = bytes(self.server.files[file.name][offset : offset + length])
        if not data:
            return END_OF_FILE, b""
        return SUCCESS, struct.pack("<HBBIII", 17, 80, 0, len(data), 0, 0) + data

    def write(self, body, answer):
        at, length, offset = struct.unpack_from("<HIQ", body, 2)
        file, _ = self.opened(body, 16)
        if file is None:
            return FILE_CLOSED, b""
        data = body[at - 64 : at - 64 + length]
        if answer.length is not None:
            data = data[: answer.length]
        content = self.server.files[file.name]
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
        return SUCCESS, struct.pack("<HHIIHH", 17, 0, len(data), 0, 0, 0)

    def set_info(self, body, answer):
        del answer
        kind, size, at = struct.unpack_from("<xBIH", body, 2)
        file, _ = self.opened(body, 16)
        buffer = body[at - 64 : at - 64 + size]
        if file is None:
            return FILE_CLOSED, b""
        if kind == SET_RENAME:
            (length,) = struct.unpack_from("<I", buffer, 16)
            name = text(buffer[20 : 20 + length])
            self.server.files[name] = self.server.files.pop(file.name)
            self.server.times[name] = self.server.times[file.name]
            file.name = name
        elif kind == SET_DISPOSITION:
            file.delete = buffer[0] != 0
        elif kind == SET_END_OF_FILE:
            (length,) = struct.unpack_from("<Q", buffer)
            content = self.server.files[file.name]
            del content[length:]
            content.extend(bytes(length - len(content)))
        else:
            (time_of_writing,) = struct.unpack_from("<Q", buffer, 16)
            self.server.times[file.name] = time_of_writing or self.server.times[file.name]
        return SUCCESS, struct.pack("<H", 2)

    def output(self, data):
        return SUCCESS, struct.pack("<HHI", 9, 72, len(data)) + data

    def query_info(self, body, answer):
        del answer
        file, _ = self.opened(body, 24)
        if file is None:
            return FILE_CLOSED, b""
        size = len(self.server.files.get(file.name, b""))
        attributes = FILE_ATTRIBUTE_DIRECTORY if file.is_folder else FILE_ATTRIBUTE_NORMAL
        return self.output(self.times(file.name) + struct.pack("<IIQQIBBHQ", attributes, 0, size, size, 1, 0,
                           file.is_folder, 0, 1) + bytes(28))  # fmt: skip

    def query_directory(self, body, answer):
        file, file_id = self.opened(body, 8)
        if file is None:
            return FILE_CLOSED, b""
        if file_id in self.listed:
            return 0x80000006, b""
        self.listed.add(file_id)
        entries = b""
        inside = {name: FILE_ATTRIBUTE_NORMAL for name in self.server.files}
        inside |= {name: FILE_ATTRIBUTE_DIRECTORY for name in self.server.folders if name}
        prefix = file.name + "\\" if file.name else ""
        inside = [(name[len(prefix):], name, kind) for name, kind in inside.items()
                  if name.startswith(prefix) and "\\" not in name[len(prefix):]]  # fmt: skip
        for i, (short, name, kind) in enumerate(inside):
            octets, size = short.encode("utf-16le"), len(self.server.files.get(name, b""))
            entry = bytes(8) + self.times(name) + struct.pack("<QQIIIBx24s2xQ", size, size, kind, len(octets),
                                0, 0, b"", i + 1) + octets  # fmt: skip
            if i + 1 < len(inside) or (answer is not None and answer.leads_on):
                entry += bytes(-len(entry) % 8)
                entry = struct.pack("<I", len(entry)) + entry[4:]
            entries += entry
        return self.output(entries) if entries else (NO_SUCH_FILE, b"")
