#!/usr/bin/env python3
"""Writes docs/who-noticed.md: every client against every server through each profile of the relay, and who noticed.

usage: who_noticed.py --smbproof PROGRAM [--more] [--machine PROGRAM] [--profile NAME]... [--keep FOLDER]
           > docs/who-noticed.md

--more: further columns, such as clients that require signing, or begin with SMB1.
--machine: boots the Linux kernel's client and server (machine.py says how it is called), which are columns and a table
then. --keep: recordings of which explain says something wrong are left in this folder.

Takes some minutes, with --machine half an hour; needs root (smbd), smbclient and impacket. What is not there is left out,
and the page says so. A program without the file server leaves that out, too.
"""
import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import relay_lab  # noqa: E402
from machine import KernelServer  # noqa: E402
from relay_lab import Recording, Relay  # noqa: E402
from samba import Samba  # noqa: E402

START_SECONDS = 20


class OwnServer:
    """smbproof serve, with the same user and share as smbd in the tests."""

    name = "smbproof serve"

    def __init__(self, program):
        self.program = program

    def missing(self):
        status, _ = relay_lab.run([self.program, "serve", "--help"])
        return None if status == 0 else "this program is built without its file server"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="smbproof-noticed-")
        share, accounts = Path(self.folder.name, "share"), Path(self.folder.name, "accounts")
        share.mkdir()
        (share / "file").write_text("text\n")
        subprocess.run([self.program, "passwd", accounts, "root"], input=b"secret\n", check=True, capture_output=True)
        command = [self.program, "serve", "--listen", "127.0.0.1:0", "--sign", "allowed", "--accounts", accounts,
                   "--share", f"data={share}"]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(START_SECONDS)
        self.folder.cleanup()


class SambaServer:
    def __init__(self):
        self.name = "smbd"
        if not self.missing():
            version = subprocess.run(["smbd", "--version"], capture_output=True, text=True, env=None)
            self.name = f"smbd {version.stdout.split()[-1].split('-')[0]}"

    @staticmethod
    def missing():
        return Samba.missing()

    def __enter__(self):
        self.samba = Samba().__enter__()
        self.port = self.samba.port
        return self

    def __exit__(self, *arguments):
        self.samba.__exit__(*arguments)


def cell(connection):
    """What the table says of one connection."""
    outcome = connection["outcome"]
    who, where = connection["noticed_by"], connection["noticed_at"]
    if outcome == "predicted":
        return f"{who}, {where}"
    if outcome == "elsewhere":
        return f"{who or 'nobody'}, {where or '?'} (elsewhere)"
    return {"untouched": "–", "harmless": "works", "allowed": "not noticed", "unnoticed": "**not noticed**",
            "ended": "reset", "open": "hangs"}[outcome]  # fmt: skip


def keep_recording(recorded, folder, words):
    name = re.sub("[^a-z0-9.]+", "-", " ".join(words).lower())
    shutil.copytree(recorded, Path(folder) / name, dirs_exist_ok=True)


def try_one(program, server, client, dialect, profile, keep=None, tries=3):
    """-> the cell, and what explain says wrongly of the recording."""
    with Recording() as folder:
        with Relay(program, server.port, "--profile", profile, record=folder) as relay:
            client.run(relay.port, dialect)
        if not relay.connections and tries > 1:
            return try_one(program, server, client, dialect, profile, keep, tries - 1)
        wrong = list(relay_lab.told_wrongly(program, folder, relay.connections))
        if wrong and keep:
            keep_recording(folder, keep, (server.name, client.name, dialect, profile))
        return cell(relay.connections[0]) if relay.connections else "no connection", wrong


def table(program, server, columns, profiles, keep):
    """-> lines of Markdown, the number of connections, and what explain says wrongly."""
    heads = [f"{client.name} {dialect}" for client, dialect in columns]
    lines = ["| profile | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    wrongs, count = [], 0
    for profile in profiles:
        cells = []
        for client, dialect in columns:
            text, wrong = try_one(program, server, client, dialect, profile, keep)
            cells.append(text)
            wrongs += [f"{profile}, {client.name} {dialect}, {server.name}: {one}" for one in wrong]
            count += 1
            print(f"{server.name}, {profile}, {client.name} {dialect}: {text}", file=sys.stderr)
        lines.append(f"| `{profile}` | " + " | ".join(cells) + " |")
    return lines, count, wrongs


HEAD = """# Who noticed what

Real clients and servers with `smbproof relay` between them, one connection for each cell. The servers allow signing, and the
clients require it only where the column says so. The page is written by `tests/interop/who_noticed.py --more --machine
PROGRAM`, where the program boots the Linux kernel's client and server in virtual machines; `smbproof relay --list` tells
what each profile changes, and what must happen.

A cell says which end noticed, and at which message. **not noticed** in bold: a correct endpoint would have, by a MUST of
[MS-SMB2]; not noticed: left to the endpoint. "works": what was changed is protected by nothing, or only time and segments
were changed. "–": there was nothing to change. "elsewhere": noticed, but not by the end or at the message that [MS-SMB2]
demands, or though it demands nothing.
"""

FOOT = """## What `smbproof explain` says of the recordings

Each of the {count} connections was recorded, from both sides and from each alone, and the explanation compared with the
relay's own log: no recording of untouched connections may blame the path, none may call a change by another name than its
own with more than "possible", and from both sides together each change has to be found.
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smbproof", required=True)
    parser.add_argument("--profile", action="append")
    parser.add_argument("--more", action="store_true")
    parser.add_argument("--machine")
    parser.add_argument("--keep")
    options = parser.parse_args()
    program = str(Path(options.smbproof).resolve())
    profiles = options.profile or [profile["profile"] for profile in relay_lab.profiles(program)]
    kernel = relay_lab.kernel_client(options.machine, options.more)
    clients = [*relay_lab.clients(program, options.more), kernel]
    servers = [OwnServer(program), SambaServer(), KernelServer(options.machine)]
    absent = [peer.missing() for peer in (*clients, *servers) if peer.missing()]
    columns = [(client, dialect) for client in clients if not client.missing() for dialect in client.dialects]
    page, count, wrongs = [HEAD], 0, []
    with contextlib.nullcontext() if kernel.missing() else kernel:
        for server in servers:
            if server.missing():
                continue
            with server:
                lines, tried, wrong = table(program, server, columns, profiles, options.keep)
            page += [f"## {server.name}", "", *lines, ""]
            count += tried
            wrongs += wrong
    page.append(FOOT.format(count=count))
    page += [f"- {wrong}" for wrong in wrongs] or ["Nothing was wrong."]
    page += ["", "Not tried: " + "; ".join(absent) + "."] if absent else []
    print("\n".join(page))


if __name__ == "__main__":
    main()
