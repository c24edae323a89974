#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: back up a job now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_run
short_description: Back up a job now
version_added: 0.1.0
description:
  - Starts the unit of the job and waits for its end, so that the run has the same user, sandbox and secrets as
    on its timer. Where no systemd runs, the backup is made by the module itself.
  - Fails unless every source and destination went well and every copy was read back.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host.
    type: str
    required: true
    version_added: 0.1.0
  type:
    description: What kind of backup this is; part of its id.
    type: str
    default: manual
    version_added: 0.1.0
  tags:
    description: Names for this backup. Retention may keep tagged backups longer.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  pin:
    description: Retention never deletes this backup until it is unpinned.
    type: bool
    default: false
    version_added: 0.1.0
  only:
    description: Only these sources of the job.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  wait:
    description:
      - Wait for another run of the job to end, as a timer does. Otherwise the module fails at once when one holds
        the job.
    type: bool
    default: false
    version_added: 0.1.0
  allow_partial:
    description: Do not fail when some sources or destinations were lost and the others went well.
    type: bool
    default: false
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
attributes:
  check_mode:
    support: full
    details: Each source is reached and looked at, nothing is dumped.
  diff_mode:
    support: none
seealso:
  - module: lifeboat.backup.db_dump
  - module: lifeboat.backup.db_restore
"""

EXAMPLES = r"""
- name: Back up before a deployment
  lifeboat.backup.backup_run:
    job: shop
    type: predeploy
    tags: [v1.2.3]
  become: true
"""

RETURN = r"""
id:
  description: The id of the backup.
  returned: when a backup was made
  type: str
  sample: 20261121T020000Z-predeploy-7f3a
job:
  description: The job.
  returned: when a backup was made
  type: str
  sample: shop
committed:
  description: Whether there is a backup that can be restored.
  returned: when a backup was made
  type: bool
  sample: true
complete:
  description: Whether every source is in it.
  returned: when a backup was made
  type: bool
  sample: true
exit_code:
  description: What the C(lifeboat) command would exit with.
  returned: when a backup was made
  type: int
  sample: 0
size_bytes:
  description: The size of all archives as stored.
  returned: when a backup was made
  type: int
  sample: 1048576
destinations:
  description: The state of the copy at each destination.
  returned: when a backup was made
  type: list
  elements: dict
  sample: [{"name": "offsite", "state": "intact", "error": "", "hint": ""}]
sources:
  description: What became of each source, with what it held, and what was odd about it, which is a warning too.
  returned: when a backup was made
  type: list
  elements: dict
  sample: [{"name": "db", "kind": "postgresql", "status": "good", "error": "", "totals": {"tables": 3,
      "rows": 40}, "warnings": []}]
suspect:
  description: Why the backup does not count until it is accepted; empty if it does.
  returned: when a backup was made
  type: list
  elements: str
  sample: []
facts:
  description: What each source says of itself.
  returned: in check mode
  type: dict
  sample: {"db": {"server": "15.4", "client": "15.4"}}
"""

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli import unit, watch
from ..module_utils.engine.cli.session import report_mapping, run_backup
from ..module_utils.engine.progress import silent

OWN: door.Spec = {
    "job": {"type": "str", "required": True},
    "type": {"type": "str", "default": "manual"},
    "tags": {"type": "list", "elements": "str", "default": []},
    "pin": {"type": "bool", "default": False},
    "only": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "bool", "default": False},
    "allow_partial": {"type": "bool", "default": False},
}


def main() -> None:
    with door.module(arguments.scope(), OWN) as module:
        given = module.params
        session = jobs.installed(module, changed=True, facts={})
        job = session.job_to_run(given["job"])
        if module.check_mode:
            module.exit_json(changed=True, facts=jobs.look(job, given["only"]))
        wanted = {key: given[key] for key in ("type", "tags", "pin", "wait")}
        wanted["sources"] = [job.source(name).name for name in given["only"]]
        if unit.usable(session.paths):
            told = unit.run_through_unit(session.paths, job.name, wanted, silent)
        else:
            report = run_backup(
                session,
                job,
                type_=given["type"],
                sources=wanted["sources"],
                tags=given["tags"],
                pin=given["pin"],
                wait=given["wait"],
                listener=watch.ProgressFile(session.paths.progress(job.name), silent),
            )
            told = report_mapping(job, report)
        jobs.report(module, told)


if __name__ == "__main__":
    main()
