#!/usr/bin/env python3
"""Kerberos logons in both roles, against a KDC that this test starts for itself.

usage: kerberos.py --driver AUTH_DRIVER

Prints TAP. Skipped where MIT's KDC is not installed. Nothing leaves the loopback interface, and nothing of the
machine's own Kerberos is read.
"""
import argparse
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from auth_driver import End, logon
from tap import Tap

REALM = "SMBPROOF.TEST"
PASSWORD, HASH = "Password01!", "7C4FE5EADA682714A036E39378362BAB"


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/mit/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Realm:
    """A KDC with its files in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.env = dict(
            os.environ, KRB5_CONFIG=str(folder / "krb5.conf"), KRB5_KDC_PROFILE=str(folder / "kdc.conf"),
            KRB5CCNAME=f"FILE:{folder}/nobody", KRB5RCACHENAME=f"file2:{folder}/replay", KRB5_TRACE="/dev/null",
        )  # fmt: skip
        modules = glob.glob("/usr/lib/*/krb5/plugins/kdb") + glob.glob("/usr/lib*/krb5/plugins/kdb")
        (folder / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
            " dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n"
            f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{self.port}\n }}\n[domain_realm]\n .test = {REALM}\n"
        )
        (folder / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
            f"  acl_file = {folder}/acl\n  max_life = 1h\n }}\n"
            f"[dbmodules]\n db_module_dir = {modules[0] if modules else ''}\n"
            "[logging]\n kdc = FILE:/dev/null\n admin_server = FILE:/dev/null\n"
        )
        self.run(program("kdb5_util"), "-P", "master", "create", "-s")
        self.kdc = subprocess.Popen(
            [program("krb5kdc"), "-n"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait()

    def run(self, *command, text=None):
        run = subprocess.run(command, env=self.env, input=text, capture_output=True, text=True, timeout=60)
        if run.returncode != 0:
            raise RuntimeError(f"{command}: {run.stdout} {run.stderr}")

    def wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the KDC does not listen")

    def admin(self, *queries):
        for query in queries:
            self.run(program("kadmin.local"), "-q", query)

    def ticket(self, principal, password, name):
        cache = f"FILE:{self.folder}/{name}"
        self.run(program("kinit"), "-c", cache, principal, text=password + "\n")
        return cache

    def stop(self):
        self.kdc.terminate()
        self.kdc.wait()


def set_up(realm):
    keytab, other = realm.folder / "cifs.keytab", realm.folder / "other.keytab"
    realm.admin("addprinc -pw Password01! alice", "addprinc -pw geheim bob@%s" % REALM)
    for service in ("cifs/server.test", "host/second.test", "http/third.test"):
        realm.admin(f"addprinc -randkey {service}")
    for service in ("cifs/server.test", "host/second.test", "http/third.test"):
        realm.admin(f"ktadd -k {keytab} {service}")
    realm.admin("addprinc -randkey cifs/third.test", f"ktadd -norandkey -k {other} http/third.test")
    accounts = realm.folder / "accounts"
    accounts.write_text(f"alice:{HASH}:\n")
    accounts.chmod(0o600)
    return str(keytab), str(other), str(accounts)


def check(condition, *words):
    if not condition:
        yield " ".join(str(word) for word in words)


def told(initiator, acceptor):
    return f"initiator {initiator.state} {initiator.reason}; acceptor {acceptor.state} {acceptor.reason}"


class Cases:
    def __init__(self, driver, realm, keytab, other, accounts, cache):
        self.driver, self.realm = driver, realm
        self.keytab, self.other, self.accounts, self.cache = keytab, other, accounts, cache

    def run(self, initiate, accept):
        return logon(
            End(self.driver, "initiate", *initiate, env=self.realm.env),
            End(self.driver, "accept", *accept, env=self.realm.env),
        )

    def succeeds(self, initiate, accept, mechanism, size, user, domain):
        one, two = self.run(initiate, accept)
        yield from check(one.state == two.state == "complete", told(one, two))
        yield from check(one.mechanism == two.mechanism == mechanism, one.mechanism, two.mechanism)
        yield from check(one.key == two.key and len(one.key) == size, "keys", one.key.hex(), two.key.hex())
        yield from check((two.user, two.domain) == (user, domain), two.user, two.domain)
        yield from check(two.kind == "user", two.kind)

    def refused(self, initiate, accept, who, word):
        one, two = self.run(initiate, accept)
        yield from check(one.state != "complete", told(one, two))
        yield from check((one if who == "initiator" else two).state == "failed", told(one, two))
        reason = one.reason if who == "initiator" else two.reason
        yield from check(word in reason, f"{word!r} is not in {reason!r}")

    def logon(self):
        """A ticket for cifs/: 32 octets of key, as the encryption types of today have it."""
        yield from self.succeeds(
            ("kerberos", "-", "-", "-", "server.test", self.cache), ("-", self.keytab), "Kerberos", 32, "alice", REALM
        )

    def any_prefers_kerberos(self):
        yield from self.succeeds(
            ("any", "alice", REALM, "Password01!", "server.test", self.cache), (self.accounts, self.keytab),
            "Kerberos", 32, "alice", REALM,
        )  # fmt: skip

    def services(self):
        """Any key of the keytab opens a ticket, but only those for cifs/ and host/ are meant for us."""
        for service, state, word in (
            ("host@second.test", "complete", ""), ("cifs@server.test", "complete", ""),
            ("http@third.test", "failed", "neither for cifs/ nor for host/"),
        ):  # fmt: skip
            run = subprocess.run(
                [self.driver, "ticket", service, self.cache], env=self.realm.env, capture_output=True, text=True,
                timeout=60,
            )  # fmt: skip
            acceptor = End(self.driver, "accept", "-", self.keytab, env=self.realm.env)
            acceptor.step(bytes.fromhex(run.stdout.split()[1]))
            acceptor.close()
            yield from check(acceptor.state == state and word in acceptor.reason, service, acceptor.state, acceptor.reason)

    def counter_proposal(self):
        """The client has a ticket, the server knows NTLM alone: NTLM, with the list of mechanisms signed."""
        yield from self.succeeds(
            ("any", "alice", REALM, "Password01!", "server.test", self.cache), (self.accounts, "-"), "NTLMv2", 16,
            "alice", REALM,
        )  # fmt: skip

    def counter_proposal_unsigned(self):
        """The same, and somebody takes the server's signature of the list away: then Kerberos may have been taken away."""
        one = End(self.driver, "initiate", "any", "alice", REALM, PASSWORD, "server.test", self.cache, env=self.realm.env)
        two = End(self.driver, "accept", self.accounts, "-", env=self.realm.env)
        token = one.step()
        while two.state == "continue":
            answer = two.step(token)
            if two.state == "continue":
                token = one.step(answer)
        yield from check(two.state == "complete" and one.state == "continue", told(one, two))
        yield from check(b"\xa3" in answer and len(answer) > 20, "there is no signature to take away:", answer.hex())
        one.step(bytes.fromhex("a1073005a0030a0100"))  # accept-completed, and nothing else
        yield from check(one.state == "failed" and "does not sign" in one.reason, told(one, two))
        one.close()
        two.close()

    def no_ticket_falls_back(self):
        yield from self.succeeds(
            ("any", "alice", "-", "Password01!", "server.test", f"FILE:{self.realm.folder}/none"),
            (self.accounts, self.keytab), "NTLMv2", 16, "alice", "",
        )  # fmt: skip

    def somebody_elses_ticket(self):
        """The cache is alice's and the user is bob: it is not used."""
        yield from self.refused(
            ("kerberos", "bob", REALM, "-", "server.test", self.cache), ("-", self.keytab), "initiator", "ticket"
        )

    def kerberos_alone_never_falls_back(self):
        yield from self.refused(
            ("kerberos", "alice", REALM, "Password01!", "server.test", self.cache), (self.accounts, "-"), "acceptor",
            "no mechanism",
        )  # fmt: skip

    def unknown_host(self):
        yield from self.refused(
            ("kerberos", "-", "-", "-", "nowhere.test", self.cache), ("-", self.keytab), "initiator", "Kerberos"
        )

    def key_of_another(self):
        yield from self.refused(
            ("kerberos", "-", "-", "-", "server.test", self.cache), ("-", self.other), "acceptor", "Kerberos"
        )

    def no_keytab(self):
        yield from self.refused(
            ("kerberos", "-", "-", "-", "server.test", self.cache), ("-", str(self.realm.folder / "none")),
            "acceptor", "Kerberos",
        )  # fmt: skip

    def altered(self):
        """One octet of the first token changed, at some sixty places: refused, or of no effect (nothing protects the
        options of an AP-REQ)."""
        at, through, tried = 0, 0, 0
        while True:
            one = End(self.driver, "initiate", "kerberos", "-", "-", "-", "server.test", self.cache, env=self.realm.env)
            two = End(self.driver, "accept", "-", self.keytab, env=self.realm.env)
            token = one.step()
            if at < len(token):
                one.step(two.step(token[:at] + bytes([token[at] ^ 0x55]) + token[at + 1 :]))
            one.close()
            two.close()
            if at >= len(token):
                break
            if two.state == "complete":
                through += 1
                yield from check((two.user, two.domain) == ("alice", REALM), "octet", at, two.user, two.domain)
                yield from check(one.state != "complete" or one.key == two.key, "octet", at, "keys differ")
            tried, at = tried + 1, at + 13
        yield from check(tried > 40 and through < 3, through, "of", tried, "altered tickets were taken")

    def replayed(self):
        one = End(self.driver, "initiate", "kerberos", "-", "-", "-", "server.test", self.cache, env=self.realm.env)
        token = one.step()
        one.close()
        states = []
        for _ in range(2):
            two = End(self.driver, "accept", "-", self.keytab, env=self.realm.env)
            two.step(token)
            two.close()
            states.append(two.state)
        yield from check(states == ["complete", "failed"], states)

    def server_that_lies(self):
        """The AP-REP altered: the server did not prove itself, and the client is not through."""
        for at in range(0, 200, 20):
            one = End(self.driver, "initiate", "kerberos", "-", "-", "-", "server.test", self.cache, env=self.realm.env)
            two = End(self.driver, "accept", "-", self.keytab, env=self.realm.env)
            answer = two.step(one.step())
            if at < len(answer):
                one.step(answer[:at] + bytes([answer[at] ^ 0x55]) + answer[at + 1 :])
                yield from check(one.state == "failed", "octet", at, told(one, two))
            one.close()
            two.close()


CASES = [
    "logon", "services", "any_prefers_kerberos", "counter_proposal", "counter_proposal_unsigned",
    "no_ticket_falls_back", "somebody_elses_ticket",
    "kerberos_alone_never_falls_back", "unknown_host", "key_of_another", "no_keytab", "altered", "replayed",
    "server_that_lies",
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    driver = parser.parse_args().driver
    tap = Tap()
    missing = [name for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit") if not program(name)]
    if missing:
        tap.skip("kerberos", f"{', '.join(missing)} not installed")
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-kdc-") as folder:
        realm = Realm(Path(folder))
        try:
            cases = Cases(driver, realm, *set_up(realm), realm.ticket("alice", PASSWORD, "alice"))
            for name in CASES:
                tap.result(name.replace("_", " "), getattr(cases, name)())
        finally:
            realm.stop()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
