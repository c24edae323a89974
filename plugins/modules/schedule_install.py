#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: install the units and timers of all jobs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule_install
short_description: Install the systemd units and timers of all jobs at once
version_added: 0.1.0
description:
  - Reads the installed configuration and installs one template service, one template timer, and a drop-in for
    each job and schedule; timers of jobs that are gone are stopped and removed. One call is enough for all jobs.
  - Calendars are checked with C(systemd-analyze calendar), units with C(systemd-analyze verify), before anything
    is written. A calendar without a time zone is in UTC.
  - In system scope C(lifeboat-recover.service) is enabled too. It settles restores that were cut off, at boot.
  - Where no systemd is running, units are written and checked, and RV(reason) says why no timer is enabled.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  config:
    description:
      - The configuration. The one of O(scope), if not given.
      - In check mode it need not be there yet.
    type: path
    version_added: 0.1.0
  enabled:
    description:
      - Whether the timers are enabled and running.
    type: bool
    default: true
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: lifeboat.backup.engine_install
  - module: lifeboat.backup.credential_install
"""

EXAMPLES = r"""
- name: Install the timers of all jobs
  lifeboat.backup.schedule_install:
  become: true

- name: Stop all timers for a maintenance window
  lifeboat.backup.schedule_install:
    enabled: false
  become: true
"""

RETURN = r"""
timers:
  description: The timers of all jobs with their calendars.
  returned: success
  type: list
  elements: dict
  sample:
    - {timer: "lifeboat-run@shop:daily.timer", calendar: "02:00 UTC"}
enabled:
  description: Whether the timers are enabled now (in check mode, would be).
  returned: success
  type: bool
  sample: true
reason:
  description: Why they are not, although O(enabled) asks for it; empty otherwise.
  returned: success
  type: str
  sample: systemd is not running on this host
verified:
  description: Whether C(systemd-analyze verify) read the units and accepted them.
  returned: success
  type: bool
  sample: true
files:
  description: The unit files that were written, relative to RV(folder).
  returned: success
  type: list
  elements: str
  sample: ["lifeboat-run@.service"]
removed:
  description: The unit files that were removed.
  returned: success
  type: list
  elements: str
  sample: []
folder:
  description: The directory that holds the units.
  returned: success
  type: str
  sample: /etc/systemd/system
"""

from ..module_utils import arguments, door, scheduling


def main() -> None:
    with door.module(
        arguments.scope(),
        {"config": {"type": "path"}, "enabled": {"type": "bool", "default": True}},
    ) as module:
        paths, enabled = door.places(module), module.params["enabled"]
        units = scheduling.units(paths, module.params["config"], module.check_mode)
        plan = scheduling.plan(paths, units, enabled)
        if plan.changed and not module.check_mode:
            scheduling.apply(paths, plan)
        for warning in plan.warnings:
            module.warn(warning)
        module.exit_json(
            changed=plan.changed,
            timers=[{"timer": one, "calendar": units.calendars[one]} for one in units.timers],
            enabled=enabled and not plan.reason,
            reason=plan.reason if enabled else "",
            verified=plan.verified,
            files=sorted(plan.write),
            removed=list(plan.remove),
            folder=str(plan.folder),
            diff=door.diff(plan.before, plan.after, str(plan.folder)),
        )


if __name__ == "__main__":
    main()
