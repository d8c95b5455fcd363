#!/usr/bin/env python3
"""The client against smbd with a relay on the path that changes one thing: each known alteration of a negotiation that
can be made without the keys ends as a strict client has to end it.

usage: tamper_check.py --connect PROGRAM

Prints TAP. Skipped where smbd cannot be started.
"""
import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from connect_check import Peer, connected  # noqa: E402
from samba import Samba  # noqa: E402
from tamper_relay import TamperRelay  # noqa: E402
from tap import Tap  # noqa: E402

SIGNATURE = "3.2.5.1.3-01"         # of a response, wrong
SESSION_UNSIGNED = "3.3.5.5.3-01"
RESPONSE_UNSIGNED = "3.3.4.1.1-01"
GUEST = "3.2.5.3.1-01"
NO_ANSWER = "3.2.6.1-01"           # to the validation
UNPROTECTED = "3.2.5.14.12-01"     # its answer
DENIED = "3.2.5.14.12-02"
DIFFER = {"Capabilities": "3.2.5.14.12-04", "ServerGuid": "3.2.5.14.12-05", "SecurityMode": "3.2.5.14.12-06",
          "Dialect": "3.2.5.14.12-07"}  # fmt: skip
WITH_302 = ("dialects", "2.0.2,2.1,3.0,3.0.2")
SHORT_WAIT = ("timeout", "1500")

# What is changed, the options of the client, the rule by which it gives up.
ON_302 = [
    ("negotiate.request.Dialects-=0x0300,0x0302", (), NO_ANSWER),
    ("negotiate.request.Dialects-=0x0302", (), NO_ANSWER),
    ("negotiate.request.Dialects-=0x0210,0x0300,0x0302", (), NO_ANSWER),
    ("negotiate.response.DialectRevision=0x0300", (), DIFFER["Dialect"]),
    ("negotiate.response.DialectRevision=0x0210", (), SIGNATURE),
    ("negotiate.response.DialectRevision=0x0311", (), "3.2.5.2-05"),
    ("negotiate.response.DialectRevision=0x02ff", (), "3.2.5.2-03"),
    ("negotiate.request.SecurityMode=1", ("sign", "required"), NO_ANSWER),
    ("negotiate.response.SecurityMode|=2", (), DIFFER["SecurityMode"]),
    ("negotiate.request.Capabilities&=~0x40", (), NO_ANSWER),
    ("negotiate.response.Capabilities&=~0x40", (), DIFFER["Capabilities"]),
    ("negotiate.response.Capabilities&=~0x04", (), DIFFER["Capabilities"]),
    ("negotiate.request.ClientGuid^=1", (), NO_ANSWER),
    ("negotiate.response.ServerGuid^=1", (), DIFFER["ServerGuid"]),
    ("validate.request:drop", SHORT_WAIT, NO_ANSWER),
    ("validate.response:drop", SHORT_WAIT, NO_ANSWER),
    ("validate.response:status=0xc00000bb", (), UNPROTECTED),
    ("validate.response:status=0xc0000128", (), UNPROTECTED),
    ("validate.response:garbage=0xc00000bb", (), UNPROTECTED),
    ("validate.response:strip-signature", (), UNPROTECTED),
    ("validate.response.Guid^=1", (), UNPROTECTED),
    ("validate.request.Guid^=1", (), DENIED),
    ("validate.request.DialectCount=1", (), DENIED),
    ("validate.request:strip-signature", (), UNPROTECTED),  # smbd answers it, unsigned
    ("session_setup.final_response:strip-signature", (), SESSION_UNSIGNED),
    ("session_setup.final_response.SessionFlags=1", (), GUEST),
    ("session_setup.final_response.SessionFlags=2", (), GUEST),
    ("session_setup.final_response.SessionFlags=4", (), SIGNATURE),
    ("tree_connect.response:strip-signature", (), RESPONSE_UNSIGNED),
    ("tree_connect.response.ShareFlags|=0x10", (), SIGNATURE),
    ("negotiate.response.MaxReadSize=0x10000", (), None),  # nothing below 3.1.1 protects it
    ("negotiate.response.SystemTime=0", (), None),
]
ON_311 = [
    ("negotiate.request.Dialects-=0x0311", (), NO_ANSWER),
    ("negotiate.request.Dialects-=0x0300,0x0302,0x0311", (), NO_ANSWER),
    ("negotiate.response.DialectRevision=0x0302", (), SIGNATURE),
    ("negotiate.request.SecurityMode=1", ("sign", "required"), SIGNATURE),
    ("negotiate.response.SecurityMode|=2", (), SIGNATURE),
    ("negotiate.request.Capabilities&=~0x40", (), SIGNATURE),
    ("negotiate.response.Capabilities&=~0x04", (), SIGNATURE),
    ("negotiate.request.ClientGuid^=1", (), SIGNATURE),
    ("negotiate.response.ServerGuid^=1", (), SIGNATURE),
    ("negotiate.request.NegotiateContextCount=1", (), SIGNATURE),
    ("negotiate.response.NegotiateContextCount=1", (), SIGNATURE),
    ("negotiate.response.MaxReadSize=0x10000", (), SIGNATURE),
    ("negotiate.response.SystemTime=0", (), SIGNATURE),
    ("session_setup.request.Capabilities=0", (), SIGNATURE),
    ("session_setup.request.SecurityMode^=2", (), SIGNATURE),
    ("session_setup.final_response:strip-signature", (), SESSION_UNSIGNED),
    ("session_setup.final_response.SessionFlags=1", (), GUEST),
    ("tree_connect.response:strip-signature", (), RESPONSE_UNSIGNED),
]
# Behind an SMB1 opening; changes of the 0x02FF response are harmless, since what it says is provisional.
ON_SMB1 = [
    ("smb1.request:strip=SMB 2.???", (), NO_ANSWER),
    ("negotiate.wildcard_response.ServerGuid^=1", (), None),
    ("negotiate.wildcard_response.Capabilities=0", (), None),
]


