#!/usr/bin/env python3
"""What clients let pass: `smbproof conform client` with each of them, as tables for docs/conformance.md and README.md.

usage: client_table.py --smbproof PROGRAM [--machine PROGRAM] [--libsmb2 PROGRAM] [--only CLIENT,...] [--cases NAMES]
                       [--write]

--machine boots the Linux kernel's client (machine.py says how it is called), --libsmb2 is that library's example
smb2-ls-async. A client that is not there keeps the column that the page has of it, and a case that is not among --cases
its cell. --write puts the tables where
`<!-- clients:begin -->` and `<!-- clients:end -->` stand in both files; without, they are printed.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from machine import KernelClient  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE, README = ROOT / "docs" / "conformance.md", ROOT / "README.md"
START, END = "<!-- clients:begin -->", "<!-- clients:end -->"
RUN_SECONDS = 3600
JOBS = 8  # cases side by side
MACHINES = 6  # each for one mount at a time, since the kernel has a lock around the whole of it
IMPACKET = """
import os
from impacket.smbconnection import SMBConnection
c = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=int(os.environ["SMBPROOF_PORT"]), timeout=3)
c.login("user", "password")
c.listPath("share", "*")
"""
GO_SMB2 = """
package main

import (
	"net"
	"os"

	"github.com/hirochachacha/go-smb2"
)

