#!/usr/bin/env python3
"""The client against smbd with Kerberos: a KDC and a server that this test starts; and a session whose ticket expires.

usage: kerberos_check.py --connect PROGRAM --smbproof PROGRAM

Prints TAP. Skipped where MIT's KDC or smbd cannot be started.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import kerberos  # noqa: E402
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
        f"addprinc -randkey {SERVICE}",
        f"modprinc +no_auth_data_required {SERVICE}",
        f"ktadd -k {realm.folder}/keytab {SERVICE}",
    )
    (realm.folder / "map").write_text(f"root = {kerberos.REALM}\\root root@{kerberos.REALM}\n")


def ticket(realm, *options):
    realm.run(kerberos.program("kinit"), *options, "-c", cache(realm), "root", text=PASSWORD + "\n")


def cache(realm):
    return f"FILE:{realm.folder}/tickets"


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

    def pause(self):
        time.sleep(TICKET_SECONDS + 2)
        ticket(self.realm)

    def put_expires(self, dialect, *options):
        data = os.urandom(COPIED_SIZE)
        ticket(self.realm, "-l", f"{TICKET_SECONDS}s")
        before = self.samba.log().count("NETWORK_SESSION_EXPIRED")
        process = self.copy(dialect, "put", *options, "-", "URL", stdin=subprocess.PIPE)
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


def cases(tap, case):
    ticket(case.realm)
    for dialect in ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1"):
        wanted = {"connected": True, "mechanism": "Kerberos", "dialect": dialect, "keys": True}
        tap.result(f"{dialect} signed", case.run({**wanted, "signed": True}, "dialects", dialect, "sign", "required"))
        tap.result(f"{dialect} again", case.run(wanted, "dialects", dialect, "again", "yes"))
    for cipher, name in (("2", "AES-128-GCM"), ("3", "AES-256-CCM"), ("4", "AES-256-GCM")):
        wanted = {"connected": True, "cipher": name, "encrypted": True, "mechanism": "Kerberos"}
        tap.result(f"encrypted with {name}", case.run(wanted, "ciphers", cipher, "encrypt", "required"))
    for dialect, *options in (("2.1",), ("3.0.2", "sign", "required"), ("3.1.1", "encrypt", "required"), ("3.1.1",)):
        tap.result(f"{dialect} {' '.join(options)} expires", case.expires(dialect, *options))
    tap.result("put from a stream, 3.1.1, expires", case.put_expires("3.1.1"))
    tap.result("get to a stream, 3.0.2 signed, expires", case.get_expires("3.0.2", "--sign=required"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    parser.add_argument("--smbproof", required=True)
    options = parser.parse_args()
    tap = Tap()
    missing = Samba.missing() or (None if kerberos.program("krb5kdc") else "krb5kdc is not installed")
    if missing:
        tap.skip("the client against smbd with Kerberos", missing)
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-kerberos-") as name:
        realm = kerberos.Realm(Path(name))
        try:
            set_up(realm)
            with Samba(settings(realm.folder), environment=realm.env) as samba:
                cases(tap, Case(options.connect, options.smbproof, realm, samba))
        finally:
            realm.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
