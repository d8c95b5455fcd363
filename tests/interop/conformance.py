#!/usr/bin/env python3
"""What `smbproof conform server` says of each server that can be had: the tables of docs/conformance.md and README.md.

usage: conformance.py --smbproof PROGRAM [--machine PROGRAM] [--server NAME]... [--only CASES] [--update]

Each server is started with its own defaults, on loopback, and asked once. --machine: boots Linux's ksmbd (machine.py says
how it is called). --server: just these, of serve, smbd, ksmbd and impacket, and what is said of each is printed as it
comes, so that a cell of a table is made again by --server NAME --only AREA, or --only CASE. --update: the tables go into
the documents, between their marks; else they are printed. Needs root (smbd) and python3-impacket.
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from conform_check import Own  # noqa: E402
from machine import KernelServer, free_port  # noqa: E402
from probe_check import IMPACKET, wait_for  # noqa: E402
from samba import Samba  # noqa: E402

PASSWORD = "secret"
AREAS = ("negotiate", "validate", "session", "signing", "encryption", "tree", "credits", "compound", "frame")
REPORTED = (0, 1, 2)  # exit statuses of a run that came to its end
DOCUMENT, README = ROOT / "docs" / "conformance.md", ROOT / "README.md"


# ---- servers: each yields a port and a user ----


@contextlib.contextmanager
def serve(options):
    with tempfile.TemporaryDirectory(prefix="smbproof-conform-") as folder, Own(options.smbproof, folder) as server:
        yield server.port, "ada"


@contextlib.contextmanager
def smbd(_):
    with Samba() as samba:
        yield samba.port, "root"


@contextlib.contextmanager
def ksmbd(options):
    with KernelServer(options.machine) as server:
        yield server.port, "root"


@contextlib.contextmanager
def impacket(_):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="smbproof-conform-") as folder:
        command = ["/usr/bin/python3", "-c", IMPACKET, str(port), folder, PASSWORD]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(port, server)
            yield port, "root"
        finally:
            server.kill()
            server.wait()


# Name -> how it is started, what it is called in the tables, its file of known deviations.
SERVERS = {
    "serve": (serve, "`smbproof serve`", None),
    "smbd": (smbd, "smbd 4.17", "smbd-4.17.known"),
    "ksmbd": (ksmbd, "ksmbd 6.12", "ksmbd-6.12.known"),
    "impacket": (impacket, "impacket 0.10", "impacket-0.10.known"),
}


def ask(options, port, user, *more):
    """The report; without one it is said why, since a table without it would be a lie."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(PASSWORD + "\n")
        file.flush()
        command = [options.smbproof, "conform", "server", "--password-file", file.name, *more]
        run = subprocess.run([*command, f"smb://{user}@127.0.0.1:{port}/data"], capture_output=True, text=True)
    if run.returncode not in REPORTED or not run.stdout:
        raise SystemExit(f"no report: exit status {run.returncode}: {run.stderr}")
    return run.stdout


# ---- tables ----


def count(cases, *outcomes):
    return sum(case["outcome"] in outcomes for case in cases)


def area_cell(cases):
    right, wrong, should = count(cases, "pass"), count(cases, "fail"), count(cases, "should", "unclear")
    if right + wrong + should == 0:
        return "n. a."
    return f"{right} of {right + wrong + should}" + (f" ({should} only should)" if should else "")


def area_table(reports):
    yield "| area | " + " | ".join(SERVERS[name][1] for name in reports) + " |"
    yield "|---" * (len(reports) + 1) + "|"
    for area in AREAS:
        cells = [area_cell([case for case in report if case["area"] == area]) for report in reports.values()]
        yield f"| {area} | " + " | ".join(cells) + " |"
    yield "| all | " + " | ".join(area_cell(report) for report in reports.values()) + " |"


def readme_table(reports):
    yield "| server, with its own defaults | as it should be | deviations | should be otherwise | not applicable |"
    yield "|---|---|---|---|---|"
    for name, report in reports.items():
        numbers = (count(report, "pass"), count(report, "fail"), count(report, "should", "unclear"), count(report, "skip"))
        yield f"| {SERVERS[name][1]} | " + " | ".join(map(str, numbers)) + " |"


def case_cell(case):
    lessened = case["level"] == "must" and case["outcome"] == "should"
    return {"pass": "–", "skip": "n. a."}.get(case["outcome"], case["seen"] + (" (should)" if lessened else ""))


def case_table(reports):
    """The cases in which one of them deviates."""
    yield "| case | expected | " + " | ".join(SERVERS[name][1] for name in reports) + " |"
    yield "|---" * (len(reports) + 2) + "|"
    for row in zip(*reports.values()):
        if any(case["outcome"] not in ("pass", "skip") for case in row):
            must = "" if row[0]["level"] == "must" else " (should)"
            yield f"| `{row[0]['name']}` | {row[0]['expected']}{must} | " + " | ".join(map(case_cell, row)) + " |"


def put(path, mark, lines):
    """Between the marks of that name, which are there already."""
    text = path.read_text()
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if not re.search(pattern, text, re.DOTALL):
        raise SystemExit(f"{path} has no marks `{begin}' and `{end}'")
    path.write_text(re.sub(pattern, lambda _: "\n".join((begin, *lines, end)), text, flags=re.DOTALL))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--machine")
    parser.add_argument("--server", action="append", choices=SERVERS)
    parser.add_argument("--only")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    names = options.server or [name for name in SERVERS if name != "ksmbd" or options.machine]
    only = ["--only", options.only] if options.only else []
    reports = {}
    for name in names:
        with SERVERS[name][0](options) as (port, user):
            if options.server:
                print(ask(options, port, user, *only), end="")
            else:
                reports[name] = json.loads(ask(options, port, user, "--json", *only))["cases"]
    if options.server:
        return
    tables = (
        (DOCUMENT, "servers", list(area_table(reports))),
        (DOCUMENT, "servers, case by case", list(case_table(reports))),
        (README, "servers", list(readme_table(reports))),
    )
    for path, mark, lines in tables:
        if options.update:
            put(path, mark, lines)
        else:
            print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main()
