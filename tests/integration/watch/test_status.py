# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program asks at any hour: good up to 25 hours, a warning up to 48, critical from there."""

from __future__ import annotations

import json

from tests.integration.rescue.host import Host

LATER = """
import datetime as _d
import lifeboat.cli.session as _s
class _Later(_d.datetime):
    @classmethod
    def now(cls, tz=None):
        return _d.datetime.now(tz) + _d.timedelta(hours={hours})
_s.datetime = _Later
"""


def told(host: Host, hours: float) -> tuple[str, int]:
    """What `lifeboat status --json` says so long after the backup, and with which exit code."""
    done = host.lifeboat("status", "--json", before=LATER.format(hours=hours))
    (disk,) = json.loads(done.stdout)
    return disk["state"], done.returncode


def test_a_status_is_good_a_warning_or_critical_by_its_hours(host: Host) -> None:
    host.run()
    assert [told(host, hours) for hours in (24.9, 25.1, 47.9, 48.1)] == [
        ("good", 0),
        ("warning", 1),
        ("warning", 1),
        ("critical", 2),
    ]
