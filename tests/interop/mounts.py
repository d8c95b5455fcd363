"""Mount namespaces of a test's own, in which it puts files of its own over those of the system."""
import os
import subprocess


def missing():
    """Why there is none to be had: "" where there is. Containers often let not even root have one."""
    if os.geteuid() != 0:
        return "it has to be root"
    command = ["unshare", "-m", "mount", "--bind", "/etc", "/etc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return f"no mount namespace: {error}"
    return f"no mount namespace: {done.stderr.strip()}" if done.returncode else ""
