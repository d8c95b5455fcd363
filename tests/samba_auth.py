#!/usr/bin/env python3
"""Logons with Samba over real connections: ours with smbd, and smbclient's with our acceptor.

usage: samba_auth.py --driver AUTH_DRIVER

Just enough of SMB 2.1 is spoken here to carry the tokens ([MS-SMB2] 2.2.3 to 2.2.6). That both ends have the same key
shows in the signature of the last SESSION_SETUP response: this test checks smbd's, and smbclient checks ours. Prints
TAP. Everything runs on loopback, in folders of the test's own. Skipped where Samba or, for a part, MIT's KDC is missing.
"""
import argparse
import hashlib
import hmac
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import kerberos
from auth_driver import End
from tap import Tap

SECONDS_MAX = 30
NEGOTIATE, SESSION_SETUP, TREE_CONNECT = 0, 1, 3
SIGNED = 8
MORE_PROCESSING, LOGON_FAILURE = 0xC0000016, 0xC000006D


def check(condition, *words):
    if not condition:
        yield " ".join(str(word) for word in words)


def tool(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


# ---- frames and headers


def receive(connection):
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[1:4], "big"):
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    return data[4:]


def send(connection, message):
    connection.sendall(struct.pack(">I", len(message)) + message)


def header(command, status, flags, message_id, session_id):
    return struct.pack(
        "<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, status, command, 1, flags, 0, message_id, 0, 0, session_id, bytes(16)
    )


def signature(key, message):
    return hmac.new(key, message[:48] + bytes(16) + message[64:], hashlib.sha256).digest()[:16]


# ---- ours with smbd


def client(port, initiator):
    """-> the status of the last SESSION_SETUP response, its session flags, and whether its signature is right"""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX) as connection:
        send(connection, header(NEGOTIATE, 0, 0, 0, 0)
             + struct.pack("<HHHHI16sQH", 36, 1, 1, 0, 0, os.urandom(16), 0, 0x0210))  # fmt: skip
        answer = receive(connection)
        offset, size = struct.unpack_from("<HH", answer, 64 + 56)
        token, message_id, session_id, status = initiator.step(answer[offset : offset + size]), 1, 0, MORE_PROCESSING
        while True:
            send(connection, header(SESSION_SETUP, 0, 0, message_id, session_id)
                 + struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(token), 0) + token)  # fmt: skip
            answer = receive(connection)
            status, session_id = struct.unpack_from("<I", answer, 8)[0], struct.unpack_from("<Q", answer, 40)[0]
            if status not in (0, MORE_PROCESSING):
                return status, 0, False
            flags, offset, size = struct.unpack_from("<HHH", answer, 64 + 2)
            token, message_id = initiator.step(answer[offset : offset + size]), message_id + 1
            if status == 0 or initiator.state != "continue":
                good = initiator.state == "complete" and bool(initiator.key)
                return status, flags, good and signature(initiator.key, answer) == answer[48:64]


