#!/usr/bin/env python3
"""The server and the Linux kernel's client: each dialect, plain, signed, encrypted. Not part of the tests, as it takes minutes
and a virtual machine.

usage: kernel_client.py --smbproof PROGRAM --machine PROGRAM [--ways WAY,... ...] [--mib N] [--files N] [--soak SECONDS]

The machine's program is called as

    PROGRAM client --port N --share NAME --user U --password P --script FILE --no-mount --timeout SECONDS [--with PACKAGE,...]
        -- ARGUMENT...

and has to boot a kernel, run the script there with its arguments, with `cifs-mount OPTIONS` to mount the share of that
port of this machine at /mnt, and to end with the script's status.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from serve_manage import Place, Server  # noqa: E402

DIALECTS = ("2.0", "2.1", "3.0", "3.0.2", "3.1.1")
PACKAGES = "fsxlite,dbench,fio"


def all_ways():
    return [f"vers={dialect}{protection}" for dialect in DIALECTS
            for protection in ("", ",sign") + ((",seal",) if dialect >= "3" else ())]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True, type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--machine", required=True)
    parser.add_argument("--ways", nargs="*", default=all_ways())
    parser.add_argument("--mib", type=int, default=20)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--packages", default=PACKAGES)
    parser.add_argument("--timeout", type=int, default=1200)
    parser.add_argument("--log")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smbproof-kernel-") as folder:
        place = Place(options.smbproof, folder)
        place.write(place.share("data", "two"), server=["RequireSecuritySignature = allowed"])
        with Server(place) as server:
            command = [
                options.machine, "client", "--port", str(server.port), "--share", "data", "--user", "ada", "--password",
                "secret", "--script", Path(__file__).with_suffix(".sh"), "--no-mount", "--timeout", str(options.timeout),
            ]  # fmt: skip
            if options.soak:
                command += ["--with", options.packages]
            numbers = [str(options.mib), str(options.files), str(options.soak)]
            status = subprocess.run([*command, "--", *numbers, *options.ways]).returncode
            status = server.stop() or status
        left = [str(path.relative_to(folder)) for path in (Path(folder) / "two").rglob("*")][:100]
        print(f"# the machine's exit status {status}; left on the share: {left}")
        if options.log:
            Path(options.log).write_bytes((Path(folder) / "log").read_bytes())
    return 1 if status or left else 0


if __name__ == "__main__":
    sys.exit(main())
