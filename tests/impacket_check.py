#!/usr/bin/env python3
"""NTLM logons with impacket, which wrote its NTLM without us: as its client and as its server, token by token.

usage: impacket_check.py --driver AUTH_DRIVER

Prints TAP. Skipped where python3-impacket is not installed.
"""
import argparse
import os
import struct
import sys
import tempfile
from pathlib import Path

from auth_driver import End
from tap import Tap

try:
    from impacket import ntlm, smbserver
    from impacket.spnego import SPNEGO_NegTokenInit, SPNEGO_NegTokenResp, TypesMech
except ImportError:
    ntlm = None

NTLM_NAME = "NTLMSSP - Microsoft NTLM Security Support Provider"
USER, PASSWORD = "alice\ud55c", "Password01!\u00e9"
SERVER_CHALLENGE = b"\x01\x23\x45\x67\x89\xab\xcd\xef"


def nt_hash(password):
    return ntlm.compute_nthash(password)


def check(condition, *words):
    if not condition:
        yield " ".join(str(word) for word in words)


class Client:
    """impacket's initiator: a 32-octet NEGOTIATE, an AUTHENTICATE without MIC."""

    def __init__(self, raw, user, password, domain):
        self.raw, self.user, self.password, self.domain = raw, user, password, domain
        self.negotiate = ntlm.getNTLMSSPType1("", "", True)

    def first(self):
        if self.raw:
            return self.negotiate.getData()
        blob = SPNEGO_NegTokenInit()
        blob["MechTypes"] = [TypesMech[NTLM_NAME]]
        blob["MechToken"] = self.negotiate.getData()
        return blob.getData()

    def second(self, token):
        challenge = token if self.raw else SPNEGO_NegTokenResp(token)["ResponseToken"]
        answer, self.key = ntlm.getNTLMSSPType3(self.negotiate, challenge, self.user, self.password, self.domain)
        if self.raw:
            return answer.getData()
        response = SPNEGO_NegTokenResp()
        response["ResponseToken"] = answer.getData()
        return response.getData()


def client_logs_on(driver, accounts, raw):
    client = Client(raw, USER, PASSWORD, "Domain")
    acceptor = End(driver, "accept", accounts, "-")
    acceptor.step(client.second(acceptor.step(client.first())))
    acceptor.close()
    yield from check(acceptor.state == "complete", acceptor.state, acceptor.reason)
    yield from check(acceptor.key == client.key, "keys", acceptor.key.hex(), client.key.hex())
    yield from check(acceptor.user == USER and acceptor.domain == "Domain", acceptor.user, acceptor.domain)


def client_is_refused(driver, accounts, user, password):
    client = Client(False, user, password, "")
    acceptor = End(driver, "accept", accounts, "-")
    acceptor.step(client.second(acceptor.step(client.first())))
    acceptor.close()
    yield from check(acceptor.state == "failed" and acceptor.status == 0xC000006D, acceptor.state, acceptor.status)


def server_challenge(negotiate):
    """As impacket's smbserver makes it."""
    wanted = (
        ntlm.NTLMSSP_NEGOTIATE_56 | ntlm.NTLMSSP_NEGOTIATE_128 | ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH
        | ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY | ntlm.NTLMSSP_NEGOTIATE_UNICODE
    )  # fmt: skip
    name = "SERVER".encode("utf-16le")
    pairs = ntlm.AV_PAIRS()
    pairs[ntlm.NTLMSSP_AV_HOSTNAME] = pairs[ntlm.NTLMSSP_AV_DNS_HOSTNAME] = name
    pairs[ntlm.NTLMSSP_AV_DOMAINNAME] = pairs[ntlm.NTLMSSP_AV_DNS_DOMAINNAME] = name
    pairs[ntlm.NTLMSSP_AV_TIME] = struct.pack("<q", 133000000000000000)
    challenge = ntlm.NTLMAuthChallenge()
    challenge["flags"] = (
        negotiate["flags"] & wanted | ntlm.NTLMSSP_NEGOTIATE_VERSION | ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO
        | ntlm.NTLMSSP_TARGET_TYPE_SERVER | ntlm.NTLMSSP_NEGOTIATE_NTLM | ntlm.NTLMSSP_REQUEST_TARGET
    )  # fmt: skip
    challenge["domain_len"] = challenge["domain_max_len"] = len(name)
    challenge["domain_offset"] = 56
    challenge["challenge"] = SERVER_CHALLENGE
    challenge["domain_name"] = name
    challenge["TargetInfoFields_len"] = challenge["TargetInfoFields_max_len"] = len(pairs)
    challenge["TargetInfoFields"] = pairs
    challenge["TargetInfoFields_offset"] = 56 + len(name)
    challenge["Version"] = b"\xff" * 8
    challenge["VersionLen"] = 8
    return challenge


