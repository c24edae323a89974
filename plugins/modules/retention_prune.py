#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: delete what retention does not keep."""

from __future__ import annotations

DOCUMENTATION = r"""
module: retention_prune
short_description: Delete the backups that retention does not keep
version_added: 0.1.0
description:
  - Makes the plan for each destination of a job, and carries out exactly that plan. Only good backups count;
    the newest good one, pinned ones, and those that are in doubt stay.
  - The manifest of a backup goes first. Its archives go on the first prune a day later, so that no reader is
    cut off.
  - A destination of mode C(append_only) is left to the host that prunes it, unless it is described here.
  - More than half of the backups of a job at one destination never go in one call, unless O(limit=false).
  - While two hosts store under one name nothing goes, and the module fails.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host, or as it is called at O(destination).
    type: str
    required: true
    version_added: 0.1.0
  from_host:
    description:
      - The name of the host that made the backups. This host, if not given.
      - Without O(destination), a host whose pruner this one is (C(lifeboat_pruner)).
    type: str
    version_added: 0.1.0
  limit:
    description: Refuse a plan that would delete more than half of the backups at one destination, and more than 3.
    type: bool
    default: true
    version_added: 0.1.0
  plan:
    description:
      - The RV(plan) that an earlier call in check mode returned. What is not deleted in it is not deleted now.
    type: list
    elements: dict
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
  - lifeboat.backup.destination
  - lifeboat.backup.credentials
  - lifeboat.backup.retention
attributes:
  check_mode:
    support: full
    details: The plan, with nothing deleted.
  diff_mode:
    support: full
seealso:
  - module: lifeboat.backup.backup_info
"""

EXAMPLES = r"""
- name: Prune a job of this host by its own rules
  lifeboat.backup.retention_prune:
    job: shop
  become: true

- name: Prune another host's backups in a bucket
  lifeboat.backup.retention_prune:
    job: shop
    from_host: db1
    destination: {type: s3, bucket: acme-backups, region: eu-west-3, credential: pruner_s3}
    credentials:
      pruner_s3: "{{ vault_pruner_s3 }}"
    keep: {last: 3, daily: 7, weekly: 4, monthly: 12}

- name: Plan, on the pruner host of db1
  lifeboat.backup.retention_prune:
    job: shop
    from_host: db1
  check_mode: true
  register: planned

- name: Delete exactly that
  lifeboat.backup.retention_prune:
    job: shop
    from_host: db1
    plan: "{{ planned.plan }}"
"""

RETURN = r"""
plan:
  description: For each destination what is kept and why, what goes and why, and what has to wait.
  returned: success
  type: list
  elements: dict
  sample:
    - destination: offsite
      failure: ""
      policy: ["last 3, daily 7, minimum 1"]
      held: ""
      excess: ""
      kept: [{"id": "20261121T020000Z-daily-7f3a", "why": ["newest good", "daily"]}]
      expired: [{"id": "20261101T020000Z-daily-11aa", "why": "no rule keeps it"}]
      deferred: []
      sweeps: []
      reports: []
      misdated: []
pruned:
  description:
    - What was done at each destination. V(retained) is what it does not let go, as a lock on its objects says;
      V(uploads) the unfinished uploads that were taken away, V(reports) the old reports of drills.
  returned: success, except in check mode
  type: list
  elements: dict
  sample:
    - destination: offsite
      pruned: ["20261101T020000Z-daily-11aa"]
      swept: []
      uploads: []
      reports: []
      retained: [{"id": "20261102T020000Z-daily-22bb", "why": "the object is locked"}]
      failure: ""
      excess: ""
      stranger: ""
"""

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli.prune import (
    hold,
    plan,
    planned_mapping,
    pruned_mapping,
    refused,
    remember_prune,
)
from ..module_utils.engine.cli.session import now
from ..module_utils.engine.errors import DestinationError
from ..module_utils.engine.operations.upkeep import prune


def main() -> None:
    with door.module(
        arguments.scope(),
        arguments.destination(),
        arguments.credentials(),
        arguments.retention(),
        {
            "job": {"type": "str", "required": True},
            "from_host": {"type": "str"},
            "limit": {"type": "bool", "default": True},
            "plan": {"type": "list", "elements": "dict"},
        },
        required_by={"destination": ["keep"], "keep": ["destination"]},
    ) as module:
        given = module.params
        session, duty = jobs.to_prune(module, changed=False, plan=[])
        with jobs.unless_checking(module, hold(session, duty)):
            planned = [
                one
                for one in plan(session, duty)
                if one.destination in duty.job.prunes or given["destination"]
            ]
            if given["plan"] is not None:
                planned = prune.only(planned, jobs.ids_of(given["plan"]))
            told = [planned_mapping(one, duty.job) for one in planned]
            facts = {
                "changed": any(one["expired"] or one["sweeps"] or one["reports"] for one in told),
                "plan": told,
                "diff": door.diff(*jobs.before_and_after(told)),
            }
            why_not = refused(planned, given["limit"])
            failures = [f"{one.destination}: {one.failure}" for one in planned if one.failure]
            if not module.check_mode:
                done = prune.apply(duty.job, planned, now, host=duty.host, limit=given["limit"])
                if not given["destination"]:
                    remember_prune(session, duty, done)
                facts["pruned"] = [pruned_mapping(one) for one in done]
                facts["changed"] = any(
                    one.pruned or one.swept or one.uploads or one.reports for one in done
                )
                failures = [f"{one.destination}: {one.failure}" for one in done if one.failure]
        if failures:
            door.fail(module, DestinationError("pruning failed at " + "; ".join(failures)), **facts)
        if why_not:
            door.fail(module, why_not, **facts)
        module.exit_json(**facts)


if __name__ == "__main__":
    main()
