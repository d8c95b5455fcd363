"""Test results as TAP, for the tests that are written in Python."""


class Tap:
    def __init__(self):
        self.count, self.failed = 0, 0

    def result(self, name, complaints):
        """One test: it passed where there is nothing to complain about."""
        complaints = list(complaints)
        self.count += 1
        self.failed += bool(complaints)
        print(f"{'not ' if complaints else ''}ok {self.count} - {name}")
        for complaint in complaints:
            for line in str(complaint).splitlines():
                print(f"# {line}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}")

    def done(self):
        """Prints the plan and gives the exit status."""
        print(f"1..{self.count}")
        return 1 if self.failed or not self.count else 0
