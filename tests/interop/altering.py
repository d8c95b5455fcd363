"""A box on the path, for tests: passes frames on between a client and a server of this machine, and changes some.

    with Altering(server_port, change) as box:
        connect(box.port)

`change(from_client, content)` gets the content of each frame and returns what goes on instead: bytes, or None to
drop it. box.answer(content) sends a frame to the client in the server's name.
"""
import socket
import struct
import threading

CONNECTIONS_MAX = 64
IDLE_SECONDS = 20


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return data


def read_frame(connection):
    head = read_exactly(connection, 4)
    return head and read_exactly(connection, struct.unpack(">I", head)[0] & 0xFFFFFF)


def send_frame(connection, content):
    connection.sendall(struct.pack(">I", len(content)) + content)


class Altering:
    def __init__(self, server_port, change):
        self.server_port, self.change = server_port, change
        self.client = None
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.port = self.listener.getsockname()[1]
        self.error = None
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(IDLE_SECONDS)

    def answer(self, content):
        send_frame(self.client, content)

    def accept(self):
        for _ in range(CONNECTIONS_MAX):
            try:
                self.client, _ = self.listener.accept()
            except OSError:
                return
            self.serve()

    def serve(self):
        with self.client, socket.create_connection(("127.0.0.1", self.server_port), IDLE_SECONDS) as server:
            self.client.settimeout(IDLE_SECONDS)
            back = threading.Thread(target=self.pass_on, args=(server, self.client, False), daemon=True)
            back.start()
            self.pass_on(self.client, server, True)
            back.join(IDLE_SECONDS)

    def pass_on(self, source, target, from_client):
        try:
            while (content := read_frame(source)) is not None:
                changed = self.change(from_client, content)
                if changed is not None:
                    send_frame(target, changed)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        except Exception as error:  # a mistake in a change must not look like a server's silence
            self.error = error
            raise
