#!/usr/bin/env python3
"""Healthy conversations of which the capture lacks something, each in every place: begun late, ended early, without one
packet, two packets in each other's place, one direction only, cut packets. `smbproof explain` may not know, but accuses
nobody.

usage: innocent.py --smbproof COMMAND
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import talk as t
from talk import Talk
from tap import Tap

BETWEEN_S = 200.0  # from one connection to the next in a file
SNAP_OCTETS = (54, 66, 80, 100, 128, 160, 200, 256)
LONG_S = 40.0
EXCHANGED_S = 1.0  # packets farther apart do not change places


def encrypted(talk):
    talk.handshake().negotiate(t.SMB311, 0x0311).logon(flags=4)
    return talk.encrypted("client").encrypted("server").encrypted("client").encrypted("server").fin("client")


def large(talk):
    for _ in range(3):
        talk.request(size=1300)
    return talk


HEALTHY = {
    "2.1 validated": lambda talk: talk.opened(dialect=0x0210).worked().logoff().fin("client"),
    "3.0.2 validated": lambda talk: large(talk.opened().worked()).disconnect_tree().logoff().fin("client"),
    "3.0.2 validated, then nothing for long": lambda talk: talk.opened().validate().wait(LONG_S).fin("client"),
    "3.1.1": lambda talk: talk.opened(offer=t.SMB311, dialect=0x0311).request().request().logoff().fin("client"),
    "3.1.1 encrypted": encrypted,
    "anonymous": lambda talk: talk.handshake().negotiate().logon(user="", signed=False).tree(signed=False)
    .fin("client"),
    "guest": lambda talk: talk.handshake().negotiate().logon(flags=1, signed=False).tree(signed=False)
    .request(signed=False).fin("client"),
    "validation refused under signature": lambda talk: talk.opened(dialect=0x0210).validate(status=t.STATUS_FILE_CLOSED)
    .request().logoff().fin("client"),
}


def begun_late(packets, at):
    return packets[at:]


def ended_early(packets, at):
    return packets[: at + 1]


def without_one(packets, at):
    return packets[:at] + packets[at + 1 :]


def exchanged(packets, at):
    """Two neighbours in each other's place, as when two processors write one capture."""
    if at + 1 < len(packets) and packets[at + 1].time - packets[at].time < EXCHANGED_S:
        packets[at].time, packets[at + 1].time = packets[at + 1].time, packets[at].time
    return packets


def cut(packets, at):
    for packet in packets:
        packet.data = packet.data[: SNAP_OCTETS[at % len(SNAP_OCTETS)]]
    return packets


def without_one_end(packets, at):
    """Every second one keeps the client's packets only, the others the server's; from that place on."""
    kept = packets[0].data[34:36] if at % 2 else packets[0].data[36:38]
    return packets[:at] + [packet for packet in packets[at:] if packet.data[34:36] == kept]


LACKING = (begun_late, ended_early, without_one, exchanged, cut, without_one_end)


def all_places(conversation, lack):
    """One Talk per packet of the conversation, each a connection of its own."""
    places = len(conversation(Talk()).packets)
    for at in range(places):
        talk = conversation(Talk(client_port=50000 + at, start=at * BETWEEN_S, guid=bytes([at + 1]) * 16))
        talk.packets = lack(talk.packets, at)
        yield talk


def accused(program, path):
    """Sentences about connections with a problem."""
    said = subprocess.run([program, "explain", "--json", path], capture_output=True, text=True, timeout=60)
    if said.returncode not in (0, 1, 2):
        yield f"exit status {said.returncode}: {said.stderr}"
    for line in said.stdout.splitlines():
        row = json.loads(line)
        place = row["connection"]["client"]
        for finding in row["findings"]:
            if finding["severity"] == "problem":
                yield f"{place}: {finding['rule']} {finding['confidence']}: {finding['summary']}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    options = parser.parse_args()
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lacking.pcap"
        for name, conversation in HEALTHY.items():
            for lack in LACKING:
                talks = list(all_places(conversation, lack))
                t.write_pcap(path, talks)
                what = f"{name}, {lack.__name__.replace('_', ' ')} in {len(talks)} places"
                tap.result(what, accused(options.smbproof, path))
        t.write_pcap(path, [Talk().opened().validate(answer_signed=False).fin("client")])
        named = list(accused(options.smbproof, path))
        tap.result("a server that does not sign is named", [] if named else ["it is not"])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
