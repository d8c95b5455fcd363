#!/usr/bin/env python3
"""`smbproof conform server` against our own server, smbd, impacket's smbserver and ksmbd, and its reports.

usage: conform_check.py --smbproof PROGRAM [--serve] [--slow] [--machine PROGRAM]

Prints TAP. --serve: PROGRAM has the file server, which must do everything right; its log says which rules the cases
have made it raise, and those have to be all that src/core raises on a server's side. --slow: fewer configurations.
--machine: boots Linux's ksmbd (machine.py says how it is called); else it is not tried.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from conform_suite import ROOT, TIMEOUT_SECONDS, Suite, details, having, known_in, validator  # noqa: E402
from machine import KernelServer  # noqa: E402
from probe_check import IMPACKET, wait_for  # noqa: E402
from samba import Samba, free_port  # noqa: E402
from tamper_relay import TamperRelay  # noqa: E402
from tap import Tap  # noqa: E402

PASSWORD = "secret"
RUNS_AT_A_TIME = 4
KNOWN = ROOT / "examples" / "conform" / "smbd-4.17.known"
KNOWN_IMPACKET, KNOWN_KSMBD = KNOWN.with_name("impacket-0.10.known"), KNOWN.with_name("ksmbd-6.12.known")

# Options of our server -> on which share.
CONFIGURATIONS = (
    (("--loops", "3"), "data"),
    (("--sign", "allowed"), "data"),
    (("--encrypt", "required"), "data"),
    ((), "locked"),
    (("--dialects", "2.0.2,2.1"), "data"),
    (("--dialects", "3.0"), "data"),
    (("--dialects", "2.0.2,2.1,3.0,3.0.2"), "data"),
    (("--dialects", "3.1.1"), "data"),
)
# Rules of src/core/server*.c that the suite does not make a server raise, and why.
UNRAISED = {
    "SESSION_EXPIRED": "a ticket has to run out",
    "FRAME_TOO_LONG": "the shell looks at the length before it reads",
    "SESSION_BUSY": "whether it is depends on how quick the server is",
    "SESSION_LEGS": "the authentication has given up before",
    "INFO_REQUEST_COMMON_DIALECT": "this server compares the whole list, which comes before",
    "NEGOTIATE_RESERVED": "noted, not refused",
    "NEGOTIATE_GUID_ZERO": "noted, not refused",
}

# Settings of smbd -> cases that then deviate no more, or more than those of the file of known deviations.
SMBD = {
    "default settings": ({}, set(), set()),
    "signing required": (
        {"server signing": "mandatory"},
        {"ValidateNegotiateInfo_Negative_Unsigned", "BVT_TreeMgmt_SMB311_Disconnect_NoSignedNoEncryptedTreeConnect"},
        set(),
    ),
    "up to 3.0.2": (
        {"server max protocol": "SMB3_02"},
        {
            *(f"Negotiate_SMB311_Two{what}Contexts" for what in ("Integrity", "Encryption", "Signing", "Compression")),
            "ValidateNegotiateInfo_Negative_SMB311",
            "ValidateNegotiateInfo_Negative_DialectsPermuted",
            "BVT_TreeMgmt_SMB311_Disconnect_NoSignedNoEncryptedTreeConnect",
        },
        set(),
    ),
}


class Servers(Suite):
    def __init__(self, tap, program, schema, folder):
        super().__init__(program, "server", schema, folder, PASSWORD)
        self.tap = tap

    def run(self, port, *options, user="root", share="data"):
        return self.conform("--password-file", self.password_file, *options, f"smb://{user}@127.0.0.1:{port}/{share}")


# ---- our own server ----


class Own:
    def __init__(self, program, folder, *options):
        self.folder = Path(folder)
        shares = []
        speaks_3 = "2.0.2,2.1" not in options
        for name, words in (("data", ""), ("locked", ",encrypt"))[: 1 + speaks_3]:
            (self.folder / name).mkdir(exist_ok=True)
            shares += ["--share", f"{name}={self.folder / name}{words}"]
        accounts = self.folder / "accounts"
        if not accounts.exists():
            subprocess.run([program, "passwd", accounts, "ada"], input=b"secret\n", check=True, capture_output=True)
        self.command = [program, "serve", "--listen", "127.0.0.1:0", "--accounts", accounts, *shares, *options]

    def __enter__(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT_SECONDS)
        self.log.close()


def rules_of_server():
    """Name -> id of each rule that the server's side of src/core raises."""
    definitions = (ROOT / "src" / "core" / "rules.def").read_text()
    ids = dict(re.findall(r'^RULE\((\w+), "([^"]+)"', definitions, re.MULTILINE))
    sources = "".join(path.read_text() for path in (ROOT / "src" / "core").glob("server*.c"))
    named = set(re.findall(r"\bRULE_(\w+)", re.sub(r"/\*.*?\*/", "", sources, flags=re.DOTALL)))
    return {name: ids[name] for name in named if name in ids}


