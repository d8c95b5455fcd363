"""Runs of `smbproof conform`, and what their reports say, for the checks of its two suites."""
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 120


def validator():
    """Of reports, by docs/conform.schema.json; None without python3-jsonschema."""
    try:
        import jsonschema
    except ImportError:
        return None
    schema = json.loads((ROOT / "docs" / "conform.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


class Suite:
    """`server` or `client` of PROGRAM. Who derives from it has run(): conform() with whom to judge, and options."""

    def __init__(self, program, which, schema, folder, password):
        self.program, self.which, self.schema = program, which, schema
        self.password_file = Path(folder) / "password"
        self.password_file.write_text(password + "\n")
        self.password_file.chmod(0o600)

    def command(self, *arguments):
        return [self.program, "conform", self.which, *arguments]

    def conform(self, *arguments):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=TIMEOUT_SECONDS)

    def report(self, whom, *options, **where):
        """A valid one, and the exit status."""
        run = self.run(whom, "--json", *options, **where)
        try:
            report = json.loads(run.stdout)
        except ValueError:
            raise SystemExit(f"Bail out! no report: {run.returncode} {run.stderr[-1000:]}") from None
        self.schema.validate(report)
        return report, run.returncode


def having(report, *outcomes):
    return {case["name"] for case in report["cases"] if case["outcome"] in outcomes}


def details(report, names):
    return [f"{case['name']}: {case['outcome']}, {case['seen']}" for case in report["cases"] if case["name"] in names]


def known_in(path):
    """The names in a file of known deviations."""
    return {line.split()[0] for line in path.read_text().splitlines() if line and line[0] != "#"}
