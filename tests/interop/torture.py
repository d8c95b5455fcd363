#!/usr/bin/env python3
"""Samba's smbtorture against the server, compared with what torture.tsv says of each test.

usage: torture.py --smbproof PROGRAM [--quick] [--update] [--jobs N] [--timeout SECONDS] [--keep FOLDER] [TEST or suite ...]

Without names every test of torture.tsv is run, which takes a quarter of an hour; --quick takes those suites that are done
in less than a minute. Each test has a connection, a folder and a time limit of its own. torture.tsv has four columns: the
test, what comes of it here (pass, fail, skip, not run), what Samba 4.17's smbd gets in its plain configuration, and why it
does not pass here. A test that does not do what the file says is printed, and the exit status is 1: the file is to stay
true. --update writes the results into it instead; reasons are kept where a test still does not pass.
"""
import argparse
import collections
import concurrent.futures
import csv
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TABLE = Path(__file__).with_name("torture.tsv")
COLUMNS = ("test", "result", "smbd", "reason")
QUICK = ("smb2.connect", "smb2.credits", "smb2.compound", "smb2.compound_async", "smb2.tcon", "smb2.session-id", "smb2.read",
         "smb2.mkdir", "smb2.openattr", "smb2.winattr", "smb2.delete-on-close-perms", "smb2.getinfo", "smb2.session.reauth",
         "smb2.session.reconnect", "smb2.session.signing", "smb2.session.encryption", "smb2.notify.tdis", "smb2.notify.close",
         "smb2.notify.logoff", "smb2.notify.rmdir", "smb2.notify.double", "smb2.oplock.exclusive", "smb2.oplock.brl",
         "smb2.lock.lock", "smb2.lock.cancel", "smb2.rename.simple")  # fmt: skip
# They log on without a name, which is refused where no share is for guests.
ANONYMOUS = ("smb2.session.reauth2", "smb2.session.reauth3", "smb2.session.reauth4", "smb2.session.reauth5")
USER, PASSWORD = "ada", "secret"
TIMEOUT_SECONDS = 180
STOP_SECONDS = 20
OUTCOME = re.compile(r"^(success|failure|error|skip): (.+?)(?: \[)?$", re.MULTILINE)
RESULTS = {"success": "pass", "failure": "fail", "error": "fail", "skip": "skip"}


