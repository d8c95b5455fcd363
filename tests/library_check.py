#!/usr/bin/env python3
"""libsmbproof as another program sees it: the header, the example, what is installed.

usage: library_check.py --example PROGRAM --source ROOT [--build FOLDER] [--update]

The example's text has to be what the header shows (--update writes it there), and the program has to work against smbd.
With --build, that folder's library is installed in a temporary place, and the example built from there with pkg-config,
with the shared library and with the static one. Prints TAP.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "interop")]
from samba import Samba  # noqa: E402
from tap import Tap  # noqa: E402

LINES_MAX = 60
BEGIN = " * A whole program, examples/validate.c:\n *\n"
END = " */\n#ifndef SMBPROOF_H"
TIMEOUT_SECONDS = 60
WARNINGS = ("-Wall", "-Wextra", "-Werror")


def shown(example):
    """The example as the header's comment has it."""
    return "".join((" *     " + line).rstrip() + "\n" for line in example.read_text().splitlines())


def check_text(header, example, update):
    text = header.read_text()
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < 0:
        return ["the header has no place for the example"]
    if update:
        header.write_text(text[: begin + len(BEGIN)] + shown(example) + text[end:])
        return []
    complaints = []
    if text[begin + len(BEGIN) : end] != shown(example):
        complaints.append("the header does not show the example as it is; --update writes it there")
    lines = len(example.read_text().splitlines())
    if lines > LINES_MAX:
        complaints.append(f"the example has {lines} lines, {LINES_MAX} are allowed")
    return complaints


def check_header(header):
    """By itself, in old C and in C++, without a warning."""
    for compiler, language in (("cc", "c -std=c99"), ("c++", "c++ -std=c++11")):
        if shutil.which(compiler) is None:
            continue
        command = [compiler, *WARNINGS, "-Wpedantic", "-fsyntax-only", "-x", *language.split(), str(header)]
        done = subprocess.run(command, capture_output=True, text=True)
        # A header that is compiled by itself has that one warning.
        if done.returncode != 0 and "pragma once" not in done.stderr:
            yield f"{compiler}: {done.stderr}"


def run_example(program, samba, share="data", password="secret", environment=None):
    command = [program, "127.0.0.1", str(samba.port), "root", share]
    environment = {**os.environ, **(environment or {}), "SMBPROOF_PASSWORD": password}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_SECONDS)


def wrong(done, status, text):
    if done.returncode == status and text in done.stdout and not done.stderr:
        return []
    return [f"exit status {done.returncode}, should be {status}; no {text!r} in {done.stdout!r}; {done.stderr}"]


def check_example(tap, program):
    for settings, text in (
        ({}, "dialect 3.1.1, signing AES-GMAC, validation hash"),
        ({"server max protocol": "SMB3_02"}, "dialect 3.0.2, signing AES-CMAC, validation same"),
        ({"server max protocol": "SMB2_10"}, "dialect 2.1, signing HMAC-SHA256, validation same"),
        ({"server max protocol": "SMB2_02"}, "dialect 2.0.2, signing HMAC-SHA256, validation unsupported"),
        ({"smb encrypt": "required"}, "dialect 3.1.1"),
    ):
        with Samba(settings) as samba:
            tap.result(f"the example says: {text}", wrong(run_example(program, samba), 0, text))
    with Samba() as samba:
        failed = run_example(program, samba, password="wrong")
        tap.result("the example with a wrong password", wrong(failed, 1, "STATUS_LOGON_FAILURE"))
        failed = run_example(program, samba, share="nothing-here")
        tap.result("the example without a share", wrong(failed, 1, "STATUS_BAD_NETWORK_NAME"))


def pkg_config(folder, *arguments):
    path = next(folder.rglob("smbproof.pc")).parent
    environment = {**os.environ, "PKG_CONFIG_PATH": str(path), "PKG_CONFIG_SYSROOT_DIR": str(folder)}
    command = ["pkg-config", *arguments, "smbproof"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()


def check_files(tap, build, source):
    """Whatever has to be installed beside the library: the command, and all that docs/ and systemd/ have for others."""
    wanted = {"smbproof", "smbproof.service", *(path.name for path in (source / "docs").glob("*.schema.json"))}
    wanted |= {path.name for path in source.glob("docs/*.[1-8]")} | {path.name for path in source.glob("systemd/*.socket")}
    with tempfile.TemporaryDirectory(prefix="smbproof-install-") as name:
        done = subprocess.run(["make", "-s", "-C", source, f"BUILD={build}", "install"], capture_output=True, text=True,
                              env={**os.environ, "DESTDIR": name})  # fmt: skip
        missing = wanted - {path.name for path in Path(name).rglob("*") if path.is_file()}
    complaints = [f"not installed: {', '.join(sorted(missing))}"] if missing else []
    tap.result("make install", complaints + ([done.stderr] if done.returncode != 0 else []))


def check_installed(tap, build, example):
    with tempfile.TemporaryDirectory(prefix="smbproof-library-") as name, Samba() as samba:
        folder = Path(name)
        command = ["meson", "install", "-C", build, "--no-rebuild", "--destdir", name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            tap.result("the library is installed", [done.stdout[-2000:] + done.stderr])
            return
        library = next(folder.rglob("libsmbproof.so")).parent
        private = [flag for flag in pkg_config(folder, "--libs", "--static") if "smbproof" not in flag]
        for kind, libraries in (
            ("shared", pkg_config(folder, "--libs")),
            ("static", [str(library / "libsmbproof.a"), *private]),
        ):
            program = folder / f"validate-{kind}"
            command = ["cc", *WARNINGS, *pkg_config(folder, "--cflags"), str(example), "-o", str(program)]
            done = subprocess.run([*command, *libraries], capture_output=True, text=True)
            complaints = [done.stderr] if done.returncode != 0 else []
            if not complaints:
                ran = run_example(str(program), samba, environment={"LD_LIBRARY_PATH": str(library)})
                complaints = wrong(ran, 0, "dialect 3.1.1, signing AES-GMAC, validation hash")
            tap.result(f"the example built with the installed {kind} library", complaints)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--example")
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("--build")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    header, example = options.source / "include" / "smbproof.h", options.source / "examples" / "validate.c"
    tap = Tap()
    tap.result("the header shows the example", check_text(header, example, options.update))
    tap.result("the header stands by itself", check_header(header))
    if options.update:
        return tap.done()
    if options.build:
        check_files(tap, options.build, options.source)
    if Samba.missing():
        tap.skip("the example against smbd", Samba.missing())
        return tap.done()
    check_example(tap, options.example)
    if options.build:
        check_installed(tap, options.build, example)
    else:
        tap.skip("the installed library", "needs a build without sanitizers")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
