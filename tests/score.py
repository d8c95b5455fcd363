#!/usr/bin/env python3
"""Runs the laboratory's scorer where its captures are at hand (../shared beside the checkout), else is skipped (77)."""
import os
import subprocess
import sys
from pathlib import Path

SKIPPED = 77


def main():
    shared = Path(os.environ["SMBPROOF_SOURCE_ROOT"]) / ".." / "shared"
    scorer, captures = shared / "tools" / "score_explain.py", shared / "captures" / "dev"
    if not (scorer.exists() and (captures / "truth.jsonl").exists()):
        print("skipped: there is no ../shared/captures/dev beside this checkout")
        return SKIPPED
    command = [sys.executable, scorer, os.environ["SMBPROOF"], captures / "truth.jsonl", captures]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
