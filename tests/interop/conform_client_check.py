#!/usr/bin/env python3
"""`smbproof conform client` with our own client, which may let nothing pass, smbclient and impacket, and its reports.

usage: conform_client_check.py --smbproof PROGRAM [--slow]

Prints TAP. --slow: fewer cases.
"""
import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from conform_suite import ROOT, Suite, details, having, known_in, validator  # noqa: E402
from tap import Tap  # noqa: E402

KNOWN = ROOT / "examples" / "conform" / "smbclient-4.17.known"
SMBCLIENT = "smbclient //127.0.0.1/share -p $SMBPROOF_PORT -U user%password -c ls"
IMPACKET = """
import os
from impacket.smbconnection import SMBConnection
c = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=int(os.environ["SMBPROOF_PORT"]), timeout=3)
c.login("user", "password")
c.listPath("share", "*")
"""
FEW = "Validate_Guid,Validate_UnsupportedSigned,Hash_Salt,Tree_*,Encrypted_BadTag,Encrypted_InnerSession,Setup_Guest_311"
SIDE_BY_SIDE = ("--jobs", "4")

# impacket 0.10 neither validates nor looks at signatures and tags; more is wrong with it.
IMPACKET_LETS_PASS = {
    "Validates_302",
    "Validates_210",
    "Tree_Unsigned_302",
    "Tree_BadSignature_302",
    "Create_BadSignature",
    "Encrypted_BadTag",
    "Encrypted_Clear",
    "Setup_Guest_302",
}


class Lab(Suite):
    def __init__(self, program, schema, folder):
        super().__init__(program, "client", schema, folder, "password")
        self.log = Path(folder) / "log"
        self.own = f"{program} ls --password-file {self.password_file} smb://user@127.0.0.1:$SMBPROOF_PORT/share"

    def listening(self, *options):
        return ["--listen", "127.0.0.1:0", "--log", self.log, *options]

    def run(self, client, *options):
        return self.conform(*self.listening("--run", client, *options))


def own_client(tap, lab, slow):
    report, code = lab.report(lab.own, *SIDE_BY_SIDE, *(["--only", FEW] if slow else []))
    wrong = details(report, having(report, "fail", "should", "unclear", "skip"))
    if code != 0:
        wrong.append(f"exit status {code}")
    tap.result(f"our client lets nothing pass of {len(report['cases'])} cases", wrong)


def smbclient(tap, lab, slow):
    if subprocess.run(["sh", "-c", "command -v smbclient"], capture_output=True).returncode != 0:
        tap.skip("smbclient", "it is not installed")
        return
    report, code = lab.report(SMBCLIENT, *SIDE_BY_SIDE, *(["--only", FEW] if slow else []))
    found = having(report, "fail", "should", "unclear", "skip")
    wanted = known_in(KNOWN) & {case["name"] for case in report["cases"]}
    wrong = [f"lets pass now: {text}" for text in details(report, found - wanted)]
    wrong += [f"lets pass no more: {text}" for text in details(report, wanted - found)]
    if code != 1:
        wrong.append(f"exit status {code}")
    tap.result(f"smbclient lets pass {len(found)} of {len(report['cases'])}", wrong)


def impacket(tap, lab):
    python = "/usr/bin/python3"  # whose modules Debian's python3-impacket is among
    if subprocess.run([python, "-c", "import impacket"], capture_output=True).returncode != 0:
        tap.skip("impacket", "python3-impacket is not installed")
        return
    with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
        program.write(IMPACKET)
        program.flush()
        only = ",".join(sorted(IMPACKET_LETS_PASS))
        report, code = lab.report(f"{python} {program.name}", "--only", only)
    wrong = details(report, IMPACKET_LETS_PASS - having(report, "fail", "should"))
    if code != 1:
        wrong.append(f"exit status {code}")
    tap.result("impacket lets pass what it is known for", wrong)


# ---- reports ----


def reports(tap, lab, folder):
    first, second = lab.run(lab.own, "--only", FEW, "-v"), lab.run(lab.own, "--only", FEW, "-v", *SIDE_BY_SIDE)
    same = first.stdout == second.stdout and len(first.stdout) > 500
    tap.result("two runs say the same, one after another and side by side", [] if same else [first.stdout, second.stdout])
    junit = Path(folder) / "junit.xml"
    run = lab.run(lab.own, "--only", FEW, "--tap", "--junit", junit)
    results = [line for line in run.stdout.splitlines() if re.match(r"(not )?ok \d+ - ", line)]
    wrong = [] if f"1..{len(results)}" in run.stdout and len(results) > 10 else [run.stdout]
    tap.result("TAP", wrong)
    suite = xml.etree.ElementTree.parse(junit).getroot()[0]
    named = suite.get("name") == "smbproof conform client" and int(suite.get("tests")) == len(results)
    tap.result("JUnit", [] if named else [str(suite.attrib)])