def server_takes_us(driver, password, good):
    initiator = End(driver, "initiate", "ntlm", USER, "Domain", password, "server.test", "-")
    negotiate = ntlm.NTLMAuthNegotiate()
    negotiate.fromString(SPNEGO_NegTokenInit(initiator.step())["MechToken"])
    challenge = server_challenge(negotiate)
    answer = SPNEGO_NegTokenResp()
    answer["NegState"] = b"\x01"
    answer["SupportedMech"] = TypesMech[NTLM_NAME]
    answer["ResponseToken"] = challenge.getData()
    authenticate = ntlm.NTLMAuthChallengeResponse()
    authenticate.fromString(SPNEGO_NegTokenResp(initiator.step(answer.getData()))["ResponseToken"])
    status, key = smbserver.computeNTLMv2(
        authenticate["user_name"].decode("utf-16le").lower(), b"", nt_hash(PASSWORD), SERVER_CHALLENGE, authenticate,
        challenge, negotiate,
    )  # fmt: skip
    done = SPNEGO_NegTokenResp()
    done["NegState"] = b"\x00"
    initiator.step(done.getData())
    initiator.close()
    yield from check(authenticate["user_name"].decode("utf-16le") == USER, authenticate["user_name"])
    yield from check((status == 0) == good, "status", status)
    yield from check(initiator.state == "complete", initiator.state, initiator.reason)
    yield from check((key == initiator.key) == good, "keys", key.hex(), initiator.key.hex())


def without_md5(driver, folder):
    """A system whose policy forbids MD5 has no NTLM, and says so."""
    policy = Path(folder) / "openssl.cnf"
    policy.write_text("openssl_conf = all\n[all]\nalg_section = algorithms\n[algorithms]\ndefault_properties = fips=yes\n")
    env = dict(os.environ, OPENSSL_CONF=str(policy))
    initiator = End(driver, "initiate", "ntlm", USER, "-", PASSWORD, "server.test", "-", env=env)
    initiator.step()
    initiator.close()
    yield from check(initiator.state == "failed" and "MD5" in initiator.reason, initiator.state, initiator.reason)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    driver = parser.parse_args().driver
    tap = Tap()
    if ntlm is None:
        tap.skip("impacket", "python3-impacket is not installed")
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-impacket-") as folder:
        accounts = Path(folder) / "accounts"
        accounts.write_text(f"{USER}:{nt_hash(PASSWORD).hex()}:\n", encoding="utf-8")
        os.chmod(accounts, 0o600)
        tap.result("impacket logs on", client_logs_on(driver, str(accounts), False))
        tap.result("impacket logs on without SPNEGO", client_logs_on(driver, str(accounts), True))
        tap.result("impacket with a wrong password", client_is_refused(driver, str(accounts), USER, "wrong"))
        tap.result("impacket as nobody known", client_is_refused(driver, str(accounts), "bob", PASSWORD))
        tap.result("a system without MD5", without_md5(driver, folder))
    tap.result("we log on to impacket", server_takes_us(driver, PASSWORD, True))
    tap.result("we log on to impacket with a wrong password", server_takes_us(driver, "wrong", False))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
