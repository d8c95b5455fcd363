#!/usr/bin/env python3
"""`smbproof probe` against smbd, impacket's smbserver, ksmbd, nobody, and through a relay that changes one NEGOTIATE field.

usage: probe_check.py --smbproof PROGRAM [--slow] [--serve] [--machine PROGRAM]

Prints TAP. What it should find of each is written down here, test by test: more and less than that is an error. --slow:
with sanitizers, where the search through all octets takes its time, fewer relays are tried. --machine: boots Linux's
ksmbd (machine.py says how it is called); else it is not tried.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from machine import KernelServer  # noqa: E402
from samba import Samba, free_port  # noqa: E402
from serve_check import Server  # noqa: E402
from tamper_relay import TamperRelay  # noqa: E402
from tap import Tap  # noqa: E402

TIMEOUT_SECONDS = 280
PASSWORD = "secret"
# smbd 4.17, its default settings: deviations and their causes, and what is left open by its configuration.
SMBD_DEVIATES = {
    "two-preauth": "D06",
    "permuted-dialects": "V13",
    "small-output": "V06",
    "unsigned": "V08",
    "validate-3.1.1": "V09",
    "unsigned-tree-3.1.1": "S02",
}
SMBD_EXPOSED = {"signing-offered": "X02"}
IMPACKET_DEVIATES = {
    **{f"dialect-{dialect}": "D01" for dialect in ("2.1", "3.0", "3.0.2", "3.1.1")},
    "second-negotiate": "D05",
    **{f"wrong-{field}": "V13" for field in ("guid", "guid-end", "security-mode", "capabilities", "dialects")},
    "fewer-dialects": "V13",
    "small-output": "V06",
    "unsigned": "V08",
    "bad-signature": "S10",
}
# Linux 6.12: a mismatch is answered under signature; on 2.1 the validation is not known, and the logon's last response
# not signed.
KSMBD_DEVIATES = {
    "two-preauth": "D06",
    "validate-2.1": "V12+S09",
    **{f"wrong-{field}": "V13" for field in ("guid", "guid-end", "security-mode", "capabilities", "dialects")},
    "fewer-dialects": "V13",
    "permuted-dialects": "V13",
    "small-output": "V06",
    "unsigned": "V08",
    "validate-3.1.1": "V09",
    "unsigned-tree-3.1.1": "S02",
}
IMPACKET_EXPOSED = {"signing-offered": "X02", "smb1": "X04"}
# Change -> the field that has to be named, None where it cannot be found out, and M10 where protection is lost.
RELAYS = {
    "negotiate.request.Capabilities&=~0x40": ("NEGOTIATE request Capabilities", True),
    "negotiate.request.SecurityMode^=2": ("NEGOTIATE request SecurityMode", False),
    "negotiate.request.ClientGuid=0": ("NEGOTIATE request ClientGuid", False),
    "negotiate.request.Dialects-=0x0311": ("NEGOTIATE request Dialects", True),
    "negotiate.request.Dialects-=0x0300,0x0302,0x0311": ("NEGOTIATE request Dialects", True),
    "negotiate.request:cipher": ("NEGOTIATE request SMB2_ENCRYPTION_CAPABILITIES context", False),
    "negotiate.response.Capabilities&=~4": ("NEGOTIATE response Capabilities", False),
    "negotiate.response.SecurityMode^=2": ("NEGOTIATE response SecurityMode", False),
    "negotiate.response.ServerGuid^=0x5a": ("NEGOTIATE response ServerGuid", False),
    "negotiate.response.MaxReadSize=0x100000": ("NEGOTIATE response MaxReadSize", False),
    "negotiate.request.ClientGuid^=0x5a": (None, False),
}
SLOW_RELAYS = ("negotiate.request.Dialects-=0x0311", "negotiate.request.ClientGuid=0")
# What a relay's run needs: the hash, and the validation of one list and one dialect.
RELAY_TESTS = "hash-3.1.1,validate-list,validate-3.0.2,wrong-guid,validate-3.1.1"


class Prober:
    def __init__(self, tap, command, validator):
        self.tap, self.command, self.validator = tap, command, validator

    def run(self, *arguments, password=PASSWORD):
        environment = {**os.environ, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"}
        environment.pop("SMBPROOF_PASSWORD", None)
        if password is not None:
            environment["SMBPROOF_PASSWORD"] = password
        return subprocess.run(
            [self.command, "probe", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=TIMEOUT_SECONDS,
        )

    def report(self, port, *arguments, user="root", **how):
        """-> (report, exit status, complaints)."""
        url = f"smb://{user + '@' if user else ''}127.0.0.1:{port}/data"
        run = self.run("--json", url, *arguments, **how)
        try:
            report = json.loads(run.stdout)
        except json.JSONDecodeError:
            return None, run.returncode, [f"exit status {run.returncode}: {run.stdout[-200:]}{run.stderr[-2000:]}"]
        complaints = [f"{error.json_path}: {error.message[:300]}" for error in self.validator.iter_errors(report)]
        if "intrusion prevention" not in run.stderr:
            complaints.append("no warning that an intrusion prevention system may react")
        return report, run.returncode, complaints


def found(report, outcome):
    return {test["name"]: "+".join(test["rules"]) for test in report["tests"] if test["outcome"] == outcome}


def differences(what, seen, wanted):
    if seen != wanted:
        extra = {name: rule for name, rule in seen.items() if wanted.get(name) != rule}
        missing = {name: rule for name, rule in wanted.items() if seen.get(name) != rule}
        yield f"{what}: too many or otherwise {extra}, missing or otherwise {missing}"


def expect(prober, name, port, verdict, deviates, exposed, status, *arguments, unclear=None, **how):
    report, code, complaints = prober.report(port, *arguments, **how)
    if report is not None:
        if report["verdict"] != verdict:
            complaints.append(f"verdict {report['verdict']}, should be {verdict}")
        complaints += differences("server", found(report, "server"), deviates)
        complaints += differences("exposed", found(report, "exposed"), exposed)
        complaints += differences("unclear", found(report, "unclear"), unclear or {})
        complaints += differences("path", found(report, "path"), {})
        if code != status:
            complaints.append(f"exit status {code}, should be {status}")
    prober.tap.result(name, complaints + ([json.dumps(report)] if complaints else []))
    return report


def without(findings, *names):
    return {name: rule for name, rule in findings.items() if name not in names}


def smbd(prober):
    with Samba() as samba:
        report = expect(prober, "smbd", samba.port, "server-deviates", SMBD_DEVIATES, SMBD_EXPOSED, 0)
        if report is not None:
            proven = {"proven": True, "hash": "proven", "validated": "3.0.2"}
            skipped = [test["name"] for test in report["tests"] if test["outcome"] == "skipped"]
            prober.tap.result("smbd: the path is proven", differences("path", report["path"], proven))
            prober.tap.result("smbd: nothing was skipped", skipped)
        one, options = {"two-preauth": "D06"}, ("--only=two-preauth", "--fail-on=note")
        expect(prober, "smbd: deviations count when asked for", samba.port, "server-deviates", one, {}, 1, *options)
        no_logon = {name: rule for name, rule in SMBD_DEVIATES.items() if name.startswith("two-")}
        how = {"user": "", "password": None}
        expect(prober, "without credentials", samba.port, "server-deviates", no_logon, SMBD_EXPOSED, 0, **how)
        wrong_password(prober, samba)
        faces(prober, samba)
        dry_run(prober)


def wrong_password(prober, samba):
    report, code, complaints = prober.report(samba.port, password="wrong")
    if report is not None:
        unclear = found(report, "unclear")
        complaints += differences("unclear", unclear, {"client": "A01"})
        refused = [test for test in report["tests"] if test["seen"] == "the logon was refused"]
        if len(refused) < 10:
            complaints.append(f"only {len(refused)} tests left the account alone")
        if code != 2:
            complaints.append(f"exit status {code}, should be 2")
    prober.tap.result("a wrong password is tried once", complaints)


def faces(prober, samba):
    url = f"smb://root@127.0.0.1:{samba.port}/data"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "junit.xml")
        run = prober.run(url, f"--junit={path}", "--only=two-preauth,unknown-hash,second-negotiate,validate-3.0")
        complaints = []
        suite = xml.etree.ElementTree.parse(path).getroot()[0]
        cases = {case.get("name"): [child.tag for child in case] for case in suite}
        right = int(suite.get("tests")) == len(cases) and suite.get("failures") == "1"
        if not right or cases["two-preauth"] != ["failure"]:
            complaints.append(f"{suite.attrib} {cases}")
        if cases["unknown-hash"] or cases["validate-3.0"]:
            complaints.append(f"not all that is right passes: {cases}")
    prober.tap.result("--junit", complaints)
    lines = run.stdout.splitlines()
    complaints = [] if lines and lines[0].startswith("THE SERVER DEVIATES") else [run.stdout[:500]]
    complaints += [] if "two-preauth          server   D06" in run.stdout else ["no row for two-preauth in the table"]
    prober.tap.result("words first, then a table", complaints)


def dry_run(prober):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        port = listener.getsockname()[1]
        run = prober.run("--dry-run", f"smb://root@127.0.0.1:{port}/data")
        complaints = [] if run.returncode == 0 and "wrong-guid" in run.stdout else [run.stdout + run.stderr]
        try:
            listener.accept()
            complaints.append("a connection was made")
        except TimeoutError:
            pass
    prober.tap.result("--dry-run says it and sends nothing", complaints)
    run = prober.run("--only=wrong-guid,nonsense", "smb://root@127.0.0.1/data")
    complaints = [] if run.returncode == 3 else [f"exit status {run.returncode}"]
    prober.tap.result("--only refuses what is no test", complaints)


def smbd_settings(prober):
    with Samba({"server signing": "mandatory"}) as samba:
        deviates = without(SMBD_DEVIATES, "unsigned", "unsigned-tree-3.1.1")
        expect(prober, "smbd: signing mandatory", samba.port, "server-deviates", deviates, {}, 0)
    with Samba({"server smb encrypt": "required"}) as samba:
        deviates = without(SMBD_DEVIATES, "unsigned", "unsigned-tree-3.1.1")
        expect(prober, "smbd: encryption required", samba.port, "server-deviates", deviates, SMBD_EXPOSED, 0)
    with Samba({"server max protocol": "SMB3_02"}) as samba:
        deviates = {name: SMBD_DEVIATES[name] for name in ("small-output", "unsigned")}
        expect(prober, "smbd: up to 3.0.2", samba.port, "server-deviates", deviates, SMBD_EXPOSED, 0)
    with Samba({"server max protocol": "SMB2_02"}) as samba:
        report, _, complaints = prober.report(samba.port)
        validation = next(test for test in report["tests"] if test["name"] == "validate-2.0.2") if report else None
        if validation is None or (validation["outcome"], validation["rules"]) != ("right", ["V02"]):
            complaints.append(f"validate-2.0.2: {validation}")
        prober.tap.result("smbd: 2.0.2 alone says under signature that it knows no validation", complaints)


def own_server(prober):
    """No deviation, in whichever way it is run."""
    for options in ((), ("--sign=allowed",), ("--encrypt=required",), ("--dialects=2.0.2-3.0.2",)):
        exposed = {"signing-offered": "X02"} if "--sign=allowed" in options else {}
        name = f"our own server {' '.join(options)}"
        with tempfile.TemporaryDirectory(prefix="smbproof-probe-") as folder, \
             Server(prober.command, folder, *options) as server:
            expect(prober, name, server.port, "healthy", {}, exposed, 0, user="ada", password="secret")


def relays(prober, names):
    with Samba() as samba:
        with TamperRelay(samba.port) as relay:
            report, _, complaints = prober.report(relay.port, f"--only={RELAY_TESTS}")
            if report is None or report["verdict"] != "server-deviates" or not report["path"]["proven"]:
                complaints.append(json.dumps(report))
            prober.tap.result("a relay that changes nothing is not noticed", complaints)
        for name in names:
            field, downgrade = RELAYS[name]
            with TamperRelay(samba.port, [name]) as relay:
                report, code, complaints = prober.report(relay.port, f"--only={RELAY_TESTS}")
                complaints += relay_complaints(report, code, field, downgrade)
                if relay.applied[name] == 0:
                    complaints.append("the relay changed nothing")
            prober.tap.result(f"a relay: {name}", complaints + ([json.dumps(report)] if complaints else []))


def relay_complaints(report, code, field, downgrade):
    if report is None:
        return
    if report["verdict"] != "path-alters" or report["path"]["proven"] or code != 1:
        yield f"verdict {report['verdict']}, path {report['path']}, exit status {code}"
    blamed = [test["name"] for test in report["tests"] if test["outcome"] == "server" and test["severity"] == "problem"]
    if blamed:
        yield f"the server is blamed for {blamed}"
    alterations = [test["alteration"] for test in report["tests"] if test["outcome"] == "path" and test["alteration"]]
    fields = {alteration["field"] for alteration in alterations}
    if field is not None and fields != {field}:
        yield f"{fields} instead of {field}"
    if any(alteration["here"] == alteration["at_server"] is not None for alteration in alterations):
        yield f"the same values at both ends: {alterations}"
    if downgrade != any("M10" in test["rules"] for test in report["tests"] if test["outcome"] == "path"):
        yield f"M10 is {'missing' if downgrade else 'told'}"


def unreachable(prober):
    report, code, complaints = prober.report(free_port())
    wanted = ("unreachable", {"reach": "T02"}, 6)
    if report is None or (report["verdict"], found(report, "unclear"), code) != wanted:
        complaints.append(f"exit status {code}: {json.dumps(report)}")
    prober.tap.result("nobody listens", complaints)
    run = prober.run("--require-secure-negotiate=0", f"smb://127.0.0.1:{free_port()}/data")
    warning = "RequireSecureNegotiate for 127.0.0.1 (--require-secure-negotiate)"
    wanted = (warning, "require signing", "3.1.1 is protected")
    complaints = [f"the warning lacks `{words}': {run.stderr}" for words in wanted if words not in run.stderr]
    prober.tap.result("validation switched off is warned of", complaints)
    run = prober.run("smb://root:secret@127.0.0.1/data")
    complaints = [] if run.returncode == 3 else [f"exit status {run.returncode}"]
    prober.tap.result("a password in the URL is refused", complaints)


IMPACKET = """
import sys
from impacket import smbserver
from impacket.ntlm import compute_lmhash, compute_nthash
server = smbserver.SimpleSMBServer("127.0.0.1", int(sys.argv[1]))
server.addShare("DATA", sys.argv[2], "")
server.setSMB2Support(True)
server.addCredential("root", 0, compute_lmhash(sys.argv[3]), compute_nthash(sys.argv[3]))
server.setLogFile("")
server.start()
"""


def impacket(prober):
    python = "/usr/bin/python3"  # whose modules Debian's python3-impacket is among
    if subprocess.run([python, "-c", "import impacket"], capture_output=True).returncode != 0:
        prober.tap.skip("impacket's smbserver", "python3-impacket is not installed")
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [python, "-c", IMPACKET, str(port), folder, PASSWORD],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port, server)
            expect(prober, "impacket's smbserver", port, "server-deviates", IMPACKET_DEVIATES, IMPACKET_EXPOSED, 1)
        finally:
            server.kill()
            server.wait()


def ksmbd(prober, machine):
    with KernelServer(machine) as server:
        expect(prober, "ksmbd", server.port, "server-deviates", KSMBD_DEVIATES, SMBD_EXPOSED, 1)


def wait_for(port, server):
    for _ in range(300):
        if server.poll() is not None:
            raise SystemExit("Bail out! impacket's smbserver did not start")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)


def schema_of(source):
    import jsonschema

    schema = json.loads((source / "docs" / "probe.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=os.path.abspath)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--serve", action="store_true", help="the program has the file server")
    parser.add_argument("--machine")
    options = parser.parse_args()
    tap = Tap()
    missing = Samba.missing()
    try:
        validator = schema_of(Path(__file__).resolve().parents[2])
    except ImportError:
        missing = missing or "python3-jsonschema is not installed"
    if missing:
        tap.skip("the probe", missing)
        return tap.done()
    prober = Prober(tap, options.smbproof, validator)
    unreachable(prober)
    if options.serve:
        own_server(prober)
    smbd(prober)
    smbd_settings(prober)
    relays(prober, SLOW_RELAYS if options.slow else RELAYS)
    impacket(prober)
    if options.machine:
        ksmbd(prober, options.machine)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