class Smbd:
    """A private smbd: user root, password Password01!é; unknown users become guests."""

    def __init__(self, folder):
        self.port = kerberos.free_port()
        conf, places = folder / "smb.conf", ("private", "lock", "state", "cache", "pid", "ncalrpc")
        for place in places:
            (folder / place).mkdir(mode=0o700)
        conf.write_text(
            "[global]\n server role = standalone server\n interfaces = lo 127.0.0.1/8\n bind interfaces only = yes\n"
            f" disable netbios = yes\n smb ports = {self.port}\n log file = {folder}/log\n load printers = no\n"
            " disable spoolss = yes\n map to guest = bad user\n guest account = root\n"
            f" printcap name = /dev/null\n private dir = {folder}/private\n lock directory = {folder}/lock\n"
            f" state directory = {folder}/state\n cache directory = {folder}/cache\n pid directory = {folder}/pid\n"
            f" ncalrpc dir = {folder}/ncalrpc\n"
        )
        subprocess.run(
            [tool("pdbedit"), "-s", str(conf), "-a", "-t", "root"], input="Password01!é\nPassword01!é\n", text=True,
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        self.process = subprocess.Popen(
            [tool("smbd"), "-F", "--no-process-group", "-s", str(conf)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("smbd does not listen")

    def stop(self):
        os.killpg(self.process.pid, 15)  # a process of its own for each connection
        self.process.wait()


def ours_with_smbd(driver, port, method, user, password, status, flags, signed):
    initiator = End(driver, "initiate", method, user, "-", password, "127.0.0.1", "-")
    got = client(port, initiator)
    initiator.close()
    yield from check(got == (status, flags, signed), [hex(got[0]), *got[1:]], initiator.state, initiator.reason)
    yield from check((initiator.state == "complete") == (status == 0), initiator.state, initiator.reason)


# ---- smbclient with our acceptor


class Server(threading.Thread):
    """Takes one connection as far as TREE_CONNECT, which a client sends that is content with the logon."""

    def __init__(self, hint, acceptor):
        super().__init__()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(SECONDS_MAX)
        self.port = self.socket.getsockname()[1]
        self.hint, self.acceptor, self.reached, self.trouble = hint, acceptor, False, None
        self.first = b""  # token of the client's

    def run(self):
        try:
            connection, _ = self.socket.accept()
            connection.settimeout(SECONDS_MAX)
            with connection:
                while (request := receive(connection)) is not None and self.answer(connection, request):
                    pass
        except (OSError, struct.error) as error:
            self.trouble = error
        finally:
            self.socket.close()

    def answer(self, connection, request):
        command, message_id = struct.unpack_from("<H", request, 12)[0], struct.unpack_from("<Q", request, 24)[0]
        self.reached |= command == TREE_CONNECT
        if command == NEGOTIATE:
            body = struct.pack("<HHHH16sIIIIQQHHI", 65, 1, 0x0210, 0, bytes(range(16)), 0, 65536, 65536, 65536, 0, 0, 128,
                               len(self.hint), 0) + self.hint  # fmt: skip
            send(connection, header(NEGOTIATE, 0, 1, message_id, 0) + body)
        elif command == SESSION_SETUP:
            offset, size = struct.unpack_from("<HH", request, 64 + 12)
            self.first = self.first or request[offset : offset + size]
            self.session_setup(connection, message_id, self.acceptor.step(request[offset : offset + size]))
        return command in (NEGOTIATE, SESSION_SETUP) and self.acceptor.state != "failed"

    def session_setup(self, connection, message_id, token):
        acceptor = self.acceptor
        if acceptor.state == "failed":
            send(connection, header(SESSION_SETUP, acceptor.status, 1, message_id, 7) + struct.pack("<HBBIB", 9, 0, 0, 0, 0))
            return
        status = 0 if acceptor.state == "complete" else MORE_PROCESSING
        kind = {"guest": 1, "anonymous": 2}.get(acceptor.kind, 0)
        flags = 1 | (SIGNED if status == 0 and acceptor.key else 0)
        message = header(SESSION_SETUP, status, flags, message_id, 7) + struct.pack("<HHHH", 9, kind, 72, len(token)) + token
        if flags & SIGNED:
            message = message[:48] + signature(acceptor.key[:16], message) + message[64:]
        send(connection, message)


class Smbclient:
    def __init__(self, driver, folder, accounts, keytab, env):
        self.driver, self.accounts, self.keytab, self.env = driver, accounts, keytab, env
        self.conf = folder / "client.conf"
        (folder / "client").mkdir(mode=0o700)
        self.conf.write_text(
            f"[global]\n private dir = {folder}/client\n lock directory = {folder}/client\n"
            f" state directory = {folder}/client\n cache directory = {folder}/client\n pid directory = {folder}/client\n"
            f" realm = {kerberos.REALM}\n client min protocol = SMB2_10\n client max protocol = SMB2_10\n"
        )

    def run(self, keytab, hinted, flags, *arguments):
        hint = subprocess.run(
            [self.driver, "hint", self.accounts, self.keytab if hinted else "-"], capture_output=True, text=True,
            timeout=SECONDS_MAX,
        )  # fmt: skip
        acceptor = End(self.driver, "accept", self.accounts, self.keytab if keytab else "-", *flags, env=self.env)
        server = Server(bytes.fromhex(hint.stdout.split()[1]), acceptor)
        server.start()
        run = subprocess.run(
            [tool("smbclient"), "//server.test/data", "-I", "127.0.0.1", "-p", str(server.port), "-s", str(self.conf),
             "-c", "ls", *arguments], env=self.env, capture_output=True, text=True, timeout=SECONDS_MAX,
        )  # fmt: skip
        server.join()
        acceptor.close()
        return acceptor, server, run.stdout + run.stderr

    def logs_on(self, keytab, flags, arguments, mechanism, kind, user, wish=b""):
        """`wish` is what the client's first token must have in it, where the hint promises more than there is."""
        acceptor, server, said = self.run(keytab, keytab or bool(wish), flags, *arguments)
        yield from check(acceptor.state == "complete", acceptor.state, acceptor.reason, server.trouble, said)
        yield from check(server.reached, "smbclient is not content:", said)
        got = (acceptor.mechanism, acceptor.kind, acceptor.user)
        yield from check(got == (mechanism, kind, user), got)
        yield from check(wish in server.first, "another first wish than expected:", server.first[:64].hex())

    def is_refused(self, arguments):
        acceptor, server, said = self.run(False, False, (), *arguments)
        yield from check(acceptor.state == "failed" and acceptor.status == LOGON_FAILURE, acceptor.state, acceptor.reason)
        yield from check("NT_STATUS_LOGON_FAILURE" in said and not server.reached, said)


def smbd_cases(tap, driver, folder):
    if os.getuid() != 0:
        tap.skip("ours with smbd", "its account has to be root's")
        return
    smbd = Smbd(folder)
    try:
        for name, *case in (
            ("ours with smbd", "ntlm", "ROOT", "Password01!é", 0, 0, True),
            ("ours with smbd, wrong password", "ntlm", "root", "Password01!", LOGON_FAILURE, 0, False),
            ("ours with smbd, unknown, so a guest", "ntlm", "nobody at all", "x", 0, 1, False),
            ("ours with smbd, anonymous", "anonymous", "-", "-", 0, 0, False),
        ):  # fmt: skip
            tap.result(name, ours_with_smbd(driver, smbd.port, *case))
    finally:
        smbd.stop()


def smbclient_cases(tap, driver, folder):
    has_kdc = all(kerberos.program(name) for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit"))
    accounts = folder / "users"
    accounts.write_text(f"Jürgen한:{kerberos.HASH}:\nalice:{kerberos.HASH}:\n", encoding="utf-8")
    accounts.chmod(0o600)
    realm = kerberos.Realm(folder) if has_kdc else None
    try:
        keytab, env = "-", dict(os.environ)
        if realm:
            keytab, _, _ = kerberos.set_up(realm)
            env = dict(realm.env, KRB5CCNAME=realm.ticket("alice", kerberos.PASSWORD, "alice"))
        env.update(LC_ALL="C.UTF-8")
        smbclient = Smbclient(driver, folder, str(accounts), keytab, env)
        ntlm = ("--use-kerberos=off",)
        tap.result("smbclient", smbclient.logs_on(
            False, (), ("-U", "JÜRGEN한%Password01!", *ntlm), "NTLMv2", "user", "Jürgen한"))  # fmt: skip
        tap.result("smbclient, wrong password", smbclient.is_refused(("-U", "alice%wrong", *ntlm)))
        tap.result("smbclient, unknown", smbclient.is_refused(("-U", "nobody%wrong", *ntlm)))
        tap.result("smbclient, anonymous", smbclient.logs_on(
            False, ("anonymous",), ("-N", "-U", "%", *ntlm), "NTLMv2", "anonymous", ""))  # fmt: skip
        tap.result("smbclient, guest", smbclient.logs_on(
            False, ("guest",), ("-U", "visitor%x", *ntlm), "NTLMv2", "guest", "visitor"))  # fmt: skip
        if not realm:
            tap.skip("smbclient, Kerberos", "MIT's KDC is not installed")
            return
        tap.result("smbclient, Kerberos", smbclient.logs_on(
            True, (), ("--use-kerberos=required", "--use-krb5-ccache=" + env["KRB5CCNAME"]), "Kerberos", "user", "alice"))  # fmt: skip
        tap.result("smbclient would rather have Kerberos", smbclient.logs_on(
            False, (), ("-U", "alice%Password01!", "--use-kerberos=desired"), "NTLMv2", "user", "alice",
            bytes.fromhex("2a864886f712010202")))  # fmt: skip
    finally:
        if realm:
            realm.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    driver = parser.parse_args().driver
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="smbproof-samba-") as folder:
        if tool("smbd") and tool("pdbedit"):
            (Path(folder) / "server").mkdir()
            smbd_cases(tap, driver, Path(folder) / "server")
        else:
            tap.skip("smbd", "not installed")
        if tool("smbclient"):
            smbclient_cases(tap, driver, Path(folder))
        else:
            tap.skip("smbclient", "not installed")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
