"""Restore, and SIGKILL the command as soon as the worker is stopped: the web server may still run, or not.

The arguments are those of `lifeboat restore`, which has our standard input. Ends with status 0 when it was
killed before it ended, else with 1 and what the command said.
"""

import subprocess
import sys


def stopped():
    """Asked of the kernel, or of systemd where the lab shows no such file: quick enough either way."""
    ask = ["systemctl", "is-active", "--quiet", "shop-worker.service"]
    return subprocess.run(ask, check=False).returncode != 0


restore = subprocess.Popen(
    ["lifeboat", "restore", *sys.argv[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
)
while restore.poll() is None:
    if stopped():
        restore.kill()
        raise SystemExit(restore.wait() != -9)
raise SystemExit(restore.stderr.read().decode() + "it ended by itself")
