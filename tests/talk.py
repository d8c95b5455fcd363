"""Builds small captures of SMB conversations, packet by packet, for tests of what `smbproof explain` says of them.

A Talk is one TCP connection as one observer saw it. Its methods add what the two ends say, in the order of the calls,
and return the Talk, so that a conversation reads as a chain: Talk().opened().validate(answered=False).rst("server").
What is left out of a call is as in a healthy conversation. Packets that a test may want to name have marks.

Layouts are those of [MS-SMB2] 2.2; every number is little-endian but for TCP/IP's and the frame's length.
"""
import ipaddress
import struct

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
NEGOTIATE, SESSION_SETUP, LOGOFF, TREE_CONNECT, TREE_DISCONNECT, CLOSE, IOCTL = 0, 1, 2, 3, 4, 6, 11
VALIDATE_NEGOTIATE_INFO = 0x00140204
SIGNED = 0x08
SMB3 = (0x0202, 0x0210, 0x0300, 0x0302)
SMB311 = SMB3 + (0x0311,)
STATUS_PENDING = 0x00000103
STATUS_INVALID_PARAMETER = 0xC000000D
STATUS_INVALID_DEVICE_REQUEST = 0xC0000010
STATUS_MORE_PROCESSING_REQUIRED = 0xC0000016
STATUS_ACCESS_DENIED = 0xC0000022
STATUS_LOGON_FAILURE = 0xC000006D
STATUS_NOT_SUPPORTED = 0xC00000BB
STATUS_NETWORK_NAME_DELETED = 0xC00000C9
STATUS_BAD_NETWORK_NAME = 0xC00000CC
STATUS_FILE_CLOSED = 0xC0000128
STATUS_USER_SESSION_DELETED = 0xC0000203
STATUS_NETWORK_SESSION_EXPIRED = 0xC000035C
STATUS_NO_HASH_OVERLAP = 0xC05D0000
ONES = b"\xff" * 16
SAMBA, WINDOWS_10 = bytes((6, 1, 0, 0, 0, 0, 0, 15)), bytes((10, 0, 0x63, 0x45, 0, 0, 0, 15))
WAY_S = 0.01  # what a packet needs from end to end


class Packet:
    """One packet of a capture; it gets its number when the capture is written."""

    def __init__(self, time, data, size):
        self.time, self.data, self.size, self.number = time, data, size, 0


def ntlm(kind, user="alice", version=SAMBA, response_size=200):
    """[MS-NLMP] 2.2.1, as far as anybody here reads it."""
    head = b"NTLMSSP\0" + struct.pack("<I", kind)
    if kind == 1:
        return head + struct.pack("<I", 0x02000000) + bytes(16) + version
    if kind == 2:
        return head + bytes(8) + struct.pack("<I", 0x02000000) + bytes(24) + SAMBA
    name = user.encode("utf-16le")
    response = bytes(response_size) if user else b""
    lengths = [0, len(response), 0, len(name), 0, 0]
    return (
        head
        + b"".join(struct.pack("<HHI", length, length, 88) for length in lengths)
        + struct.pack("<I", 0x02000000)
        + version
        + bytes(16)
        + name
        + response
    )


def context(kind, data):
    """2.2.3.1, without the padding that leads to the next one."""
    return struct.pack("<HHI", kind, len(data), 0) + data


def chained(contexts):
    """A list of them: each but the last is padded to a multiple of 8 octets."""
    return b"".join(data + bytes(-len(data) % 8) for data in contexts[:-1]) + b"".join(contexts[-1:])


def contexts_311(ciphers=(2, 1), hashes=(1,), salt=b"\x5a" * 32):
    preauth = struct.pack("<HH", len(hashes), len(salt)) + b"".join(struct.pack("<H", h) for h in hashes) + salt
    encryption = struct.pack("<H", len(ciphers)) + b"".join(struct.pack("<H", cipher) for cipher in ciphers)
    return [context(1, preauth), context(2, encryption)]


