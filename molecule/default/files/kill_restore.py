"""Restore the shop, and SIGKILL the command's own process at the moment that the first argument names.

staging   something lies beside the target, nothing is swapped yet
swapping  the files are swapped, the database is not
swapped   all sources are swapped

The other arguments are those of `lifeboat restore`, which has our standard input. Ends with status 0 when
it was killed at that moment, else with 1 and what the command said.
"""

import glob
import json
import os
import subprocess
import sys
import time

FILES, LAST = "/srv/shop/uploads", "/srv/shop/settings/settings.db"


def inode(path):
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def journal():
    """(step, swaps) of the restore that is open."""
    for path in glob.glob("/var/lib/lifeboat/restores/shop.*.json"):
        with open(path) as content:
            found = json.load(content)
        if found["step"] in ("staging", "swapping"):
            return found["step"], found["swaps"]
    return "", []


def reached(moment):
    if moment == "swapped":
        return inode(LAST) != before[LAST]
    step, swaps = journal()
    if moment == "swapping":
        return step == "swapping" and inode(FILES) != before[FILES]
    return step == "staging" and any(os.path.exists(one["side"]) for one in swaps)


before = {path: inode(path) for path in (FILES, LAST)}
restore = subprocess.Popen(
    ["lifeboat", "restore", *sys.argv[2:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
)
while restore.poll() is None:
    if reached(sys.argv[1]):
        restore.kill()
        raise SystemExit(restore.wait() != -9)
    time.sleep(0.0005)
raise SystemExit(restore.stderr.read().decode() + "it ended by itself")
