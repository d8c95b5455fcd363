#!/usr/bin/env python3
"""Is what `smbproof explain --json` writes as docs/explain.schema.json says?

usage: schema_check.py --smbproof COMMAND

Looks at examples/ and, where they are at hand, at the laboratory's captures beside the checkout. The schema must also
refuse what is wrong, or it would prove nothing.
"""
import argparse
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

from tap import Tap

STATUSES = {0, 1, 2, 4}  # of explain: 4 where a file of the laboratory is cut on purpose


def rows_of(command, captures):
    """-> the objects, complaints."""
    run = subprocess.run([command, "explain", "--json", *captures], capture_output=True, text=True, timeout=60)
    if run.returncode not in STATUSES:
        return [], [f"{captures[0]}: exit status {run.returncode}: {run.stderr[-300:]}"]
    try:
        return [json.loads(line) for line in run.stdout.splitlines()], []
    except json.JSONDecodeError as error:
        return [], [f"{captures[0]}: {error}"]


def complaints_about(validator, command, captures):
    rows, complaints = rows_of(command, captures)
    for row in rows:
        for error in validator.iter_errors(row):
            complaints.append(f"{captures[0]}: {error.json_path}: {error.message[:300]}")
    return rows, complaints


def wrongs_of(row):
    """Changes that the schema has to refuse."""

    def changed(change):
        wrong = copy.deepcopy(row)
        change(wrong)
        return wrong

    yield "another schema", changed(lambda wrong: wrong.update(schema=2))
    yield "a member missing", changed(lambda wrong: wrong.pop("verdict"))
    yield "a member unknown", changed(lambda wrong: wrong.update(mood="good"))
    yield "a verdict unknown", changed(lambda wrong: wrong.update(verdict="fine"))
    yield "packet 0", changed(lambda wrong: wrong["connection"].update(first_packet=0))
    yield "a time without zone", changed(lambda wrong: wrong["connection"].update(start="2026-01-01T00:00:00"))
    yield "an open end with a packet", changed(lambda wrong: wrong.update(end={"how": "open", "by": None, "packet": 3}))
    yield "an endpoint without port", changed(lambda wrong: wrong["connection"].update(client="192.0.2.1"))
    yield "a finding without rule", changed(lambda wrong: wrong["findings"].append({"severity": "note"}))


def captures_of(folder):
    """Each capture alone, and each client's with the server's."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".pcap", ".pcapng", ".gz", ".cap", ".zst"))
    yield from ([path] for path in paths)
    for path in paths:
        for client, server in ((".client.", ".server."), (".c.", ".s.")):
            other = path.with_name(path.name.replace(client, server))
            if client in path.name and other.exists():
                yield [path, other]


def check_folder(tap, validator, command, folder, name):
    found, complaints = [], []
    for captures in captures_of(folder):
        rows, wrong = complaints_about(validator, command, captures)
        found += rows
        complaints += wrong
    if not found and not complaints:
        complaints.append(f"no connection in {folder}")
    tap.result(f"{len(found)} connections of {name}", complaints[:20])
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    command = parser.parse_args().smbproof
    source = Path(os.environ["SMBPROOF_SOURCE_ROOT"])
    tap = Tap()
    try:
        import jsonschema
    except ImportError:
        tap.skip("schema", "python3-jsonschema is not installed")
        return tap.done()
    schema = json.loads((source / "docs" / "explain.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    rows = check_folder(tap, validator, command, source / "examples", "examples")
    if rows:
        missed = [what for what, wrong in wrongs_of(rows[0]) if validator.is_valid(wrong)]
        tap.result("the schema refuses what is wrong", (f"not refused: {what}" for what in missed))
    laboratory = source / ".." / "shared" / "captures" / "dev"
    if laboratory.exists():
        check_folder(tap, validator, command, laboratory, "the laboratory")
    else:
        tap.skip("captures of the laboratory", "not beside this checkout")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