class Talk:
    """`at`: where it is captured, as TTLs and waits show it: "client", "server" or None, which cannot be told."""

    def __init__(
        self,
        at=None,
        client="192.0.2.10",
        server="198.51.100.20",
        client_port=50000,
        server_port=445,
        start=0.0,
        guid=b"\x11" * 16,
        server_guid=b"\x22" * 16,
        system=SAMBA,
    ):
        self.at = at
        self.address = {"client": client, "server": server}
        self.port = {"client": client_port, "server": server_port}
        self.ttl = {"client": 61 if at == "server" else 64, "server": 61 if at == "client" else 64}
        self.sequence = {"client": 1000, "server": 5000}
        self.ip_id = {"client": 100, "server": 7000}
        self.time = start
        self.guid, self.server_guid, self.system = guid, server_guid, system
        self.packets, self.marks, self.last = [], {}, {}
        self.message_id, self.session_id, self.tree_id, self.sessions = 0, 0, 0, 0
        self.offer, self.dialect, self.mode, self.server_mode = (), 0, 1, 1
        self.capabilities, self.server_capabilities = 0x7F, 0x07

    # --- TCP ---

    def other(self, side):
        return "server" if side == "client" else "client"

    def wait(self, seconds):
        self.time += seconds
        return self

    def segment(
        self, side, payload=b"", flags=ACK, mark=None, ttl=None, options=b"", sequence=None, snap=None, lost=False
    ):
        """One segment, WAY_S after the former. `sequence`: another one than the next; `lost`: not in the capture."""
        other = self.other(side)
        self.time += WAY_S
        self.ip_id[side] += 1
        first = self.sequence[side] if sequence is None else sequence
        options += bytes(-len(options) % 4)
        tcp = struct.pack(
            ">HHIIBBHHH",
            self.port[side],
            self.port[other],
            first,
            self.sequence[other] if flags & ACK else 0,
            (20 + len(options)) // 4 << 4,
            flags,
            8192,
            0,
            0,
        )
        size = 20 + len(tcp) + len(options) + len(payload)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, size, self.ip_id[side], 0x4000, ttl or self.ttl[side], 6, 0)
        ends = b"".join(ipaddress.ip_address(self.address[end]).packed for end in (side, other))
        mac = {"client": b"\x02\0\0\0\0\x0a", "server": b"\x02\0\0\0\0\x14"}
        frame = mac[other] + mac[side] + b"\x08\x00" + ip + ends + tcp + options + payload
        packet = Packet(self.time, frame[:snap] if snap else frame, len(frame))
        self.last[side] = payload, first, flags
        if sequence is None:
            self.sequence[side] += len(payload) + bool(flags & (SYN | FIN))
        if not lost:
            self.packets.append(packet)
            if mark:
                self.marks[mark] = packet
        return self

    def again(self, side, times=1, every=1.0):
        """Retransmissions of what that side sent last."""
        payload, first, flags = self.last[side]
        for _ in range(times):
            self.wait(every).segment(side, payload, flags, sequence=first)
        return self

    # --- what the capture lacks, or has too much ---

    def forget(self):
        """The capture begins here."""
        self.packets.clear()
        return self

    def only(self, side):
        """The capture has one direction."""
        port = struct.pack(">H", self.port[side])
        self.packets = [packet for packet in self.packets if packet.data[34:36] == port]
        return self

    def doubled(self):
        """A mirror port's copies."""
        self.packets += [Packet(packet.time + 1e-5, packet.data, packet.size) for packet in self.packets]
        return self

    # --- TCP, the ends ---

    def ack(self, side):
        return self.segment(side)

    def handshake(self, options=b""):
        """What the other end needs a round trip for, the near one does at once."""
        self.segment("client", flags=SYN, mark="SYN", options=options)
        self.time += WAY_S if self.at == "client" else -WAY_S * 0.9 if self.at == "server" else 0
        self.segment("server", flags=SYN | ACK, mark="SYN|ACK", options=options)
        self.time += WAY_S if self.at == "server" else -WAY_S * 0.9 if self.at == "client" else 0
        return self.ack("client")

    def fin(self, side, mark="close", **changes):
        self.segment(side, flags=FIN | ACK, mark=mark, **changes)
        self.segment(self.other(side), flags=FIN | ACK)
        return self.ack(side)

    def rst(self, side, mark="close", **changes):
        return self.segment(side, flags=RST | ACK, mark=mark, **changes)

    # --- messages ---

    def put(self, side, message, mark=None, **changes):
        return self.segment(side, struct.pack(">I", len(message)) + message, mark=mark, **changes)

    def header(self, command, response=False, status=0, signed=False, signature=None, message_id=None, session=None):
        flags = (1 if response else 0) | (SIGNED if signed else 0)
        number = self.message_id if message_id is None else message_id
        if signature is None:
            signature = (b"\xb1" if response else b"\xa1") * 15 + bytes((number & 0xFF,)) if signed else bytes(16)
        return (
            b"\xfeSMB"
            + struct.pack("<HHIHHIIQ", 64, 1, status, command, 1, flags, 0, number)
            + struct.pack("<IIQ", 0xFEFF, self.tree_id, self.session_id if session is None else session)
            + signature
        )

    def error(self, command, status, mark=None, signed=False, **changes):
        head = self.header(command, True, status, signed, **changes)
        return self.put("server", head + struct.pack("<HBBI", 9, 0, 0, 0) + b"\0", mark)

    def negotiate_request(self, offer, mode, capabilities, guid, contexts, padding=b"", count=None):
        body = struct.pack("<HHHHI", 36, len(offer) if count is None else count, mode, 0, capabilities) + guid
        dialects = b"".join(struct.pack("<H", dialect) for dialect in offer)
        if not contexts:
            return body + bytes(8) + dialects
        offset = 64 + 36 + len(dialects)
        gap = -offset % 8
        body += struct.pack("<IHH", offset + gap, len(contexts), 0) + dialects + bytes(gap)
        return body + chained(contexts) + padding

    def negotiate_response(self, dialect, mode, capabilities, guid, contexts):
        offset = 128 if contexts else 0
        return (
            struct.pack("<HHHH", 65, mode, dialect, len(contexts))
            + guid
            + struct.pack("<IIIIQQHHI", capabilities, 65536, 65536, 65536, 0x01DA00000000, 0, 128, 0, offset)
            + chained(contexts)
        )

    def negotiate(
        self,
        offer=SMB3,
        dialect=0x0302,
        answered=True,
        status=0,
        arrived=None,
        chosen=None,
        contexts=None,
        answer_contexts=None,
        mode=1,
        server_mode=1,
        padding=b"",
        mark="NEGOTIATE",
        **changes,
    ):
        """`arrived`: fields of the request that this place shows otherwise than the client sent them; `chosen` the same
        of the response. The Talk remembers what the ends themselves hold true."""
        self.offer, self.dialect, self.mode, self.server_mode = offer, dialect, mode, server_mode
        if contexts is None:
            contexts = contexts_311() if 0x0311 in offer else []
        if answer_contexts is None:
            answer_contexts = contexts_311(ciphers=(2,), salt=b"\xa5" * 32) if dialect == 0x0311 else []
        request = {"offer": offer, "mode": mode, "capabilities": self.capabilities, "guid": self.guid}
        request.update(contexts=contexts, padding=padding)
        request.update(arrived or {})
        response = {"dialect": dialect, "mode": server_mode, "capabilities": self.server_capabilities}
        response.update(guid=self.server_guid, contexts=answer_contexts)
        response.update(chosen or {})
        head = self.header(NEGOTIATE, session=0)
        self.put("client", head + self.negotiate_request(**request), f"{mark} request", **changes)
        if not answered:
            return self
        if status:
            return self.error(NEGOTIATE, status, f"{mark} response", session=0).next()
        head = self.header(NEGOTIATE, True, session=0)
        return self.put("server", head + self.negotiate_response(**response), f"{mark} response").next()

    def next(self):
        self.message_id += 1
        return self

    def smb1_negotiate(self, dialects=("NT LM 0.12",), index=None, mark="SMB1 NEGOTIATE"):
        strings = b"".join(b"\x02" + dialect.encode() + b"\0" for dialect in dialects)
        head = b"\xffSMBr" + bytes(4) + b"\x18" + struct.pack("<H", 0xC853) + bytes(12) + b"\xff\xff\xfe\xff" + bytes(4)
        self.put("client", head + b"\0" + struct.pack("<H", len(strings)) + strings, f"{mark} request")
        if index is not None:
            head = head[:9] + b"\x98" + head[10:]
            self.put("server", head + b"\x01" + struct.pack("<HH", index, 0), f"{mark} response")
        return self

    def smb1_answered(self, dialect):
        """An SMB2 answer to the multi-protocol NEGOTIATE."""
        self.dialect = dialect
        body = self.negotiate_response(dialect, 1, 7, self.server_guid, [])
        return self.put("server", self.header(NEGOTIATE, True, session=0) + body, "NEGOTIATE response").next()

    def session_setup(self, token, session, signed=False, binding=False):
        head = self.header(SESSION_SETUP, session=session, signed=signed)
        return head + struct.pack("<HBBIIHHQ", 25, binding, 1, 0, 0, 88, len(token), 0) + token

    def session_answer(self, status, flags, token, signed, session):
        head = self.header(SESSION_SETUP, True, status, signed, session=session)
        return head + struct.pack("<HHHH", 9, flags, 72, len(token)) + token

    def logon(
        self, status=0, flags=0, signed=True, user="alice", answered=True, binding=False, response_size=200,
        mark="SESSION_SETUP",
    ):
        """Two rounds of NTLM. `flags`: 1 guest, 2 anonymous, 4 encrypt."""
        self.sessions += 1
        session = 0x400000 + self.sessions if not binding else 0x400099
        first = ntlm(1, version=self.system)
        last = ntlm(3, user, self.system, response_size)
        self.put("client", self.session_setup(first, session if binding else 0, binding, binding))
        self.put("server", self.session_answer(STATUS_MORE_PROCESSING_REQUIRED, 0, ntlm(2), False, session)).next()
        self.put("client", self.session_setup(last, session, binding, binding), f"{mark} request")
        if not answered:
            return self
        if status:
            return self.error(SESSION_SETUP, status, f"{mark} response", session=session).next()
        self.put("server", self.session_answer(0, flags, b"\xa1\x07", signed, session), f"{mark} response").next()
        self.session_id = session
        return self

    def tree(
        self, status=0, signed=True, answer_signed=None, answered=True, share_flags=0, path="\\\\server\\data",
        mark="TREE_CONNECT",
    ):
        name = path.encode("utf-16le")
        self.tree_id = 0
        self.put(
            "client",
            self.header(TREE_CONNECT, signed=signed) + struct.pack("<HHHH", 9, 0, 72, len(name)) + name,
            f"{mark} request",
        )
        if not answered:
            return self
        answer_signed = signed if answer_signed is None else answer_signed
        if status:
            return self.error(TREE_CONNECT, status, f"{mark} response", answer_signed).next()
        self.tree_id = 1
        answer = self.header(TREE_CONNECT, True, 0, answer_signed)
        answer += struct.pack("<HBBIII", 16, 1, 0, share_flags, 0, 0x1F01FF)
        return self.put("server", answer, f"{mark} response").next()

    def opened(self, logon=None, tree=None, **negotiate):
        """Up to a share: handshake, NEGOTIATE, logon, TREE_CONNECT. The first two take keywords for their steps."""
        return self.handshake().negotiate(**negotiate).logon(**(logon or {})).tree(**(tree or {}))

    def validate(
        self, signed=True, answered=True, status=0, answer=None, answer_signed=None, signature=None, mark="VALIDATE",
        **claims,
    ):
        """`claims`: what the request says otherwise than the NEGOTIATE request that the client sent (dialects,
        capabilities, guid, mode; file_id, flags, max_output, count, input); `answer` the same of the response
        (capabilities, guid, mode, dialect; output: all of it)."""
        dialects = claims.get("dialects", self.offer)
        info = struct.pack("<I", claims.get("capabilities", self.capabilities)) + claims.get("guid", self.guid)
        info += struct.pack("<HH", claims.get("mode", self.mode), claims.get("count", len(dialects)))
        info = claims.get("input", info + b"".join(struct.pack("<H", dialect) for dialect in dialects))
        head = self.header(IOCTL, signed=signed)
        fixed = struct.pack("<HHI", 57, 0, VALIDATE_NEGOTIATE_INFO) + claims.get("file_id", ONES)
        most, flags = claims.get("max_output", 24), claims.get("flags", 1)
        fixed += struct.pack("<IIIIIIII", 120, len(info), 0, 120, 0, most, flags, 0)
        self.put("client", head + fixed + info, f"{mark} request")
        if not answered:
            return self
        answer_signed = signed if answer_signed is None else answer_signed
        if status:
            return self.error(IOCTL, status, f"{mark} response", answer_signed, signature=signature).next()
        answer = answer or {}
        info = struct.pack("<I", answer.get("capabilities", self.server_capabilities))
        info += answer.get("guid", self.server_guid)
        info += struct.pack("<HH", answer.get("mode", self.server_mode), answer.get("dialect", self.dialect))
        info = answer.get("output", info)
        fixed = struct.pack("<HHI", 49, 0, VALIDATE_NEGOTIATE_INFO) + ONES
        fixed += struct.pack("<IIIIII", 112, 0, 112, len(info), 0, 0)
        head = self.header(IOCTL, True, 0, answer_signed, signature)
        return self.put("server", head + fixed + info, f"{mark} response").next()

    def request(
        self, command=CLOSE, status=0, signed=True, answer_signed=None, answered=True, mark="work", size=24, **changes
    ):
        """An ordinary request, one that uses the share."""
        message = self.header(command, signed=signed) + struct.pack("<H", size) + bytes(size - 2)
        self.put("client", message, f"{mark} request", **changes)
        if not answered:
            return self
        answer_signed = signed if answer_signed is None else answer_signed
        if status:
            return self.error(command, status, f"{mark} response", answer_signed).next()
        size = 60 if command == CLOSE else 4
        head = self.header(command, True, 0, answer_signed)
        return self.put("server", head + struct.pack("<H", size) + bytes(size - 2), f"{mark} response").next()

    def worked(self):
        """Validated and used, as a healthy connection is."""
        return self.validate().request()

    def logoff(self, status=0, answered=True):
        return self.request(LOGOFF, status, answered=answered, mark="LOGOFF", size=4)

    def disconnect_tree(self):
        return self.request(TREE_DISCONNECT, mark="TREE_DISCONNECT", size=4)

    def encrypted(self, side, size=100, mark=None):
        head = b"\xfdSMB" + b"\xcc" * 16 + bytes(16) + struct.pack("<IHHQ", size, 0, 1, self.session_id)
        return self.put(side, head + b"\xee" * size, mark)


def write_pcap(path, talks):
    """Writes the packets of all talks in the order of their times, and numbers them."""
    packets = sorted((packet for talk in talks for packet in talk.packets), key=lambda packet: packet.time)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, packet in enumerate(packets, 1):
            packet.number = number
            microseconds = round(packet.time * 1e6)
            file.write(struct.pack("<II", 1700000000 + microseconds // 1000000, microseconds % 1000000))
            file.write(struct.pack("<II", len(packet.data), packet.size) + packet.data)
