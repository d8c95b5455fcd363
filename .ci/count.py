#!/usr/bin/env python3
"""Counts what the test runs of some build folders said; the last line is `N passed, N failed, N skipped`.

usage: count.py FOLDER... [--broken FOLDER...]

A test that reports its cases (TAP) counts for each of them, any other for one. A folder that could not be built, or has
no test log, is one failure. Exit status 0 only where something ran and nothing failed.
"""
import argparse
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

GOOD = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}


def cases_of(folder):
    """Name of a test -> how many of its cases passed, failed, were skipped; only of tests that report cases."""
    root = ElementTree.parse(folder / "meson-logs" / "testlog.junit.xml").getroot()
    cases = {}
    for suite in root.iter("testsuite"):
        number = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        failed = number["failures"] + number["errors"]
        passed = number["tests"] - failed - number["skipped"]
        cases[suite.get("name")] = Counter(passed=passed, failed=failed, skipped=number["skipped"])
    return cases


def count(folder):
    """-> the numbers, sentences about what failed."""
    total, failures = Counter(), []
    cases = cases_of(folder)
    for line in (folder / "meson-logs" / "testlog.json").read_text().splitlines():
        test = json.loads(line)
        good = GOOD.get(test["result"])
        reported = next((cases[name] for name in cases if name.endswith("." + test["name"])), None)
        if reported is None:
            total[good or "failed"] += 1
        else:
            total += reported
            if good is None and not reported["failed"]:
                total["failed"] += 1  # every case passed, and then it crashed or leaked
        if good is None:
            failures.append(f"{folder}: {test['name']}: {test['result']}")
    return total, failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--broken", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    total, failures = Counter(), []
    for folder in options.folders:
        if folder in options.broken:
            more, sentences = Counter(failed=1), [f"{folder}: does not build"]
        else:
            try:
                more, sentences = count(folder)
            except (OSError, ValueError, ElementTree.ParseError) as error:
                more, sentences = Counter(failed=1), [f"{folder}: no test log: {error}"]
        total += more
        failures += sentences
    for sentence in failures:
        print(sentence)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 0 if total["passed"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
