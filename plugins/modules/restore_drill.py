#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: restore a backup into throw-away places, timed and compared."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Restore a backup into throw-away places, timed and compared
version_added: 0.1.0
description:
  - Fetches a backup from a destination, restores every source of it into a throw-away server or directory of its
    own, compares what came out with the backup's inventory, and removes all of it again. Nothing live is touched,
    and no container engine is needed.
  - Times each phase, and measures RTO and RPO against the objectives of the job. One that is missed is told, and
    is no failure.
  - A copy that was restored as a whole is marked C(drilled), one that is not what was backed up C(bad). Such a
    mark is not counted as a change.
  - Fails when a drill failed, with what it found in RV(drills).
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host.
    type: str
    required: true
    version_added: 0.1.0
  backup:
    description:
      - The id of the backup, V(latest) for the newest good one that fits the options below, or V(random) for any
        of the newest good ones, from any destination that has it.
    type: str
    default: latest
    version_added: 0.1.0
  tag:
    description: Only backups with this tag.
    type: str
    version_added: 0.1.0
  type:
    description: Only backups that this schedule made, for example V(weekly).
    type: str
    version_added: 0.1.0
  as_of:
    description:
      - Only backups from before this instant, in UTC unless a zone is named, for example V(2026-11-21 02:00).
    type: str
    version_added: 0.1.0
  at:
    description:
      - The name of the destination that the backup is restored from. The first one with a good copy, if not given.
    type: str
    version_added: 0.1.0
  from_host:
    description:
      - The name of the host that made the backup. If not given, the hosts that this one drills for (C(hosts) of
        the job's C(drill)), one after the other, or this host.
    type: str
    version_added: 0.1.0
  only:
    description: Only these sources of the backup. It is not marked then.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  metadata:
    description: Also prove what describes the backup.
    type: bool
    default: false
    version_added: 0.1.0
  identity:
    description:
      - The private key. It stays in the memory of the module; use pipelining.
      - If not given, the one that this host has for drills.
    type: str
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
attributes:
  check_mode:
    support: full
    details: Says which backup would be drilled. Nothing is fetched.
  diff_mode:
    support: none
seealso:
  - module: lifeboat.backup.db_restore
  - module: lifeboat.backup.verify_archive
"""

EXAMPLES = r"""
- name: Prove that the newest backup can be restored, and how long it takes
  lifeboat.backup.restore_drill:
    job: shop
    identity: "{{ lookup('ansible.builtin.file', 'operator.key') }}"
  become: true

- name: Prove the key from escrow, on the copy that is far away
  lifeboat.backup.restore_drill:
    job: shop
    at: offsite
    identity: "{{ lookup('ansible.builtin.file', '/media/safe/escrow.key') }}"
  become: true

- name: Drill another host's backup on the drill host, with its own key
  lifeboat.backup.restore_drill:
    job: shop
    from_host: db1
    backup: random
  become: true
"""

RETURN = r"""
drills:
  description:
    - What each drill told; times are in seconds. C(sources) has an entry for each source.
    - C(how) of a source is V(restored), V(read) where it has no throw-away place, or V(failed).
  returned: success, except in check mode, and when a drill failed
  type: list
  elements: dict
  sample:
    - id: 20261121T020000Z-daily-7f3a
      host: db1
      job: shop
      destination: offsite
      what: full
      passed: true
      restorable: true
      mark: drilled
      seconds: 11.1
      phases: {choose: 0.1, fetch: 1.2, start: 1.2, restore: 8.5, compare: 1.3}
      rpo: {seconds: 25920, objective: 86400, met: true}
      sources:
        db: {how: restored, seconds: 9.1, rto: {seconds: 9.1, objective: 1800, met: true}, uncounted: 0}
      opened_by: [{recipient: age1…, fingerprint: "SHA256:…"}]
      problem: ""
summary:
  description: The same in words, line by line.
  returned: success
  type: list
  elements: str
  sample: ["drill of 20261121T020000Z-daily-7f3a of db1 from offsite: passed"]
"""

from ..module_utils import arguments, door, drilling, jobs

OWN: door.Spec = {
    "job": {"type": "str", "required": True},
    "backup": {"type": "str", "default": "latest"},
    "tag": {"type": "str"},
    "type": {"type": "str"},
    "as_of": {"type": "str"},
    "at": {"type": "str"},
    "from_host": {"type": "str"},
    "only": {"type": "list", "elements": "str", "default": []},
    "metadata": {"type": "bool", "default": False},
    "identity": {"type": "str", "no_log": True},
}


def main() -> None:
    with door.module(arguments.scope(), OWN) as module:
        session = jobs.installed(module, changed=False, drills=[], summary=[])
        job = session.job(module.params["job"])
        if module.check_mode:
            module.exit_json(changed=False, summary=drilling.planned(job, module.params))
        drills = drilling.drilled(session, job, module.params)
        bad = drilling.failure(drills)
        if bad is not None:
            door.fail(module, bad, drills=drills, summary=drilling.told(drills))
        module.exit_json(changed=False, drills=drills, summary=drilling.told(drills))


if __name__ == "__main__":
    main()