def wanted_of(rule, dialect):
    return {"connected": False, "rule": rule, "security": True} if rule else connected(dialect)


def try_all(peer, rows, dialect, *options):
    for change, more, rule in rows:
        with TamperRelay(peer.samba.port, [change]) as relay:
            peer.expect(change, wanted_of(rule, dialect), *options, *more, port=relay.port)
            peer.tap.result(f"{peer.label}: {change}: was made", [] if relay.applied[change] else ["no frame had it"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    options = parser.parse_args()
    tap = Tap()
    missing = Samba.missing()
    if missing:
        tap.skip("the client against smbd, with a relay between them", missing)
        return tap.done()
    peer = Peer(tap, options.connect)
    with peer.serve("relay, nothing changed"):
        try_all_unchanged(peer)
    with peer.serve("relay, smbd up to 3.0.2", {"server max protocol": "SMB3_02"}):
        try_all(peer, ON_302, "3.0.2", *WITH_302)
    with peer.serve("relay, smbd"):
        try_all(peer, ON_311, "3.1.1")
    with peer.serve("relay, smbd after SMB1"):
        try_all(peer, ON_SMB1, "3.1.1", "smb1", "yes")
    signing = {"server signing": "mandatory", "server max protocol": "SMB3_02"}
    with peer.serve("relay, smbd that requires signing", signing):
        change = "negotiate.response.SecurityMode=1"
        try_all(peer, [(change, (), DIFFER["SecurityMode"])], "3.0.2", *WITH_302)
    return tap.done()


def try_all_unchanged(peer):
    with TamperRelay(peer.samba.port) as relay:
        for dialect in ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1"):
            peer.expect(dialect, connected(dialect), "dialects", dialect, port=relay.port)


if __name__ == "__main__":
    sys.exit(main())
