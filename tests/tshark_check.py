#!/usr/bin/env python3
"""A second opinion on messages: do Wireshark's dissectors see the same NEGOTIATE and VALIDATE_NEGOTIATE_INFO?

usage: tshark_check.py --evidence COMMAND [FOLDER...]

Compares which packets hold them and the fields in them: dialects, Capabilities, SecurityMode, ClientGuid or ServerGuid.
COMMAND (tests/evidence.c) prints what src/explain made of a capture; sharkd, which Debian installs with tshark, asks
the dissectors about many captures in one process. Every difference has to have a reason out of tests/tshark_known.py.
"""
import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tap import Tap
from tshark_known import reason_of

VALIDATE = 0x00140204
NEGOTIATE, IOCTL = 0, 11
SUFFIXES = (".pcap", ".pcapng", ".cap", ".gz", ".zst")
FILTER = " || ".join(
    ("smb2.cmd == 0", f"smb2.ioctl.function == {VALIDATE}", "smb2.cmd == 11 && smb2.nt_status != 0", "smb.cmd == 0x72")
)


class Sharkd:
    """Wireshark's dissectors, asked in JSON-RPC."""

    def __init__(self):
        environment = dict(os.environ, WIRESHARK_CONFIG_DIR="/nonexistent")  # nobody's own preferences
        self.process = subprocess.Popen(
            ["sharkd", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.numbers = itertools.count(1)
        self.ask("setconf", name="tcp.reassemble_out_of_order", value="TRUE")

    def ask(self, method, **params):
        """-> the result, or None. What a former request is still owed does not come: see load."""
        number = next(self.numbers)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == number:
                return answer.get("result")
        raise RuntimeError(f"sharkd ended at {method} {params}")

    def load(self, path):
        """Is it loaded? Of a file that is cut sharkd reads what is there without an answer; so its status is asked."""
        request = {"jsonrpc": "2.0", "id": next(self.numbers), "method": "load", "params": {"file": str(path)}}
        self.process.stdin.write(json.dumps(request) + "\n")
        return (self.ask("status") or {}).get("filename") == path.name

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def leaves(node):
    """[(field, value)] in the order of their octets."""
    filtered = node.get("f", "")
    if " == " in filtered:
        field, value = filtered.split(" == ", 1)
        yield field, value.strip('"')
    for child in node.get("n", ()):
        yield from leaves(child)


def number_of(values, field):
    return int(values[field][0], 0) if field in values else None


def guid_octets(text):
    """The order on the wire of a GUID as people write it, [MS-DTYP] 2.3.4.2."""
    parts = text.split("-")
    return "".join(bytes.fromhex(part)[::-1].hex() for part in parts[:3]) + "".join(parts[3:])


def message_of(frame, stream, node):
    """One SMB2 message of a dissection."""
    values = {}
    for field, value in leaves(node):
        values.setdefault(field, []).append(value)
    response = number_of(values, "smb2.flags.response") == 1
    guids = values.get("smb2.server_guid" if response else "smb2.client_guid", [])
    message = {
        "packet": frame,
        "stream": stream,
        "command": number_of(values, "smb2.cmd"),
        "response": response,
        "status": number_of(values, "smb2.nt_status") or 0,
        "message_id": number_of(values, "smb2.msg_id"),
        "validate": number_of(values, "smb2.ioctl.function") == VALIDATE,
        "fields": None,
    }
    if guids and "smb2.capabilities" in values and "smb2.sec_mode" in values:
        message["fields"] = {
            "capabilities": number_of(values, "smb2.capabilities"),
            "security_mode": number_of(values, "smb2.sec_mode"),
            "guid": guid_octets(guids[0]),
            "dialects": [int(value, 0) for value in values.get("smb2.dialect", [])],
        }
    return message


def dissected(sharkd, path, turn):
    """What the dissectors see: messages, in order; None where they cannot read the file."""
    if not sharkd.load(path):
        return None
    # sharkd 4.0 keeps a filter's result over "load", so no two filters may be the same text.
    frames = sharkd.ask("frames", filter=f"{FILTER} || frame.number == {4000000000 + turn}", column0="tcp.stream:1")
    messages, asked = [], {}
    for frame in frames or ():
        tree = (sharkd.ask("frame", frame=frame["num"], proto=True) or {}).get("tree", [])
        for node in tree:
            if node.get("f") == "smb2":
                messages.append(message_of(frame["num"], frame["c"][0], node))
            elif node.get("f") == "smb" and ("smb.cmd", "0x72") in list(leaves(node)):
                messages.append({"packet": frame["num"], "stream": frame["c"][0], "smb1": True})
    wanted = []
    for message in messages:
        key = (message["stream"], message.get("message_id"))
        if message.get("smb1"):
            wanted.append(message)
        elif message["command"] == NEGOTIATE or message["validate"]:
            asked.setdefault(key, message["validate"])
            wanted.append(message)
        elif message["command"] == IOCTL and message["response"] and asked.get(key):
            message["validate"] = True  # an error that answers VALIDATE
            wanted.append(message)
    return wanted


def observed(command, paths):
    """What src/explain made of them: path -> connections."""
    run = subprocess.run([command, *paths], capture_output=True, text=True, timeout=100)
    if run.returncode != 0:
        raise RuntimeError(f"{command}: exit status {run.returncode}: {run.stderr[-300:]}")
    connections = {str(path): [] for path in paths}
    for line in run.stdout.splitlines():
        connection = json.loads(line)
        for key in "decoded", "messages":
            connection[key] = connection[key][:-1]
        connections[connection["file"]].append(connection)
    return connections


def place(message, of_explain):
    """What both call a message by: its packet, what it is, and from whom."""
    if message.get("smb1"):
        return message["packet"], "SMB1 NEGOTIATE"
    kind = "VALIDATE" if message["validate"] else "NEGOTIATE"
    response = message["from"] == 1 if of_explain else message["response"]
    return message["packet"], f"{kind} {'response' if response else 'request'}"


def field_differences(connection, fields_there):
    for decoded in connection["decoded"]:
        key = decoded["packet"], decoded["kind"]
        for fields in fields_there.get(key, []):
            for name, value in fields.items():
                if decoded[name] != value:
                    yield key, f"{name} {decoded[name]}, Wireshark has {value}"


def differences(connections, messages):
    """-> [(place, sentence, connection or None)]; place is (packet, kind)."""
    here = Counter(place(message, True) for connection in connections for message in connection["messages"])
    there = Counter(place(message, False) for message in messages)
    owner = {place(m, True): connection for connection in connections for m in connection["messages"]}
    for key in here - there:
        yield key, "Wireshark does not see it", owner[key]
    for key in there - here:
        yield key, "only Wireshark sees it", None
    fields_there = {}
    for message in messages:
        if message.get("fields"):
            fields_there.setdefault(place(message, False), []).append(message["fields"])
    for connection in connections:
        for key, sentence in field_differences(connection, fields_there):
            if len(fields_there[key]) == 1:
                yield key, sentence, connection
        dialect = [d["dialects"][0] for d in connection["decoded"] if d["kind"] == "NEGOTIATE response"]
        if dialect and dialect != [connection["dialect"]]:
            yield (0, "connection"), f"dialect {connection['dialect']}, its response says {dialect[0]}", connection


def compared_of(connections, messages):
    """How many messages both see, and of how many the fields were compared."""
    here = {place(message, True) for connection in connections for message in connection["messages"]}
    there = {place(message, False): message for message in messages}
    both = here & set(there)
    decoded = {(d["packet"], d["kind"]) for connection in connections for d in connection["decoded"]}
    return len(both), sum(1 for key in both & decoded if there[key].get("fields"))


def check(command, paths):
    """-> counts, reasons, complaints over these captures."""
    counts, reasons, complaints = Counter(), Counter(), []
    connections_of = observed(command, paths)
    sharkd = Sharkd()
    for turn, path in enumerate(paths):
        messages = dissected(sharkd, path, turn)
        if messages is None:
            reasons["Wireshark does not read the file"] += 1
            continue
        connections = connections_of[str(path)]
        seen, fields = compared_of(connections, messages)
        counts.update(captures=1, messages=seen, fields=fields)
        for key, sentence, connection in differences(connections, messages):
            reason = reason_of(key, sentence, connection, connections)
            if reason is None:
                complaints.append(f"{path.name}: packet {key[0]}, {key[1]}: {sentence}")
            else:
                reasons[reason] += 1
    sharkd.close()
    return counts, reasons, complaints


def check_folder(tap, command, folder, workers):
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    shares = [share for share in (paths[i::workers] for i in range(workers)) if share]
    counts, reasons, complaints = Counter(), Counter(), []
    with ThreadPoolExecutor(workers) as pool:
        for more, known, wrong in pool.map(lambda share: check(command, share), shares):
            counts += more
            reasons += known
            complaints += wrong
    if not counts["fields"]:
        complaints.append("no message was compared")
    tap.result(
        f"{counts['messages']} messages in {counts['captures']} captures, the fields of {counts['fields']}",
        sorted(complaints)[:40],
    )
    for reason, number in reasons.most_common():
        print(f"# {number} times: {reason}")


def self_checks():
    """Would a difference be noticed? -> sentences about what was not."""
    fields = {"capabilities": 1, "security_mode": 1, "guid": "00", "dialects": [0x302]}
    there = [{"packet": 4, "stream": "0", "command": 0, "response": False, "validate": False, "fields": fields}]
    ours = {
        "dialect": 0,
        "decoded": [dict(fields, packet=4, kind="NEGOTIATE request")],
        "messages": [{"packet": 4, "from": 0, "validate": 0, "smb1": False}],
    }
    if list(differences([ours], there)):
        yield "a difference where there is none"
    for field, value in {"capabilities": 2, "security_mode": 3, "guid": "01", "dialects": [0x302, 0x311]}.items():
        if len(list(differences([dict(ours, decoded=[dict(ours["decoded"][0], **{field: value})])], there))) != 1:
            yield f"another value of {field} is not noticed"
    if len(list(differences([dict(ours, messages=[dict(ours["messages"][0], packet=5)])], there))) != 2:
        yield "another packet number is not noticed"
    if len(list(differences([], there))) != 1 or len(list(differences([ours], []))) != 1:
        yield "a message that one of the two misses is not noticed"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--evidence", required=True)
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    tap = Tap()
    tap.result("this test notices differences", self_checks())
    for folder in options.folders:
        if not folder.exists():
            tap.skip(f"captures of {folder.name}", "not beside this checkout")
        elif not shutil.which("sharkd"):
            tap.skip(f"captures of {folder.name}", "sharkd is not installed")
        else:
            check_folder(tap, options.evidence, folder, min(2, os.cpu_count() or 1))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
