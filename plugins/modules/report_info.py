#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: a month of a host, as evidence."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report_info
short_description: Gather a month of a host, with recommendations, as evidence
version_added: 0.1.0
description:
  - Returns what C(lifeboat report --json) prints. It asks the destinations, the history and the audit log, and
    changes nothing.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  month:
    description: The month, in UTC, like C(2026-11). This month so far, if not given.
    type: str
    version_added: 0.1.0
  job:
    description: Only this job, without looking for data that no job protects. All jobs, if not given.
    type: str
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
seealso:
  - plugin: lifeboat.backup.report_page
    plugin_type: filter
  - module: lifeboat.backup.backup_info
"""

EXAMPLES = r"""
- name: Gather a month
  lifeboat.backup.report_info:
    month: 2026-11
  become: true
  register: november

- name: Show what to do
  ansible.builtin.debug:
    var: november.report.recommendations
"""

RETURN = r"""
report:
  description:
    - C(jobs) has each job with its C(backups) and the proofs of their copies, its C(runs) and C(drills), and what
      was promised.
    - C(recommendations) has what to do, the most urgent first; C(events) who did what else; C(audit) whether the
      audit log is whole; C(coverage) what was found, and who protects it; C(configuration) its SHA-256; C(tools)
      versions.
    - Empty in check mode on a host where lifeboat is not configured yet.
  returned: success
  type: dict
  sample:
    host: db1
    month: 2026-11
    recommendations:
      - level: warning
        job: shop
        what: "never drilled: nobody knows whether it can be restored"
        do: "`lifeboat drill shop --identity FILE`; and give the job a `drill` schedule"
"""

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli import report


def main() -> None:
    with door.module(
        arguments.scope(), {"month": {"type": "str"}, "job": {"type": "str"}}
    ) as module:
        given = module.params
        session = jobs.installed(module, changed=False, report={})
        told = report.gather(session, given["month"] or "", given["job"] or "")
        module.exit_json(changed=False, report=told)


if __name__ == "__main__":
    main()
