#!/usr/bin/env python3
"""What `smbproof explain` says of the recordings in tests/recordings, which it once explained wrongly.

usage: recordings.py --smbproof COMMAND
"""
import argparse
import json
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "recordings"

# name: causes that have to be found, with the confidence; those that must not; how many connections there are when the sides
# are paired
EXPECTED = {
    "impacket-serve-answer-before-request.server.pcapng": ({}, {"D05", "Q04"}, 1),
    "impacket-serve-client-capture-ends-early.pcapng": ({}, {"M05"}, 1),
    "impacket-serve-encrypted-request-altered.pcapng": ({"M04": "likely"}, set(), 1),
    "impacket-serve-second-negotiate-lost.pcapng": ({}, {"M02", "M10"}, 1),
    "linux-ksmbd-dialect-swapper.client.pcapng": ({"V01": "certain", "M04": "possible"}, set(), 1),
    "linux-ksmbd-validate-blocker.client.pcapng": ({"M05": "possible"}, set(), 1),
    "linux-ksmbd-validate-blocker.pcapng": ({"M05": "likely"}, set(), 1),
    "linux-serve-wan-accelerator.pcapng": ({"M01": "certain"}, set(), 1),
    "linux-smbd-guid-rewriter.pcapng": ({"M02": "certain"}, set(), 1),
    "smbclient-ksmbd-downgrade-attack.pcapng": ({"M01": "certain"}, set(), 1),
    "smbclient-ksmbd-smb1-fallback.pcapng": ({"M01": "certain"}, set(), 1),
    "smbclient-ksmbd-smb1-fallback-left.pcapng": ({"M01": "certain"}, set(), 1),
    "smbclient-serve-challenge-altered.pcapng": ({"M04": "likely"}, set(), 1),
    "smbclient-serve-logon-request-altered.pcapng": ({"M04": "likely", "A01": "possible"}, set(), 1),
    "smbclient-serve-validate-answer-altered.pcapng": ({"M04": "likely"}, {"V04", "M02"}, 1),
    "smbclient-smbd-create-answer-altered.pcapng": ({"M04": "likely"}, set(), 1),
    "smbclient-smbd-smb1-fallback.pcapng": ({"M01": "certain"}, set(), 1),
    "smbproof-serve-file-out-of-order.client.pcapng": ({}, {"Q04"}, 1),
    "smbproof-serve-logon-failure-forged.pcapng": ({"M03": "certain"}, {"A01"}, 1),
    "smbproof-serve-logon-request-altered.pcapng": ({"M03": "certain", "A01": "possible"}, set(), 1),
    "smbproof-serve-negotiate-answer-dropped.pcapng": ({"M05": "likely"}, set(), 1),
    "smbproof-serve-negotiate-answer-dropped.client.pcapng": ({"M09": "possible"}, set(), 1),
    "smbproof-serve-validate-request-altered.pcapng": ({"M04": "likely"}, {"V03", "V05", "M01"}, 1),
}


def explained(program, path):
    """-> the connections, and the findings of all of them as {cause: confidence}"""
    said = subprocess.run([program, "explain", "--json", path], capture_output=True, text=True, timeout=60)
    connections = [json.loads(line) for line in said.stdout.splitlines()]
    return connections, {f["rule"]: f["confidence"] for c in connections for f in c["findings"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    options = parser.parse_args()
    recordings = sorted(path.name for path in FOLDER.glob("*.pcapng"))
    print(f"1..{len(EXPECTED) + 1}")
    print("ok 1 - each recording is expected" if recordings == sorted(EXPECTED) else "not ok 1 - each recording is expected")
    for number, (name, (causes, wrong, count)) in enumerate(sorted(EXPECTED.items()), 2):
        connections, found = explained(options.smbproof, FOLDER / name)
        right = len(connections) == count and all(found.get(cause) == sure for cause, sure in causes.items())
        right &= not wrong & set(found)
        print(f"{'ok' if right else 'not ok'} {number} - {name}")
        if not right:
            print(f"# {len(connections)} connections, {found}")


if __name__ == "__main__":
    main()
