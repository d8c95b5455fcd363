#!/usr/bin/env python3
"""Holds the layers of docs/architecture.md: who may include whom, and what the protocol's libraries may call.

usage: layers.py --source ROOT [--wire LIBWIRE --core LIBCORE]

Prints TAP. The libraries must come from a build without sanitizers, whose own symbols would be in the way; without
--wire and --core only the includes are looked at. It first shows on made-up trees that it would notice a breach.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

from tap import Tap

# The protocol knows no operating system: headers that declare types, and memory functions.
BARE_HEADERS = {"stdint.h", "stddef.h", "stdbool.h", "string.h", "assert.h", "limits.h"}
PROTOCOL = {"wire", "core"}

# Folder of src/ -> folders whose headers it may include.
MAY_INCLUDE = {
    "wire": {"wire"},
    "crypto": {"crypto", "wire"},
    "auth": {"auth", "wire"},  # and crypto/crypto.h, as core
    "core": {"core", "wire"},  # and crypto/crypto.h, see below
    "capture": {"capture", "wire"},
    "explain": {"explain", "capture", "core", "wire"},
    "net": {"net", "wire"},
    "client": {"client", "net", "auth", "core", "wire"},
    "store": {"store", "net", "wire"},  # of wire only text
    "lib": {"client", "auth", "core", "wire"},  # and include/smbproof.h
    "probe": {"probe", "client", "net", "auth", "core", "wire"},  # and words and output of explain
    "relay": {"relay", "net", "core", "wire"},
    "serve": {"serve", "store", "net", "auth", "core", "wire"},  # and crypto/crypto.h
    "conform": {"conform", "relay", "probe", "net", "auth", "core", "wire"},  # of relay alterations and stages
    "tools": {"tools", "relay", "serve", "store", "conform", "probe", "client", "net", "explain", "capture", "core", "auth", "crypto", "wire"},
}
MAY_INCLUDE_FILE = {folder: {"crypto/crypto.h"} for folder in ("auth", "core", "explain", "client", "serve")}
MAY_INCLUDE_FILE["conform"] = {"explain/output.h"}
MAY_INCLUDE_FILE["probe"] = {"crypto/crypto.h", "explain/finding.h", "explain/output.h"}
ONLY_OPENSSL = "crypto/openssl.c"

# What compilers, glibc's <assert.h> and its checked variants (-D_FORTIFY_SOURCE) leave undefined in a library that
# calls memcpy, memset, memcmp, memmove, memchr, strlen and assert.
BARE_SYMBOLS = {
    "memcpy", "memset", "memcmp", "bcmp", "memmove", "memchr", "strlen", "__assert_fail", "__stack_chk_fail",
    "__memcpy_chk", "__memset_chk", "__memmove_chk", "_GLOBAL_OFFSET_TABLE_",
}  # fmt: skip
# Functions that compilers know themselves; wire and core call some of them, so a listing without any is blind.
BUILT_IN = {"memcpy", "memset", "memcmp", "memchr"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
DECLARED = re.compile(r"\b([a-z][a-z0-9_]*)\s*\(")


def include_breaches(files):
    """files: {"wire/bytes.c": text, ...} -> sentences about what breaks the rules."""
    for name, text in sorted(files.items()):
        folder = name.split("/")[0]
        if folder not in MAY_INCLUDE:
            yield f"{name}: the folder {folder} has no rule in tests/layers.py"
            continue
        for own, system in INCLUDE.findall(text):
            if own:
                allowed = own in MAY_INCLUDE_FILE.get(folder, ()) or own.split("/")[0] in MAY_INCLUDE[folder]
                if "/" not in own or ".." in own or not allowed:
                    yield f'{name} includes "{own}"'
            elif system.startswith("openssl/") and name != ONLY_OPENSSL:
                yield f"{name} includes <{system}>, which only {ONLY_OPENSSL} may"
            elif folder in PROTOCOL and system not in BARE_HEADERS:
                yield f"{name} includes <{system}>: the protocol knows no operating system"


def undefined_symbols(listing):
    """What `readelf -sW` says of a static library: names that it needs and does not define, names that it defines.

    Not nm: of objects made for optimisation at link time (-flto) it leaves out what the compiler knows itself, malloc
    among them."""
    needed, defined = set(), set()
    for line in listing.splitlines():
        parts = line.split()
        if len(parts) == 8 and parts[0].endswith(":") and parts[4] in ("GLOBAL", "WEAK"):
            (needed if parts[6] == "UND" else defined).add(parts[7].split("@")[0])
    return needed - defined, defined


def symbol_breaches(library, needed, allowed):
    for symbol in sorted(needed - allowed):
        yield f"{library} calls {symbol}"


def self_checks():
    """Would each kind of breach be noticed? -> sentences about what was not."""
    breaches = {
        "wire/a.c": '#include "core/policy.h"\n',
        "wire/b.c": "#include <stdlib.h>\n",
        "core/c.c": "  #  include <time.h>\n",
        "core/d.c": '#include "capture/flow.h"\n',
        "capture/e.c": '#include "core/conversation.h"\n',
        "explain/f.c": '#include "tools/commands.h"\n',
        "tools/g.c": "#include <openssl/evp.h>\n",
        "tools/h.c": '#include "../wire/bytes.h"\n',
        "auth/j.c": '#include "core/client.h"\n',
        "unknown/i.c": "",
    }
    clean = {"wire/a.c": '#include "wire/bytes.h"\n#include <string.h>\n', "core/b.c": '#include "crypto/crypto.h"\n'}
    for name, text in breaches.items():
        if len(list(include_breaches({name: text}))) != 1:
            yield f"a breach in {name} is not noticed"
    if list(include_breaches(clean)):
        yield "a tree without breach is reported"
    listing = "File: lib.a(bytes.o)\n" + "".join(
        f"  {i}: 0000 0 NOTYPE GLOBAL DEFAULT {where} {name}\n"
        for i, (where, name) in enumerate([("UND", "malloc"), ("UND", "helper"), ("1", "helper")])
    )
    needed, _ = undefined_symbols(listing)
    if list(symbol_breaches("lib", needed, BARE_SYMBOLS)) != ["lib calls malloc"]:
        yield "a call of malloc is not noticed"


def symbols_of(library):
    run = subprocess.run(["readelf", "-sW", library], check=True, capture_output=True, text=True)
    needed, defined = undefined_symbols(run.stdout)
    if not defined or not needed & BUILT_IN:
        raise SystemExit(f"Bail out! the symbols of {library} are not all there")
    return needed, defined


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("--wire")
    parser.add_argument("--core")
    options = parser.parse_args()
    src = options.source / "src"
    files = {
        str(path.relative_to(src)): path.read_text()
        for path in src.rglob("*")
        if path.suffix in (".c", ".h", ".def")
    }
    tap = Tap()
    tap.result("this test notices breaches", self_checks())
    tap.result(f"includes of {len(files)} files", include_breaches(files) if files else ["no files found"])
    if options.wire and options.core:
        _, wire_defined = wire = symbols_of(options.wire)
        core = symbols_of(options.core)
        crypto = set(DECLARED.findall((src / "crypto" / "crypto.h").read_text()))
        tap.result("calls of wire", symbol_breaches("wire", wire[0], BARE_SYMBOLS))
        tap.result("calls of core", symbol_breaches("core", core[0], BARE_SYMBOLS | wire_defined | crypto))
    else:
        tap.skip("calls of wire and core", "needs a build without sanitizers")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
