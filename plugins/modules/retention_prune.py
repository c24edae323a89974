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
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host, or as it is called at O(destination).
    type: str
    required: true
    version_added: 0.1.0
  from_host:
    description: The name of the host that made the backups. This host, if not given.
    type: str
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
      held: ""
      kept: [{"id": "20261121T020000Z-daily-7f3a", "why": ["newest good", "daily"]}]
      expired: [{"id": "20261101T020000Z-daily-11aa", "why": "no rule keeps it"}]
      deferred: []
      sweeps: []
pruned:
  description: What was done at each destination. V(refused) is what it would not let go.
  returned: success, except in check mode
  type: list
  elements: dict
  sample:
    - {destination: offsite, pruned: ["20261101T020000Z-daily-11aa"], swept: [], refused: [], failure: ""}
"""

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli.commands import held, planned_mapping
from ..module_utils.engine.cli.session import now
from ..module_utils.engine.errors import DestinationError
from ..module_utils.engine.operations import prune


def main() -> None:
    with door.module(
        arguments.scope(),
        arguments.destination(),
        arguments.credentials(),
        arguments.retention(),
        {"job": {"type": "str", "required": True}, "from_host": {"type": "str"}},
        required_by={"destination": ["keep"], "keep": ["destination"]},
    ) as module:
        session, job = jobs.chosen(module, changed=False, plan=[])
        host = module.params["from_host"] or job.host
        with jobs.hold(module, session, job, "prune"):
            planned = [
                one
                for one in prune.plan(job, now(), held=held(session, job), host=host)
                if one.destination in job.prunes or module.params["destination"]
            ]
            told = [planned_mapping(one) for one in planned]
            lines = [
                (one["destination"], here["id"], key)
                for one in told
                for key in ("kept", "deferred", "expired", "sweeps")
                for here in one[key]
            ]
            facts = {
                "changed": any(one["expired"] or one["sweeps"] for one in told),
                "plan": told,
                "diff": door.diff(
                    sorted(f"{at}: {id_}" for at, id_, _key in lines),
                    sorted(f"{at}: {id_}" for at, id_, key in lines if key in ("kept", "deferred")),
                ),
            }
            failures = [f"{one.destination}: {one.failure}" for one in planned if one.failure]
            if not module.check_mode:
                done = prune.apply(job, planned, now, host=host)
                facts["pruned"] = [vars(one) for one in done]
                failures = [f"{one.destination}: {one.failure}" for one in done if one.failure]
        if failures:
            door.fail(module, DestinationError("pruning failed at " + "; ".join(failures)), **facts)
        module.exit_json(**facts)


if __name__ == "__main__":
    main()