def names_of_others():
    """The cases that have the name of one of the Windows protocol test suite."""
    return {line.split("\t")[0] for line in (ROOT / "tests" / "interop" / "wpts_names.txt").read_text().splitlines()}


def own_server(suite, folder, slow):
    passed = set()
    for options, share in CONFIGURATIONS[:4] if slow else CONFIGURATIONS:
        with Own(suite.program, folder, *options) as server:
            report, code = suite.report(server.port, user="ada", share=share)
            passed |= having(report, "pass")
            wrong = having(report, "fail", "should", "unclear")
            complaints = details(report, wrong)
            if report["counts"]["pass"] < 70:
                complaints.append(f"only {report['counts']}")
            if code != 0:
                complaints.append(f"exit status {code}")
            suite.tap.result(f"our server {' '.join(options)} /{share}: {report['counts']['pass']} right", complaints)
    if slow:
        return
    missing = names_of_others() - passed
    suite.tap.result("each case that others have, too, is done right somewhere", sorted(missing))
    log = (Path(folder) / "log").read_text()
    raised = set(re.findall(r"(?:rule|refused)=([0-9.]+-[0-9]{2})", log))
    rules = rules_of_server()
    missing = {name for name, number in rules.items() if number not in raised}
    complaints = [f"{rules[name]} {name}: no case has made the server raise it" for name in missing - set(UNRAISED)]
    suite.tap.result(f"{len(rules) - len(missing)} rules of a server are raised by the cases", complaints)


# ---- others ----


def expect(suite, name, port, wanted, *options):
    """Just these cases deviate."""
    report, code = suite.report(port, *options)
    found = having(report, "fail", "should", "unclear")
    complaints = [f"now deviates: {text}" for text in details(report, found - wanted)]
    complaints += [f"deviates no more: {text}" for text in details(report, wanted - found)]
    if code != 1:
        complaints.append(f"exit status {code}")
    suite.tap.result(f"{name}: {len(found)} deviations", complaints)


def smbd(suite, slow):
    known = known_in(KNOWN)
    for name, (settings, fewer, more) in SMBD.items():
        if slow and settings:
            continue
        with Samba(settings) as samba:
            expect(suite, f"smbd, {name}", samba.port, known - fewer | more)
            if not settings:
                reports(suite, samba.port)
                waits(suite, samba.port)
                at_the_same_time(suite, samba.port)


def waits(suite, port):
    """What does not come is waited for by each case, but not by one after the other."""
    names = [f"ValidateNegotiateInfo_Negative_Invalid{what}" for what in ("Guid", "GuidEnd", "Capabilities")]
    with TamperRelay(port, ["validate.request:drop"]) as relay:
        report, _ = suite.report(relay.port, "--timeout", "3", "--only", ",".join(names))
    complaints = [f"{case['name']}: {case['seen']}" for case in report["cases"] if case["seen"] != "no answer"]
    if len(report["cases"]) != len(names) or relay.most < len(names):
        complaints.append(f"{len(report['cases'])} cases, {relay.most} connections at a time")
    suite.tap.result("cases that wait for what does not come do so side by side", complaints)


def at_the_same_time(suite, port):
    """Runs that make files on one share do not get into each other's way."""
    with concurrent.futures.ThreadPoolExecutor(RUNS_AT_A_TIME) as pool:
        only = ("--only", "compound,credits,BVT_Encryption_*")
        runs = list(pool.map(lambda _: suite.run(port, *only), range(2 * RUNS_AT_A_TIME)))
    alone = suite.run(port, *only).stdout
    complaints = [run.stdout for run in runs if run.stdout != alone or len(alone) < 100]
    suite.tap.result("runs at the same time say what one alone says", complaints)


