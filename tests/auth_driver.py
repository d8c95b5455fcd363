"""Both ends of a logon through the program auth_driver, for tests in Python."""
import subprocess


class End:
    """One initiator or acceptor; step() hands it a token and returns its own."""

    def __init__(self, driver, *arguments, env=None):
        self.process = subprocess.Popen(
            [driver, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.state, self.token = "continue", b""
        self.key, self.mechanism, self.kind, self.user, self.domain = b"", "", "", "", ""
        self.status, self.reason = 0, ""

    def step(self, token=b""):
        try:
            self.process.stdin.write(token.hex() + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        self.state, _, rest = self.process.stdout.readline().rstrip("\n").partition(" ")
        if self.state == "continue":
            self.token = octets(rest)
        elif self.state == "complete":
            token, key, self.mechanism, self.kind, *names = rest.split(" ")
            self.token, self.key = octets(token), octets(key)
            self.user, self.domain = (names + ["", ""])[:2]
        else:
            self.token = b""
            status, _, self.reason = rest.partition(" ")
            self.status = int(status or "0", 16)
        return self.token

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def octets(text):
    return b"" if text == "-" else bytes.fromhex(text)


def logon(initiator, acceptor):
    """Lets both talk until one is through or gives up."""
    token = initiator.step()
    while initiator.state == "continue":
        token = acceptor.step(token)
        if acceptor.state == "failed":
            break
        token = initiator.step(token)
    initiator.close()
    acceptor.close()
    return initiator, acceptor
