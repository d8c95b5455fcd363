#!/usr/bin/env python3
"""Are the man pages well formed, and do they tell of each option that the command has, and of each key?

usage: man_check.py --smbproof COMMAND
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tap import Tap

# Commands that connect to nothing: the options of a connection are not theirs.
LOCAL = {"conform-client", "explain", "passwd", "relay", "serve", "status"}
# Pages that tell of several commands.
COMMANDS = {"files": ("ls", "get", "put", "cat", "mkdir", "rmdir", "rm", "mv", "stat", "shares"), "conform-client": ("conform client",)}


def lint(page):
    """-> complaints of mandoc or groff; None where neither is installed."""
    if shutil.which("mandoc"):
        command = ["mandoc", "-Tlint", "-Wwarning", page]
    elif shutil.which("groff"):
        command = ["groff", "-mandoc", "-ww", "-z", page]
    else:
        return None
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return (run.stdout + run.stderr).splitlines()


def options_of(text):
    return set(re.findall(r"--[a-z][a-z-]+", text))


def written_in(page):
    return page.read_text().replace("\\-", "-")


def printed_by(command, name):
    run = subprocess.run([command, *name.split(), "--help"], capture_output=True, text=True, timeout=60)
    printed = options_of(run.stdout)
    if run.returncode != 0 or not printed:
        raise SystemExit(f"Bail out! {name} --help: exit status {run.returncode}, {len(printed)} options")
    return printed


def options_complaints(command, name, page, elsewhere=frozenset()):
    """elsewhere: options that another page tells of."""
    printed = set().union(*(printed_by(command, one) for one in COMMANDS.get(name, (name,)))) - elsewhere
    written = options_of(written_in(page))
    for option in sorted(printed - written):
        yield f"{option} is not in {page.name}"
    for option in sorted(written - printed - elsewhere):
        yield f"{option} is in {page.name} but not in --help"


def plain(text):
    """A page's text without its macros and fonts."""
    text = re.sub(r"\\f[A-Z]|\\&", "", text.replace("\\-", "-"))
    text = re.sub(r"^\.[A-Z]+ ", "", text, flags=re.MULTILINE).replace('"', "")
    return re.sub(r"\s+", " ", text)


def entries_of(page):
    """-> {"--flag": (its heading, its text)} of the section KEYS."""
    section = page.read_text().split(".SH KEYS\n")[1].split(".SH ")[0]
    entries = {}
    for entry in section.split(".TP\n")[1:]:
        heading, text = (plain(part) for part in entry.split("\n", 1))
        for flag in options_of(heading):
            entries[flag] = heading, text
    return entries


def keys_complaints(settings, page):
    """Does the page have each key of the table, with its flag, its values and its default, and no others?"""
    entries = entries_of(page)
    for row in settings:
        flag = "--" + row["flag"]
        if flag not in entries:
            yield f"{flag} has no entry of its own"
            continue
        heading, text = entries.pop(flag)
        if row["key"] is not None and row["key"] not in re.split(r"[ ,]+", heading):
            yield f"{flag}: the key {row['key']} is not in its heading"
        if row["key"] is None and "Not in the file" not in text:
            yield f"{flag}: it is not said that the file does not take it"
        for word in re.split(r"\||, ", row["allowed"].removeprefix("some of ")):
            if word.lower() not in text.lower():
                yield f"{flag}: the value `{word}' is not told"
        if row["default"] and not re.search(
            rf"{re.escape(row['default'])} ?\((the default|also)|{re.escape(row['default'])} ?[^.]*the default|"
            rf"Default: {re.escape(row['default'])}", text
        ):
            yield f"{flag}: the default `{row['default']}' is not told"
    for flag in entries:
        yield f"{flag} is no option"


def settings_of(command):
    run = subprocess.run([command, "settings", "-o", "json", "--config=/dev/null"], capture_output=True, timeout=60)
    return json.loads(run.stdout)["settings"]


def served_of(command):
    """What `serve --check` shows: the rows of its table with a key, and those of a share."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([command, "serve", "--check", "-o", "json", f"--share=one={folder}"], capture_output=True,
                             timeout=60)  # fmt: skip
    shown = json.loads(run.stdout)
    return shown["server"], shown["shares"][0]["settings"]


def share_complaints(rows, page):
    """Is each key of a share told of, and the word that stands for it behind --share?"""
    text = page.read_text()
    for row in rows:
        heading = f'.BR {row["key"]} ", as " {row["flag"]} ' if row["flag"] else f'.B {row["key"]}\n'
        if heading not in text:
            yield f"{heading!r} is not in {page.name}"


def wrongs_complaints(settings, page):
    """The check itself has to notice what it is there for."""
    for what, change in (
        ("another value", {"allowed": "sometimes|never"}),
        ("another default", {"default": "sometimes"}),
        ("another flag", {"flag": "signature"}),
        ("another key", {"key": "Signature"}),
    ):
        wrong = [{**row, **change} if row["flag"] == "sign" else row for row in settings]
        if not list(keys_complaints(wrong, page)):
            yield f"not noticed: {what}"
    if not list(keys_complaints(settings[1:], page)):
        yield "not noticed: an entry too many"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    command = parser.parse_args().smbproof
    docs = Path(os.environ["SMBPROOF_SOURCE_ROOT"]) / "docs"
    tap = Tap()
    for page in sorted(docs.glob("*.[15]")):
        complaints = lint(page)
        if complaints is None:
            tap.skip(page.name, "neither mandoc nor groff is installed")
        else:
            tap.result(page.name, complaints)
    settings, page = settings_of(command), docs / "smbproof.conf.5"
    tap.result("keys of smbproof.conf(5)", keys_complaints(settings, page))
    tap.result("this test notices wrong keys", wrongs_complaints(settings, page))
    served, share = served_of(command)
    tap.result("keys of smbproof-serve(1)", keys_complaints(served, docs / "smbproof-serve.1"))
    tap.result("keys of a share in smbproof-serve(1)", share_complaints(share, docs / "smbproof-serve.1"))
    connection = {"--" + row["flag"] for row in settings} | {"--config"}
    for page in sorted(docs.glob("smbproof-*.1")):
        name = page.stem.removeprefix("smbproof-")
        shared = frozenset() if name in LOCAL else connection
        tap.result(f"options of {name}", options_complaints(command, name, page, shared))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
