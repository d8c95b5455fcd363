#!/usr/bin/env python3
"""Makes docs/protection.md of what tests/sim/protection has seen.

usage: protection.py TABLE                 prints the page
       protection.py --check TABLE PAGE    is PAGE what TABLE says? as TAP

TABLE is the output of `protection` without arguments. Each field that some alteration of passes unnoticed has a reason
below, and each reason has such a field.
"""
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tap import Tap  # noqa: E402

DIALECTS = ("2.0.2", "2.1", "3.0", "3.0.2", "3.1.1")
# Words of the table -> of the page.
CATCHERS = {
    "validation-server": "V→", "validation-client": "V←", "signature-server": "S→", "signature-client": "S←",
    "encryption": "E", "rule-server": "R→", "rule-client": "R←", "status": "R→", "silence": "T",
}  # fmt: skip
NOTHING = "–"

# Field (a pattern over "message: field") -> why nothing may catch an alteration of it.
REASONS = (
    (r"SMB1 NEGOTIATE request: .*|NEGOTIATE response to SMB1: .*",
     "nothing protects the exchange in SMB1; it only leads to an SMB2 NEGOTIATE, which is what counts"),
    (r".*: \((sent twice|made longer|last octet cut)\)",
     "what changes nothing of a message's meaning harms nobody"),
    (r"(NEGOTIATE|SESSION_SETUP|final SESSION_SETUP) (request|response): header .*",
     "the header of a message that is not signed is outside of what validation covers"),
    (r"NEGOTIATE request: Reserved2?|NEGOTIATE (request|response): (NegotiateContext(Offset|Count|List)|padding)",
     "reserved below 3.1.1, where nobody looks at it"),
    (r"NEGOTIATE response: (MaxTransactSize|MaxReadSize|MaxWriteSize)",
     "not among the four values of validation: smaller sizes are slower, greater ones are refused by the server"),
    (r"NEGOTIATE response: (SystemTime|ServerStartTime)", "not among the four values of validation: a hint"),
    (r"NEGOTIATE response: (SecurityBuffer(Offset|Length)|Buffer)",
     "not among the four values of validation: the mechanisms on offer are a hint, which authentication has to protect"),
    (r"(final )?SESSION_SETUP (request|response): (?!header).*",
     "validation does not cover SESSION_SETUP; the tokens are the authentication's to protect, which this world makes up"),
)  # fmt: skip


def read(path):
    """-> {(group, message, field): (tried, unnoticed, Counter of catchers, apart)}"""
    rows = {}
    for line in Path(path).read_text().splitlines():
        group, message, field, tried, unnoticed, *rest = line.split("\t")
        counts = Counter({word: int(number) for word, number in (pair.split("=") for pair in rest)})
        apart = counts.pop("apart", 0)
        rows[group, message, field] = (int(tried), int(unnoticed), counts, apart)
    return rows


def cell(row):
    """What catches alterations, the most frequent first; with the share that nothing catches."""
    if row is None:
        return ""
    tried, unnoticed, counts, _ = row
    if tried == unnoticed:
        return NOTHING
    words = Counter()
    for word, number in counts.items():
        words[CATCHERS[word]] += number
    text = " ".join(word for word, _ in sorted(words.items(), key=lambda pair: (-pair[1], pair[0])))
    if unnoticed:
        text += f" ({NOTHING} {max(1, round(100 * unnoticed / tried))} %)"
    return text


def places(rows, suffix, prefix=""):
    """Messages and their fields in the order in which they go by, those that some dialect with this protection has."""
    order = defaultdict(dict)
    for group, message, field in rows:
        if group.endswith(" " + suffix) and group.startswith("old ") == bool(prefix):
            order[message][field] = True
    return order


def reason_of(message, field):
    for number, (pattern, _) in enumerate(REASONS, 1):
        if re.fullmatch(pattern, f"{message}: {field}"):
            return number
    return None


def passes(rows, suffix, message, field):
    return any(row[1] for (group, *place), row in rows.items()
               if place == [message, field] and group.endswith(" " + suffix) and not group.startswith("old "))  # fmt: skip


def table(rows, suffix, dialects, prefix="", reasons=True):
    yield "| message | field | " + " | ".join(dialects) + (" | why |" if reasons else " |")
    yield "|---|---|" + "---|" * (len(dialects) + reasons)
    for message, fields in places(rows, suffix, prefix).items():
        for field in fields:
            cells = [cell(rows.get((f"{prefix}{dialect} {suffix}", message, field))) for dialect in dialects]
            why = ""
            if reasons and passes(rows, suffix, message, field):
                why = f"{reason_of(message, field)}"
            yield f"| {message} | {field} | " + " | ".join(cells) + (f" | {why} |" if reasons else " |")


