#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: bring a backup back, through the gate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_restore
short_description: Bring a backup back, through the gate; take that back; or let go of what it replaced
version_added: 0.1.0
description:
  - Chooses a backup, fetches it from the nearest destination and proves every byte, passes the gate, restores
    beside what is there, compares with what was backed up, and swaps. On any failure the old state is in place.
  - The gate waits five seconds in C(dev) and C(staging). In C(production) it wants O(confirm), the id of the
    backup and O(target_host).
  - What was replaced is kept for seven days, or until O(state=confirmed).
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host.
    type: str
    required: true
    version_added: 0.1.0
  state:
    description:
      - V(restored) restores. V(undone) puts back what the last restore replaced, through the same gate; a
        restore that is undone already is left so, and no other is taken back but one that O(backup) names.
      - V(confirmed) lets go of everything that restores keep.
    type: str
    choices: [restored, undone, confirmed]
    default: restored
    version_added: 0.1.0
  only:
    description: Only these sources of the backup.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  into:
    description: Another database, file or directory to restore into. Needs exactly one source.
    type: str
    version_added: 0.1.0
  path:
    description:
      - Only these paths of a source of files, absolute or below its only path, with all that lies below. Or the
        rows of these tables of PostgreSQL, MariaDB, MySQL or SQLite, or these collections of MongoDB, alone,
        which needs O(into).
      - Needs exactly one source.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  allow_unsigned:
    description:
      - Also restore a backup whose manifest none of the configured C(signers) signed. The phrase in O(confirm) is
        then C(RESTORE PRODUCTION UNSIGNED), and C(RESTORE UNSIGNED) where it is not production.
    type: bool
    default: false
    version_added: 0.1.0
  merge:
    description:
      - Puts files back one by one, into the directories that are there, and leaves all else in them as it is.
        What is overwritten is kept, and O(state=undone) puts it back. Existing directories keep owner and mode.
        Without it a directory is exchanged as a whole. For sources of files only.
    type: bool
    default: false
    version_added: 0.1.0
  reason:
    description: Why, in words, for the audit log.
    type: str
    version_added: 0.1.0
  services:
    description:
      - Stops the services that the job names right before the swap, starts them again, and asks whether all
        works; if it does not, everything is taken back. With V(false) they are left alone.
    type: bool
    default: true
    version_added: 0.1.0
  identity:
    description:
      - The private key. It stays in memory; use pipelining.
      - For gpg it is an armoured private key, after a first line C(passphrase:) and the passphrase where it has
        one. It is imported into a directory in memory, which goes away with the restore.
    type: str
    version_added: 0.1.0
  confirm:
    description: The phrase V(RESTORE PRODUCTION), where the job's environment is C(production).
    type: str
    version_added: 0.1.0
  target_host:
    description: The name of the host that is meant. Any other host refuses.
    type: str
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
  - lifeboat.backup.choice
attributes:
  check_mode:
    support: full
    details: The plan, and what the gate would say.
  diff_mode:
    support: full
    details: What is there now, and what the backup holds, counted.
seealso:
  - module: lifeboat.backup.backup_info
  - module: lifeboat.backup.verify_archive
"""

EXAMPLES = r"""
- name: Restore a job of production
  lifeboat.backup.db_restore:
    job: shop
    backup: 20261121T020000Z-daily-7f3a
    target_host: db1
    confirm: RESTORE PRODUCTION
    identity: "{{ lookup('ansible.builtin.file', 'operator.key') }}"
  become: true

- name: Restore one database beside the one that is there
  lifeboat.backup.db_restore:
    job: shop
    only: [db]
    into: shop_yesterday
    identity: "{{ lookup('ansible.builtin.file', 'operator.key') }}"
  become: true

- name: Put one directory of uploads back, and leave what came since
  lifeboat.backup.db_restore:
    job: shop
    only: [uploads]
    path: [invoices/2026]
    merge: true
    identity: "{{ lookup('ansible.builtin.file', 'operator.key') }}"
  become: true

- name: Take the last restore back
  lifeboat.backup.db_restore:
    job: shop
    state: undone
  become: true
"""

RETURN = r"""
plan:
  description: What the restore does, target by target, with what is there and what the backup holds.
  returned: with O(state=restored)
  type: dict
  sample:
    job: shop
    host: db1
    environment: production
    id: 20261121T020000Z-daily-7f3a
    destination: disk
    size_bytes: 1048576
    remark: ""
    commit: ""
    services: {"shop-web.service": "wanted"}
    targets:
      - source: db
        target: database shop
        exists: true
        size_bytes: 8388608
        now: {tables: 3, rows: 41}
        tables: [public.customers, public.items, public.orders]
        backup: {tables: 3, rows: 40}
        lost: ["1 rows more than in the backup"]
        warnings: []
        refusals: []
summary:
  description: The plan in words, line by line.
  returned: with O(state=restored)
  type: list
  elements: str
  sample: ["restore of job shop on host db1 (production)"]
gate:
  description: Why the gate would refuse; empty if it would not.
  returned: in check mode
  type: str
  sample: "restore of 20261121T020000Z-daily-7f3a on db1 refused: production needs the phrase RESTORE PRODUCTION"
restore:
  description:
    - The journal of the restore, with what was put where. V(unheld) names the destinations that could not be told,
      as with an identity that may only read. Who prunes there does not wait for its end; each is a warning too.
  returned: when something was restored or taken back
  type: dict
  sample:
    id: 20261121T020000Z-daily-7f3a
    job: shop
    token: a1b2c3
    begun_at: "2026-11-21T09:12:44Z"
    step: swapped
    lost: []
    unheld: []
    swaps: [{"source": "db", "target": "shop", "side": "shop_a1b2c3_new", "kept": "shop_a1b2c3_old"}]
confirmed:
  description: The restores that were let go of (in check mode, would be).
  returned: with O(state=confirmed)
  type: list
  elements: dict
  sample: []
"""

from ..module_utils import arguments, door, jobs, restoring

STATES = {
    "restored": restoring.restored,
    "undone": restoring.undone,
    "confirmed": restoring.confirmed,
}
OWN: door.Spec = {
    "job": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["restored", "undone", "confirmed"], "default": "restored"},
    "only": {"type": "list", "elements": "str", "default": []},
    "into": {"type": "str"},
    "path": {"type": "list", "elements": "str", "default": []},
    "merge": {"type": "bool", "default": False},
    "allow_unsigned": {"type": "bool", "default": False},
    "reason": {"type": "str"},
    "services": {"type": "bool", "default": True},
    "identity": {"type": "str", "no_log": True},
    "confirm": {"type": "str"},
    "target_host": {"type": "str"},
}


def main() -> None:
    with door.module(arguments.scope(), arguments.choice(), OWN) as module:
        session = jobs.installed(module, changed=True, gate="", summary=[])
        job = session.job(module.params["job"])
        with jobs.hold(module, session, job, module.params["state"]):
            facts = STATES[module.params["state"]](session, job, module.params, module.check_mode)
        for sentence in facts.pop("warn", ()):
            module.warn(sentence)
        module.exit_json(**facts)


if __name__ == "__main__":
    main()
