#!/usr/bin/env python3
"""What `smbproof explain` says of the recordings in tests/recordings, which it once explained wrongly.

usage: recordings.py --smbproof COMMAND
"""
import argparse
import json
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "recordings"

# name: causes that have to be found, with the confidence, and how many connections there are when the sides are paired
EXPECTED = {
    "linux-ksmbd-dialect-swapper.client.pcapng": ({"V01": "certain", "M04": "possible"}, 1),
    "linux-smbd-guid-rewriter.pcapng": ({"M02": "certain"}, 1),
    "linux-ksmbd-validate-blocker.pcapng": ({"M05": "likely"}, 1),
    "linux-ksmbd-validate-blocker.client.pcapng": ({"M05": "possible"}, 1),
    "smbclient-ksmbd-downgrade-attack.pcapng": ({"M01": "certain"}, 1),
    "linux-serve-wan-accelerator.pcapng": ({"M01": "certain"}, 1),
    "smbclient-smbd-smb1-fallback.pcapng": ({"M01": "certain"}, 1),
    "smbclient-ksmbd-smb1-fallback.pcapng": ({"M01": "certain"}, 1),
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
    for number, (name, (causes, count)) in enumerate(sorted(EXPECTED.items()), 2):
        connections, found = explained(options.smbproof, FOLDER / name)
        right = len(connections) == count and all(found.get(cause) == sure for cause, sure in causes.items())
        print(f"{'ok' if right else 'not ok'} {number} - {name}")
        if not right:
            print(f"# {len(connections)} connections, {found}")


if __name__ == "__main__":
    main()