class Server:
    """One for many tests, with a share for each test that runs at a time; begun anew where it ended by itself."""

    def __init__(self, program, folder, shares, options=""):
        self.program, self.folder, self.options, self.deaths = program, folder, options, 0
        folder.mkdir()
        (folder / "smb.conf").write_text("[global]\nclient min protocol = SMB2_02\n")
        self.shares = {f"share{i}": folder / f"share{i}" for i in range(shares)}
        self.lock = threading.Lock()
        self.accounts = folder / "accounts"
        subprocess.run([program, "passwd", self.accounts, USER], input=f"{PASSWORD}\n".encode(), check=True,
                       capture_output=True)  # fmt: skip
        self.log = open(folder / "log", "ab")
        self.start()

    def start(self):
        options = [option for name, path in self.shares.items() for option in ("--share", f"{name}={path}{self.options}")]
        for path in self.shares.values():
            path.mkdir(exist_ok=True)
        command = [self.program, "serve", "--listen", "127.0.0.1:0", "--accounts", self.accounts, "--sign", "allowed"]
        self.process = subprocess.Popen(command + options, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def look(self):
        """Its port, and how often it died so far."""
        with self.lock:
            if self.process.poll() is not None:
                self.deaths += 1
                self.start()
            return self.port, self.deaths

    def stop(self):
        """What went wrong, or None."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "it did not stop"
        self.log.close()
        return None if status == 0 else f"the server ended with {status}"


def empty(folder):
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def run_one(server, share, test, timeout, keep):
    """pass, fail or skip, the first words of what smbtorture has to say, seconds."""
    port, deaths = server.look()
    empty(server.shares[share])
    command = ["smbtorture", f"//127.0.0.1/{share}", "-p", str(port), "-U", f"{USER}%{PASSWORD}", "-s",
               server.folder / "smb.conf", "--fullname", "--format=subunit", test]  # fmt: skip
    started = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        output, ended = done.stdout.decode(errors="replace"), f"smbtorture ended with {done.returncode}"
    except subprocess.TimeoutExpired as late:
        output, ended = (late.stdout or b"").decode(errors="replace"), f"not done after {timeout} s"
    seconds = time.monotonic() - started
    if keep:
        (keep / test).write_text(output)
    if server.look()[1] != deaths:
        return "fail", "the server died", seconds
    found = [match for match in OUTCOME.finditer(output) if match.group(2) == test]
    if not found:
        return "fail", ended, seconds
    lines = output[found[-1].end():].strip(" [\n").splitlines()
    return RESULTS[found[-1].group(1)], lines[0][:200] if lines else "", seconds


def run_all(server, guests, tests, jobs, timeout, keep, say):
    free = queue.SimpleQueue()
    for share in server.shares:
        free.put(share)

    def run(test):
        share = free.get()
        try:
            outcome = run_one(guests if test in ANONYMOUS else server, share, test, timeout, keep)
        finally:
            free.put(share)
        say(test, *outcome)
        return test, outcome

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return dict(pool.map(run, tests))


def read_table():
    with open(TABLE, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def write_table(rows):
    with open(TABLE, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writeheader()
        writer.writerows(rows)


def suite_of(test):
    return ".".join(test.split(".")[:2])


def is_named(test, name):
    """A suite, a test, or the beginning of a test's last word."""
    return test == name or test.startswith(name + "." if name.count(".") < 2 else name)


def chosen(rows, names):
    return [row for row in rows if row["result"] != "not run" and
            (not names or any(is_named(row["test"], name) for name in names))]  # fmt: skip


def summarize(rows, outcomes):
    """Passes for each suite, beside smbd's."""
    counts = collections.defaultdict(collections.Counter)
    for row in rows:
        if row["test"] in outcomes:
            count = counts[suite_of(row["test"])]
            passes = outcomes[row["test"]][0] == "pass"
            count.update(tests=1, here=passes, smbd=row["smbd"] == "pass", both=passes and row["smbd"] == "pass")
    total = collections.Counter()
    print(f"{'suite':34}{'tests':>6}{'here':>6}{'smbd':>6}{'both':>6}")
    for suite, count in sorted(counts.items()):
        total.update(count)
        print(f"{suite:34}" + "".join(f"{count[key]:>6}" for key in ("tests", "here", "smbd", "both")))
    print(f"{'all':34}" + "".join(f"{total[key]:>6}" for key in ("tests", "here", "smbd", "both")))


def update(rows, outcomes):
    for row in rows:
        if row["test"] in outcomes:
            row["result"] = outcomes[row["test"]][0]
        if row["result"] == "pass":
            row["reason"] = ""
        elif not row["reason"]:
            row["reason"] = "?" if row["smbd"] == "pass" else f"smbd: {row['smbd']}, too"
    write_table(rows)


def compare(rows, outcomes):
    differing = 0
    for row in rows:
        if row["test"] in outcomes and outcomes[row["test"]][0] != row["result"]:
            differing += 1
            print(f"{row['test']}: {outcomes[row['test']][0]}, should be {row['result']}. {outcomes[row['test']][1]}")
    return differing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=TIMEOUT_SECONDS)
    parser.add_argument("--keep", type=Path, help="smbtorture's output of each test, and the server's log, go there")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    rows = read_table()
    tests = [row["test"] for row in chosen(rows, options.names or (QUICK if options.quick else ()))]
    if not tests:
        parser.error("no such test")
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)

    def say(test, result, words, seconds):
        if options.verbose:
            print(f"{result:5}{seconds:6.1f} s  {test}  {words if result != 'pass' else ''}", flush=True)

    with tempfile.TemporaryDirectory(prefix="smbproof-torture-") as folder:
        program, folder = options.smbproof.absolute(), Path(folder)
        servers = [Server(program, folder / "users", options.jobs), Server(program, folder / "guests", options.jobs, ",guest")]
        outcomes = run_all(*servers, tests, options.jobs, options.timeout, options.keep, say)
        complaints = [server.stop() for server in servers]
        complaints += [f"a server died {server.deaths} times" for server in servers if server.deaths]
        log = "".join((server.folder / "log").read_text(errors="replace") for server in servers)
        if options.keep:
            (options.keep / "server.log").write_text(log)
    summarize(rows, outcomes)
    if "Sanitizer" in log:
        complaints.append(log[max(log.index("Sanitizer") - 200, 0):][:4000])
    complaints = [words for words in complaints if words]
    print("\n".join(complaints), end="\n" if complaints else "")
    if options.update:
        update(rows, outcomes)
        return 1 if complaints else 0
    return 1 if compare(rows, outcomes) or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