func check(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func main() {
	conn, err := net.Dial("tcp", "127.0.0.1:"+os.Getenv("SMBPROOF_PORT"))
	check(err)
	dialer := &smb2.Dialer{Initiator: &smb2.NTLMInitiator{User: "user", Password: "password"}}
	session, err := dialer.Dial(conn)
	check(err)
	share, err := session.Mount("share")
	check(err)
	_, err = share.ReadDir(".")
	check(err)
	share.Umount()
	session.Logoff()
}
"""
# How the kernel is told to mount.
MOUNTS = {"kernel": "vers=default"}
MARK = {"pass": "noticed", "fail": "**passed**", "should": "passed", "skip": "", "known": "passed", "unclear": "?"}


# ---- clients: a name, what is told of it, and a command for --run; None: it is not there ----


def own(options, folder):
    password = folder / "password"
    password.write_text("password\n")
    password.chmod(0o600)
    return f"{options.smbproof} ls --password-file {password} smb://user@127.0.0.1:$SMBPROOF_PORT/share"


def smbclient(options, folder):
    return shutil.which("smbclient") and "smbclient //127.0.0.1/share -p $SMBPROOF_PORT -U user%password -c ls"


def impacket(options, folder):
    python = "/usr/bin/python3"  # whose modules Debian's python3-impacket is among
    if subprocess.run([python, "-c", "import impacket"], capture_output=True).returncode != 0:
        return None
    program = folder / "impacket_ls.py"
    program.write_text(IMPACKET)
    return f"{python} {program}"


def go_smb2(options, folder):
    source, program = folder / "ls.go", folder / "go_ls"
    source.write_text(GO_SMB2)
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOCACHE=str(folder / "cache"))
    if shutil.which("go") is None:
        return None
    done = subprocess.run(["go", "build", "-o", program, source], env=environment, capture_output=True)
    return str(program) if done.returncode == 0 else None


def libsmb2(options, folder):
    accounts = folder / "ntlm"
    accounts.write_text("WORKGROUP:user:password\n")
    return options.libsmb2 and (
        f"NTLM_USER_FILE={accounts} {options.libsmb2} 'smb://WORKGROUP;user@127.0.0.1:'$SMBPROOF_PORT/share/"
    )


CLIENTS = {
    "smbproof": (own, "this project's `smbproof ls`"),
    "smbclient": (smbclient, "Samba's smbclient 4.17 (Debian)"),
    "Linux": (None, "cifs.ko of Linux 6.1, `mount -o vers=default`, then `ls`"),
    "libsmb2": (libsmb2, "libsmb2 6.1.0, its example `smb2-ls-async`"),
    "go-smb2": (go_smb2, "go-smb2 1.1.0 (Debian)"),
    "impacket": (impacket, "impacket 0.10 (Debian)"),
}


# ---- runs ----


def run(options, command, *more):
    call = [options.smbproof, "conform", "client", "--listen", "127.0.0.1:0", "--json", "--run", command, *more]
    call += ["--only", options.cases] if options.cases else []
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS)
    return json.loads(done.stdout)


class Guest(KernelClient):
    user, password, share = "user", "password", "share"


def serve_mounts(listener, client):
    """Each connection brings a port, and gets what came of the mount."""
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        with caller:
            status, text = client.run(int(caller.recv(16)), "kernel")
            with contextlib.suppress(OSError):  # a command that took too long is gone
                caller.sendall(f"{status} {text}".encode())


def run_kernel(options, folder):
    """The machines stay, and each case's command asks one of them, the first that is idle, for a mount."""
    asks = folder / "mount.py"
    # What the mount said is all that is asked of it: the server of the case then closes the connection.
    guests = [Guest(options.machine, MOUNTS, patience=0) for _ in range(MACHINES)]
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
        with ThreadPoolExecutor(MACHINES) as pool:
            clients = list(pool.map(stack.enter_context, guests))
        asks.write_text(
            "import os, socket, sys\n"
            f"s = socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}))\n"
            "s.sendall(os.environ['SMBPROOF_PORT'].encode())\n"
            "print(s.recv(4096).decode())\n"
        )
        threads = [threading.Thread(target=serve_mounts, args=(listener, client), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        try:
            more = ("--jobs", str(MACHINES), "--timeout", "15", "--grace", "90")
            return run(options, f"{sys.executable} -IS {asks}", *more)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def report_of(name, options, folder):
    if name == "Linux":
        return run_kernel(options, folder) if options.machine else None
    command = CLIENTS[name][0](options, folder)
    return run(options, command, "--jobs", str(JOBS)) if command else None


# ---- tables ----


def cases_of(program):
    """-> [{"name", "area", "section", "level", "sends"}] of all cases."""
    text = subprocess.run([program, "conform", "client", "--list", "-v"], stdout=subprocess.PIPE, text=True).stdout
    form = r"^(\w+) \((\w+), \[MS-SMB2\] ([\d.]+), (\w+)\)\n    sends: (.*)$"
    keys = ("name", "area", "section", "level", "sends")
    return [dict(zip(keys, row)) for row in re.findall(form, text, re.MULTILINE)]


def mark_of(case):
    if case["area"] == "works":
        return "works" if case["outcome"] == "pass" else MARK[case["outcome"]]
    return MARK[case["outcome"]]


def column_of(report):
    return {case["name"]: mark_of(case) for case in report["cases"]}


def old_columns():
    """-> {client: {case: mark}} of the page as it is."""
    section = PAGE.read_text().partition(START)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    heads = next((row for row in rows if row[0] == "case"), None)
    if heads is None:
        return {}
    cases = [row for row in rows if re.fullmatch(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*", row[0]) and len(row) == len(heads)]
    return {head: {row[0]: row[at] for row in cases} for at, head in enumerate(heads) if head in CLIENTS}


def case_table(columns, cases):
    names = [name for name in CLIENTS if name in columns]
    yield "| case | [MS-SMB2] | what the server does | " + " | ".join(names) + " |"
    yield "|---" * (3 + len(names)) + "|"
    for case in cases:
        marks = [columns[name].get(case["name"], "") for name in names]
        section = case["section"] + ("" if case["level"] == "must" else " *")
        yield f"| {case['name']} | {section} | {case['sends']} | " + " | ".join(marks) + " |"


def count_table(columns, cases):
    judged = {case["name"] for case in cases if case["area"] != "works"}
    yield "| client | noticed | let pass what it must notice | let pass what it should notice | not tried |"
    yield "|---|---|---|---|---|"
    for name, (_, what) in CLIENTS.items():
        if name in columns:
            marks = [mark for case, mark in columns[name].items() if case in judged]
            counts = [marks.count(mark) for mark in ("noticed", "**passed**", "passed", "")]
            yield f"| {what} | " + " | ".join(map(str, counts)) + " |"


def put(path, lines):
    head, rest = path.read_text().split(START, 1)
    path.write_text(head + START + "\n" + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--machine")
    parser.add_argument("--libsmb2", type=os.path.abspath)
    parser.add_argument("--only", default=",".join(CLIENTS))
    parser.add_argument("--cases")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    columns, cases = old_columns() if PAGE.exists() else {}, cases_of(options.smbproof)
    with tempfile.TemporaryDirectory(prefix="smbproof-clients-") as folder:
        for name in options.only.split(","):
            report = report_of(name, options, Path(folder))
            if report is None:
                print(f"{name} is not there", file=sys.stderr)
                continue
            columns.setdefault(name, {}).update(column_of(report))
            for case in report["cases"]:
                if case["outcome"] not in ("pass", "skip"):
                    print(f"{name}: {case['name']}: {case['seen']}", file=sys.stderr)
    tables = list(count_table(columns, cases)), list(case_table(columns, cases))
    if not options.write:
        print("\n".join([*tables[0], "", *tables[1]]))
        return 0
    put(README, tables[0])
    put(PAGE, [*tables[0], "", *tables[1]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
