"""Type on a host of the lab as one of its users who has a systemd of their own, and no root."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

from tests.lab import hosts


@cache
def session(name: str, user: str) -> tuple[str, ...]:
    """What a login gives that user, as words for `env`."""
    home, uid = f"/home/{user}", hosts.on(name, "id", "-u", user).stdout.strip()
    return (f"HOME={home}", f"USER={user}", f"XDG_RUNTIME_DIR=/run/user/{uid}")


def become(name: str, user: str) -> tuple[str, ...]:
    """A command of root's that goes on as that user."""
    return ("runuser", "-u", user, "--", "env", "-C", f"/home/{user}", *session(name, user))


def on(name: str, user: str, text: str, stdin: str = "") -> hosts.Ran:
    """Run lines of a shell, each of which has to do well, as at a login of that user."""
    return hosts.on(name, *become(name, user), "bash", "-lc", "set -eu\n" + text, stdin=stdin)


def told(name: str, user: str, text: str) -> Any:
    """The JSON that a command writes; it has to do well."""
    ran = on(name, user, text)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def systemctl(name: str, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What the user's own systemd says."""
    return hosts.on(name, *become(name, user), "systemctl", "--user", *words)
