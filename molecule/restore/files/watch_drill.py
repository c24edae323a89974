"""Start a drill as its timer does when it is late, and look at its throw-away servers until it has ended.

The argument is the unit without its suffix. Tells, as JSON, of every server that was seen: its user, the
unit that it ran in, and whether the kernel lets it gain rights. With a second argument the command that
drills is killed as soon as there is a server.
"""

import json
import pathlib
import pwd
import subprocess
import sys
import time

unit, kill = sys.argv[1], len(sys.argv) > 2
service, timer = unit + ".service", unit + ".timer"


def tell(name):
    words = ["systemctl", "show", "--value", "-p", name, service]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def servers():
    """The postmasters of users that are not the live server's."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            facts = dict(
                line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
            )
            group = (process / "cgroup").read_text().strip()
        except (OSError, ValueError):
            continue
        user = pwd.getpwuid(int(facts["Uid"].split()[0])).pw_name
        serves = words[0].endswith(b"/postgres") and b"-D" in words  # `postgres --version` does not
        if serves and user != "postgres":
            yield {"user": user, "in_unit": service in group, "bound": facts["NoNewPrivs"] == "1"}


began = tell("ExecMainStartTimestampMonotonic")
subprocess.run(["systemctl", "stop", timer], check=True)
stamp = pathlib.Path("/var/lib/systemd/timers", "stamp-" + timer)
subprocess.run(["touch", "-d", "40 days ago", str(stamp)], check=True)
subprocess.run(["systemctl", "start", timer], check=True)
seen, until = {}, time.monotonic() + 90
while time.monotonic() < until:
    for one in servers():
        seen[one["user"]] = one
        if kill:
            subprocess.run(
                ["systemctl", "kill", "--kill-whom=main", "-s", "KILL", service], check=True
            )
            kill = False
    started = tell("ExecMainStartTimestampMonotonic") != began
    if started and tell("ActiveState") in ("inactive", "failed"):
        break
    time.sleep(0.05)
json.dump({"result": tell("Result"), "servers": list(seen.values())}, sys.stdout)