def impacket(suite):
    python = "/usr/bin/python3"  # whose modules Debian's python3-impacket is among
    if subprocess.run([python, "-c", "import impacket"], capture_output=True).returncode != 0:
        suite.tap.skip("impacket's smbserver", "python3-impacket is not installed")
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [python, "-c", IMPACKET, str(port), folder, PASSWORD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(port, server)
            expect(suite, "impacket's smbserver", port, known_in(KNOWN_IMPACKET))
        finally:
            server.kill()
            server.wait()


def ksmbd(suite, machine):
    with KernelServer(machine) as server:
        expect(suite, "ksmbd", server.port, known_in(KNOWN_KSMBD))


# ---- reports ----

FEW = "validate,Echo,Header_*"


def tap_complaints(text):
    lines = text.splitlines()
    results = [line for line in lines if re.match(r"(not )?ok \d+ - ", line)]
    if lines[0] != "TAP version 13" or f"1..{len(results)}" not in lines:
        yield text
    bare = [line for line in results if line.startswith("not ok") and "# TODO" not in line]
    if not any("ValidateNegotiateInfo_Negative_SMB311" in line for line in bare):
        yield "the deviation on 3.1.1 is not told as a failure"


def junit_complaints(path, report):
    suite = xml.etree.ElementTree.parse(path).getroot()[0]
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    if int(suite.get("tests")) != len(report["cases"]) or failed != having(report, "fail"):
        yield f"{suite.attrib} {failed}"


def reports(suite, port):
    first, second = suite.run(port, "--only", FEW), suite.run(port, "--only", FEW)
    same = first.stdout == second.stdout and len(first.stdout) > 100
    suite.tap.result("two runs say the same", [] if same else [first.stdout, second.stdout])
    suite.tap.result("TAP", tap_complaints(suite.run(port, "--only", FEW, "--tap").stdout))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "junit.xml"
        report, _ = suite.report(port, "--only", FEW, "--junit", path)
        suite.tap.result("JUnit", junit_complaints(path, report))
        known_deviations(suite, port, Path(folder))
    lists(suite)


def known_deviations(suite, port, folder):
    report, code = suite.report(port, "--known", KNOWN, "--strict", "--only", FEW)
    complaints = details(report, having(report, "fail", "should"))
    if code != 0 or len(having(report, "known")) < 5:
        complaints.append(f"exit status {code}, {report['counts']}")
    suite.tap.result("known deviations are no failures", complaints)
    expired = folder / "expired"
    expired.write_text(KNOWN.read_text().replace("2027-12-31", "2020-12-31"))
    report, code = suite.report(port, "--known", expired, "--only", FEW)
    wrong = code != 1 or having(report, "known")
    suite.tap.result("until their day is over", [f"exit status {code}, {report['counts']}"] if wrong else [])
    for text, what in (("Echoo 2027-01-01 x\n", "no case's name"), ("Echo 2027-01-01\n", "reason"), ("Echo x y\n", "date")):
        expired.write_text(text)
        run = suite.run(port, "--known", expired, "--only", "Echo")
        wrong = run.returncode != 4 or what not in run.stderr or "line 1" not in run.stderr
        suite.tap.result(f"a file that is wrong: {what}", [f"{run.returncode} {run.stderr}"] if wrong else [])


def lists(suite):
    def list_of(*options):
        return suite.conform("--list", *options)

    named = names_of_others()
    listed = {line.split()[-1] for line in list_of().stdout.splitlines()}
    complaints = [f"{name} is not there" for name in sorted(named - listed)]
    suite.tap.result(f"{len(listed)} cases, {len(named)} of them named as elsewhere", complaints)
    run = list_of("--only", "Nothing")
    suite.tap.result("--only with a name that is none", [] if run.returncode == 3 else [run.stderr])
    run = suite.run(free_port())
    wrong = run.returncode != 6 or "Connection refused" not in run.stderr
    suite.tap.result("nobody listens", [f"{run.returncode} {run.stderr}"] if wrong else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--machine")
    options = parser.parse_args()
    tap = Tap()
    schema = validator()
    if schema is None:
        tap.skip("conform", "python3-jsonschema is not installed")
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-conform-") as folder:
        suite = Servers(tap, options.smbproof, schema, folder)
        if options.serve:
            own_server(suite, folder, options.slow)
        missing = Samba.missing()
        if missing:
            tap.skip("smbd", missing)
        else:
            smbd(suite, options.slow)
        impacket(suite)
        if options.machine:
            ksmbd(suite, options.machine)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
