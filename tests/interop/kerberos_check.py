#!/usr/bin/env python3
"""The client against smbd and our own server with Kerberos: a KDC and servers that this test starts; and sessions whose
ticket expires.

usage: kerberos_check.py --connect PROGRAM --smbproof PROGRAM [--serve]

Prints TAP. Skipped where MIT's KDC cannot be started. --serve: PROGRAM has the file server.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import kerberos  # noqa: E402
import mounts  # noqa: E402
from samba import Samba  # noqa: E402
from tap import Tap  # noqa: E402

PASSWORD = "Password01!"
TICKET_SECONDS = 4
TIMEOUT_SECONDS = 60
COPIED_SIZE = 40 << 20  # more than the requests in flight and the pipe hold
SERVICE = "cifs/localhost"


def settings(folder):
    return {
        "realm": kerberos.REALM,
        "kerberos method": "dedicated keytab",
        "dedicated keytab file": f"FILE:{folder}/keytab",
        "username map": folder / "map",
        "log level": "3",
    }


def set_up(realm):
    # A server that is no member of a domain refuses tickets that say more than the name.
    realm.admin(
        f"addprinc -pw {PASSWORD} root",
        f"addprinc -pw {PASSWORD} visitor",
        f"addprinc -randkey {SERVICE}",
        f"modprinc +no_auth_data_required {SERVICE}",
        f"ktadd -k {realm.folder}/keytab {SERVICE}",
    )
    (realm.folder / "map").write_text(f"root = {kerberos.REALM}\\root root@{kerberos.REALM}\n")


def ticket(realm, *options, user="root"):
    realm.run(kerberos.program("kinit"), *options, "-c", cache(realm), user, text=PASSWORD + "\n")


def cache(realm):
    return f"FILE:{realm.folder}/tickets"


class Torture:
    """What Samba's smbtorture has to say of sessions that expire; it takes no ticket for localhost, so it gets a hosts file of
    its own, and each test a share."""

    TESTS = ("expire1n", "expire1e", "expire2s", "expire2e", "expire_disconnect")
    HOST = "server.test"

    def __init__(self, realm, own):
        self.processes, folder = {}, realm.folder
        self.missing = "smbtorture is not installed" if shutil.which("smbtorture") is None else mounts.missing()
        if self.missing:
            return
        realm.admin(f"addprinc -randkey cifs/{self.HOST}", f"modprinc +no_auth_data_required cifs/{self.HOST}",
                    f"ktadd -k {folder}/keytab cifs/{self.HOST}")  # fmt: skip
        (folder / "hosts").write_text(f"127.0.0.1 localhost {self.HOST}\n")
        (folder / "smb.conf").write_text(f"[global]\nrealm = {kerberos.REALM}\nclient min protocol = SMB2_02\n")
        for test in self.TESTS:
            command = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts; exec "$@"', folder / "hosts", "smbtorture",
                       f"//{self.HOST}/{test}", "-p", str(own.port), "-U", f"root@{kerberos.REALM}%{PASSWORD}", "-s",
                       folder / "smb.conf", "--use-kerberos=required", "--format=subunit", "--fullname",
                       f"smb2.session.{test}"]  # fmt: skip
            self.processes[test] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                                    env={**realm.env, "TMPDIR": str(folder)})  # fmt: skip

    def judge(self, tap):
        if self.missing:
            tap.skip("smbtorture with Kerberos", self.missing)
        for test, process in self.processes.items():
            said = process.communicate(timeout=TIMEOUT_SECONDS)[0]
            tap.result(f"smbtorture: {test}", [] if f"\nsuccess: smb2.session.{test}\n" in said else [said[-2000:]])


class Own:
    """Our own server, as far as a Case asks. Its tickets count for their own time alone, without the usual five minutes."""

    def __init__(self, program, realm):
        self.folder, self.share = realm.folder, realm.folder / "own"
        self.share.mkdir()
        config = self.folder / "own.conf"
        config.write_text((self.folder / "krb5.conf").read_text().replace("[libdefaults]", "[libdefaults]\n clockskew = 1"))
        shares = [f"--share={name}={self.folder / name}" for name in Torture.TESTS]
        for name in Torture.TESTS:
            (self.folder / name).mkdir()
        self.command = [program, "serve", "--listen=127.0.0.1:0", f"--share=data={self.share}",
                        f"--keytab={self.folder}/keytab", "--sign=allowed", *shares]  # fmt: skip
        self.environment = {**realm.env, "KRB5_CONFIG": str(config)}

    def __enter__(self):
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT_SECONDS)

    def log(self):
        return (self.folder / "log").read_text().replace("event=expired", "NETWORK_SESSION_EXPIRED")


class Case:
    def __init__(self, program, smbproof, realm, samba):
        self.program, self.smbproof, self.realm, self.samba = program, smbproof, realm, samba

    def start(self, *options):
        command = [self.program, "localhost", str(self.samba.port), "data", "kerberos", "yes", *options]
        environment = {**self.realm.env, "KRB5CCNAME": cache(self.realm)}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def finish(self, process, wanted):
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        if err or not out:
            return [f"exit status {process.returncode}: {err}"]
        found = json.loads(out)
        differ = [key for key, value in wanted.items() if found.get(key) != value]
        wrong = [f"{key}: {found.get(key)!r}, should be {wanted[key]!r}" for key in differ]
        return wrong + [out] if wrong else []

    def run(self, wanted, *options):
        return self.finish(self.start(*options), wanted)

    def expires(self, dialect, *options):
        """The ticket's time is over while the client sleeps; then there is a new one."""
        ticket(self.realm, "-l", f"{TICKET_SECONDS}s")
        before = self.samba.log().count("NETWORK_SESSION_EXPIRED")
        process = self.start("dialects", dialect, "wait", str(1000 * (TICKET_SECONDS + 2)), *options)
        try:
            process.wait(TICKET_SECONDS - 1)
        except subprocess.TimeoutExpired:
            pass  # it sleeps
        ticket(self.realm)
        wrong = self.finish(process, {"connected": True, "mechanism": "Kerberos", "dialect": dialect})
        if self.samba.log().count("NETWORK_SESSION_EXPIRED") == before:
            wrong.append("the session did not expire")
        return wrong


    # ---- copies, in whose middle the ticket's time is over ----

    def copy(self, dialect, *arguments, **options):
        url = f"smb://localhost:{self.samba.port}/data/copied"
        command = [self.smbproof, arguments[0], "--auth=kerberos", f"--dialects={dialect}",
                   *(url if part == "URL" else part for part in arguments[1:])]  # fmt: skip
        environment = {**self.realm.env, "KRB5CCNAME": cache(self.realm), "HOME": str(self.realm.folder)}
        return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, **options)

    def judge(self, process, before):
        said = process.stderr.read().decode(errors="replace")
        code = process.wait(TIMEOUT_SECONDS)
        if code or said:
            yield f"exit status {code}: {said}"
        if self.samba.log().count("NETWORK_SESSION_EXPIRED") == before:
            yield "the session did not expire"

    def stat(self, *options):
        process = self.copy("3.1.1", "stat", *options, "URL", stdout=subprocess.DEVNULL)
        return process.wait(TIMEOUT_SECONDS), process.stderr.read().decode(errors="replace")

    def whose_ticket(self):
        """Where no user is named it is the ticket's, whoever calls; a named one needs a ticket of his own."""
        (self.samba.share / "copied").touch()
        ticket(self.realm, user="visitor")
        for options in ((), ("--user=visitor",)):
            code, said = self.stat(*options)
            if code or said:
                yield f"{options}: exit status {code}: {said}"
        code, said = self.stat("--user=root")
        if code != 7 or "root@" not in said:
            yield f"as another: exit status {code}: {said}"

    def pause(self):
        time.sleep(TICKET_SECONDS + 2)
        ticket(self.realm)

    def put_expires(self, dialect, *options):
        data = os.urandom(COPIED_SIZE)
        ticket(self.realm, "-l", f"{TICKET_SECONDS}s")
        before = self.samba.log().count("NETWORK_SESSION_EXPIRED")
        process = self.copy(dialect, "put", *options, "-", "URL", stdin=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):  # then it has ended, and says why
            process.stdin.write(data[: COPIED_SIZE // 2])
            process.stdin.flush()
            self.pause()
            process.stdin.write(data[COPIED_SIZE // 2 :])
            process.stdin.close()
        wrong = list(self.judge(process, before))
        target = self.samba.share / "copied"
        return wrong + ([] if target.exists() and target.read_bytes() == data else ["what is there differs"])

    def get_expires(self, dialect, *options):
        data = os.urandom(COPIED_SIZE)
        (self.samba.share / "copied").write_bytes(data)
        ticket(self.realm, "-l", f"{TICKET_SECONDS}s")
        before = self.samba.log().count("NETWORK_SESSION_EXPIRED")
        process = self.copy(dialect, "get", *options, "URL", "-", stdout=subprocess.PIPE)
        came = process.stdout.read(1 << 20)
        self.pause()
        came += process.stdout.read()
        return list(self.judge(process, before)) + ([] if came == data else [f"what came differs: {len(came)}"])


def cases(tap, case, whose):
    ticket(case.realm)
    for dialect in ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1"):
        wanted = {"connected": True, "mechanism": "Kerberos", "dialect": dialect, "keys": True}
        tap.result(f"{whose}: {dialect} signed", case.run({**wanted, "signed": True}, "dialects", dialect, "sign", "required"))
        tap.result(f"{whose}: {dialect} again", case.run(wanted, "dialects", dialect, "again", "yes"))
    for cipher, name in (("2", "AES-128-GCM"), ("3", "AES-256-CCM"), ("4", "AES-256-GCM")):
        wanted = {"connected": True, "cipher": name, "encrypted": True, "mechanism": "Kerberos"}
        tap.result(f"{whose}: encrypted with {name}", case.run(wanted, "ciphers", cipher, "encrypt", "required"))
    if whose == "our server":
        tap.result(f"{whose}: whose the ticket is", list(case.whose_ticket()))
    expiring = (("2.1",), ("3.1.1", "encrypt", "required"), ("3.0.2", "sign", "required"), ("3.1.1",))
    for dialect, *options in expiring[: 2 if whose == "our server" else 4]:
        tap.result(f"{whose}: {dialect} {' '.join(options)} expires", case.expires(dialect, *options))
    tap.result(f"{whose}: put from a stream, 3.1.1, expires", case.put_expires("3.1.1"))
    tap.result(f"{whose}: get to a stream, 3.0.2 signed, expires", case.get_expires("3.0.2", "--sign=required"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    tap = Tap()
    if not kerberos.program("krb5kdc"):
        tap.skip("Kerberos", "krb5kdc is not installed")
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-kerberos-") as name:
        realm = kerberos.Realm(Path(name))
        try:
            set_up(realm)
            if options.serve:
                with Own(options.smbproof, realm) as own:
                    torture = Torture(realm, own)
                    cases(tap, Case(options.connect, options.smbproof, realm, own), "our server")
                    torture.judge(tap)
            if Samba.missing():
                tap.skip("smbd", Samba.missing())
            else:
                with Samba(settings(realm.folder), environment=realm.env) as samba:
                    cases(tap, Case(options.connect, options.smbproof, realm, samba), "smbd")
        finally:
            realm.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