def known_deviations(tap, lab, folder):
    known = Path(folder) / "known"
    known.write_text("Setup_Guest_302 2999-12-31 guests are welcome\nSetup_Guest_311 2020-12-31 no more\n")
    # smbclient takes a guest's session, which a client should not, and --strict makes that a failure
    if subprocess.run(["sh", "-c", "command -v smbclient"], capture_output=True).returncode == 0:
        report, code = lab.report(SMBCLIENT, "--only", "Setup_Guest_*", "--known", known, "--strict")
        right = having(report, "known") == {"Setup_Guest_302"} and having(report, "fail") == {"Setup_Guest_311"}
        right = right and code == 1
        tap.result("known deviations, until their day is over", [] if right else details(report, {"Setup_Guest_302"}))
    report, code = lab.report(f"{lab.own} --dialects 3.1.1", "--only", "Hash_Salt,Validates_302")
    right = code == 0 and having(report, "skip") == {"Works_302_SigningAllowed", "Validates_302"}
    tap.result("a client without old dialects is not judged by them", [] if right else [str(report["cases"])])
    known.write_text("Echo 2999-12-31 a server's case\n")
    run = lab.run(lab.own, "--only", "Hash_Salt", "--known", known)
    wrong = [] if run.returncode == 4 and "no case's name" in run.stderr else [f"{run.returncode} {run.stderr}"]
    tap.result("a file of deviations with a name that is none", wrong)


# ---- what may go wrong ----


def no_client(tap, lab):
    report, code = lab.report("true", "--only", "Hash_Salt")
    wrong = details(report, {"Hash_Salt"} - having(report, "skip"))
    tap.result("a command that is no client", wrong if code == 2 else [f"exit status {code}"] + wrong)
    began = time.monotonic()
    report, code = lab.report("sleep 60", "--only", "Hash_Salt", "--timeout", "1")
    late = time.monotonic() - began > 20
    tap.result("a command that does not end is ended", ["it took too long"] if late or code != 2 else [])
    garbage = r"""/usr/bin/python3 -c 'import os, socket
for i in range(40):
    s = socket.create_connection(("127.0.0.1", int(os.environ["SMBPROOF_PORT"])))
    s.sendall(os.urandom(200))
    s.close()'"""
    report, code = lab.report(garbage, "--only", "Hash_Salt")
    tap.result("forty connections of garbage", [] if code == 2 else [f"exit status {code}"])


def wait_for_line(process, word):
    for line in process.stderr:
        if word in line:
            return line
    raise SystemExit(f"Bail out! it never said {word}")


def by_itself(tap, lab):
    """Clients that come by themselves, and an interrupt."""
    process = subprocess.Popen(
        lab.command(*lab.listening("--only", "Hash_Salt,Hash_ServerGuid")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        port = re.search(r":(\d+)\.", wait_for_line(process, "Waiting on")).group(1)
        for _ in range(40):  # a scanner uses no case up
            socket.create_connection(("127.0.0.1", int(port))).close()
            time.sleep(0.01)
        environment = dict(os.environ, SMBPROOF_PORT=port)
        for _ in range(2):
            subprocess.run(lab.own, shell=True, env=environment, capture_output=True, timeout=30)
        wait_for_line(process, "Hash_Salt: pass")
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)[0]
    finally:
        process.kill()
        process.wait()
    right = "2 as they should be" in output and "1 not applicable" in output and process.returncode == 0
    wrong = [] if right else [output, str(process.returncode)]
    tap.result("clients that come by themselves, until an interrupt", wrong)


def side_by_side(tap, lab):
    """An interrupt while several commands run."""
    command = lab.command(*lab.listening("--only", "Works*", "--json", *SIDE_BY_SIDE, "--run", "sleep 60"))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_line(process, "Waiting on")
        process.send_signal(signal.SIGINT)
        report = json.loads(process.communicate(timeout=20)[0])
    finally:
        process.kill()
        process.wait()
    right = process.returncode == 2 and {case["seen"] for case in report["cases"]} == {"not tried: interrupted"}
    tap.result("an interrupt of commands side by side", [] if right else [f"{process.returncode} {report['cases']}"])


def usage(tap, lab):
    listed = lab.conform("--list").stdout.splitlines()
    tap.result(f"{len(listed)} cases are listed", [] if len(listed) > 80 else listed)
    wrong = []
    for options, code in ((("--only", "Nothing"), 3), (("--listen", "127.0.0.1:none"), 6), (("--timeout", "0"), 3),
                          (("--jobs", "2"), 3), (("--jobs", "99", "--run", "true"), 3)):  # fmt: skip
        done = lab.conform(*options)
        if done.returncode != code or not done.stderr:
            wrong.append(f"{options}: {done.returncode} {done.stderr}")
    tap.result("what makes no sense", wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    tap = Tap()
    schema = validator()
    if schema is None:
        tap.skip("conform client", "python3-jsonschema is not installed")
        return tap.done()
    with tempfile.TemporaryDirectory(prefix="smbproof-conform-") as folder:
        lab = Lab(options.smbproof, schema, folder)
        own_client(tap, lab, options.slow)
        smbclient(tap, lab, options.slow)
        impacket(tap, lab)
        reports(tap, lab, folder)
        known_deviations(tap, lab, folder)
        no_client(tap, lab)
        by_itself(tap, lab)
        side_by_side(tap, lab)
        usage(tap, lab)
        # what a sanitizer says goes to standard error, which is the log's
        said = lab.log.read_text(errors="replace").splitlines()
        wrong = [line for line in said if "anitizer" in line or "runtime error" in line]
        tap.result("no sanitizer has spoken", wrong[:5])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
