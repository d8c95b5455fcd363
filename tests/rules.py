#!/usr/bin/env python3
"""Is every rule of src/core/rules.def raised by the code and seen in a test?

usage: rules.py --source ROOT TEST...

Each TEST is a unit test that tells, at its run, which rules it asserted that the code has raised (tests/unit/raised.h).
A rule counts as raised in the code where a file of src/ names it outside comments. First this shows on made-up rules
that it would notice one that is missing.
"""
import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tap import Tap

RULE = re.compile(r'^RULE\((\w+), "([^"]+)", "([^"]+)"', re.MULTILINE)
NAMED = re.compile(r"\bRULE_(\w+)")
TOLD = re.compile(r"^# raised (\w+)$", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def rules_of(definitions):
    """Text of rules.def -> [(name, id, section)]."""
    return RULE.findall(COMMENT.sub("", definitions))


def complaints_about(rules, sources, told):
    """sources: texts of C files; told: what the tests printed -> sentences about what is missing."""
    in_code = {name for text in sources for name in NAMED.findall(COMMENT.sub("", text))}
    in_tests = set(TOLD.findall(told))
    for name, number, section in rules:
        if not re.fullmatch(re.escape(section) + r"-\d\d", number):
            yield f"{number} {name}: an id is its section, {section}, and a number"
        if name not in in_code:
            yield f"{number} {name}: nothing in src/ raises it"
        if name not in in_tests:
            yield f"{number} {name}: no test asserts that it is raised"
    names = [name for name, _, _ in rules]
    numbers = [number for _, number, _ in rules]
    for what in sorted(word for word, times in Counter(names + numbers).items() if times > 1):
        yield f"{what} is there twice"


def self_checks():
    rules = rules_of('/* RULE(X, "0-0", */\nRULE(FIRST, "1-01", "1", \nRULE(SECOND, "1-02", "1", \n')
    source, told = "broken(RULE_FIRST); /* RULE_SECOND */", "# raised FIRST\nok 1 - SECOND\n"
    expected = ["1-02 SECOND: nothing in src/ raises it", "1-02 SECOND: no test asserts that it is raised"]
    if list(complaints_about(rules, [source], told)) != expected:
        yield "a rule that nobody raises and nobody tests is not noticed"
    if list(complaints_about(rules, [source + " RULE_SECOND"], told + "# raised SECOND\n")):
        yield "complaints about rules that are raised and tested"
    for wrong, what in (("FIRST", "1-03", "1"), "a name used twice"), (("THIRD", "V01", "1"), "an id of another form"):
        found = " ".join(complaints_about(rules + [wrong], [source], told))
        if "FIRST is there twice" not in found and "V01 THIRD: an id" not in found:
            yield f"{what} is not noticed"


def told_by(test):
    environment = dict(os.environ, SMBPROOF_TELL_RULES="1")
    run = subprocess.run([test], env=environment, capture_output=True, text=True, timeout=100)
    if run.returncode != 0:
        raise SystemExit(f"Bail out! {test} fails: {run.stderr[-300:]}")
    return run.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("tests", nargs="+")
    options = parser.parse_args()
    src = options.source / "src"
    rules = rules_of((src / "core" / "rules.def").read_text())
    sources = [path.read_text() for path in sorted(src.rglob("*.c"))]
    tap = Tap()
    tap.result("this test notices what is missing", self_checks())
    told = "".join(told_by(test) for test in options.tests)
    tap.result(f"{len(rules)} rules", complaints_about(rules, sources, told) if rules else ["no rules found"])
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