INTRODUCTION = """# What protects which field

This page is generated: `tests/sim/protection.py tests/policies/protection.tsv`. It says what came of {tried:,} connections
between this project's client and its server, in each of which an adversary on the path altered one message before the
first operation: one bit of it, one octet, one number, or the message as a whole. Client and server are tried with every
pair of policies (nothing demanded, signing required, encryption demanded) that can agree, in every dialect, with keys as
NTLM (16 octets, two legs) and as Kerberos with AES-256 (32 octets, one leg) yield them. Both ends implement more than the
dialect that is agreed on, so that there is something to be talked down from.

Wherever the server implements SMB 3, this held in all of them: **either both ends had the same dialect, GUIDs, security
modes, capabilities, signing algorithm and cipher, or one of them refused before the first operation.** {unnoticed:,}
alterations went unnoticed there, which changed none of these. All of it is run by `tests/sim/protection.sh`, a sample in each test run.

| sign | what catches the alteration |
|---|---|
| V→ | validation (FSCTL_VALIDATE_NEGOTIATE_INFO), at the server: it closes the connection |
| V← | validation, at the client |
| S→ | a signature, at the server. On 3.1.1 the keys hang on the hash of NEGOTIATE and SESSION_SETUP, so this is that hash |
| S← | a signature, at the client; likewise |
| E | encryption: what came does not decrypt, or is in the clear |
| R→ | a rule or a status of the server: what came is malformed, or asks for what is not to be had |
| R← | a rule of the client |
| T | nothing comes any more, and the client takes that for a failure |
| – | nothing; with a share, in so many of the alterations |

The last column is why nothing does, by number:
"""

PLAIN = """
## Neither signing required nor encryption demanded

Only 3.1.1 protects every octet of NEGOTIATE and SESSION_SETUP; below it, what validation says and no more. TREE_CONNECT
and VALIDATE are signed, by this client, in every dialect.
"""
SIGNED = """
## Signing required by either side

Everything behind the final SESSION_SETUP is signed; what comes before is protected as without.
"""
ENCRYPTED = """
## Encryption demanded by either side

TREE_CONNECT and VALIDATE travel as encrypted messages.
"""
OLD = """
## A server without any dialect of SMB 3

It answers validation with a signed error, which a client has to accept: what is altered between such a server and a client
of SMB 3 is found only where it leads to other keys. In {apart} of these connections the two ends differed and the first
operation was served.
"""


def page(rows):
    new = {key: row for key, row in rows.items() if not key[0].startswith("old ")}
    tried, unnoticed = sum(row[0] for row in rows.values()), sum(row[1] for row in new.values())
    yield INTRODUCTION.format(tried=tried, unnoticed=unnoticed)
    for number, (_, why) in enumerate(REASONS, 1):
        yield f"{number}. {why}"
    yield PLAIN
    yield from table(rows, "plain", DIALECTS)
    yield SIGNED
    yield from table(rows, "signed", DIALECTS)
    yield ENCRYPTED
    yield from table(rows, "encrypted", DIALECTS[2:])
    old = {key: row for key, row in rows.items() if key[0].startswith("old ")}
    yield OLD.format(apart=sum(row[3] for row in old.values()))
    yield from table(rows, "plain", DIALECTS[:2], "old ", reasons=False)


def complaints_about(rows, text, found):
    if found != text:
        for number, (have, wanted) in enumerate(zip(found.splitlines(), text.splitlines()), 1):
            if have != wanted:
                yield f"line {number} is {have!r}, the table says {wanted!r}"
                break
        else:
            yield "the page is longer or shorter than the table says"
    used = set()
    for (group, message, field), (_, unnoticed, _, apart) in rows.items():
        if group.startswith("old "):
            continue
        if apart:
            yield f"{group}: {message}: {field}: the ends differ and it works"
        if unnoticed:
            number = reason_of(message, field)
            used.add(number)
            if number is None:
                yield f"{group}: {message}: {field} passes unnoticed, and no reason says why"
    for number, (pattern, _) in enumerate(REASONS, 1):
        if number not in used:
            yield f"reason {number} is needed no more: {pattern}"


def main():
    if len(sys.argv) == 2:
        print("\n".join(page(read(sys.argv[1]))))
        return 0
    if len(sys.argv) != 4 or sys.argv[1] != "--check":
        print(__doc__, file=sys.stderr)
        return 2
    rows = read(sys.argv[2])
    tap = Tap()
    tap.result(f"{len(rows)} lines of the table, and the page",
               complaints_about(rows, "\n".join(page(rows)) + "\n", Path(sys.argv[3]).read_text()))  # fmt: skip
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
