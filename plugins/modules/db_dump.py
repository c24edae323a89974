#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: write a committed backup to a directory, without an installed configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: db_dump
short_description: Write a committed backup of databases and files to a local directory
version_added: 0.1.0
description:
  - Reads each source once, compresses and encrypts it, writes the archives and last the manifest, and reads all
    back. Nothing is counted as a backup before its manifest is there.
  - Needs no installed configuration. For jobs that have one, use M(lifeboat.backup.backup_run).
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The name of the job in the catalog of the destination.
    type: str
    required: true
    version_added: 0.1.0
  sources:
    required: true
  path:
    description: The directory that holds the copies, with catalog and archives below it.
    type: path
    required: true
    version_added: 0.1.0
  host:
    description: The name of the host in the catalog. The node name of this host, if not given.
    type: str
    version_added: 0.1.0
  environment:
    description: What this host is. A restore of a backup from production passes a stricter gate.
    type: str
    choices: [dev, staging, production]
    default: production
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
  spool_path:
    description: The directory for archives on their way. Below the user's own state, if not given.
    type: path
    version_added: 0.1.0
  allow_partial:
    description: Do not fail when some sources were lost and the others are saved.
    type: bool
    default: false
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.database
  - lifeboat.backup.credentials
  - lifeboat.backup.encryption
attributes:
  check_mode:
    support: full
    details: Each source is reached and looked at, nothing is dumped.
  diff_mode:
    support: none
seealso:
  - module: lifeboat.backup.s3_push
  - module: lifeboat.backup.verify_archive
"""

EXAMPLES = r"""
- name: Dump a database before a deployment
  lifeboat.backup.db_dump:
    job: shop
    sources:
      db: {type: postgresql, database: shop}
    path: /var/backups/lifeboat
    encryption:
      age_recipients: ["{{ operator_key }}", "{{ escrow_key }}"]
    type: predeploy
    tags: [v1.2.3]
  become: true

- name: Dump a database with a password
  lifeboat.backup.db_dump:
    job: shop
    sources:
      db:
        type: postgresql
        host: db.internal
        database: shop
        user: dumper
        password: {credential: shop_db}
    credentials:
      shop_db: "{{ vault_shop_db_password }}"
    path: /var/backups/lifeboat
    encryption:
      age_recipients: ["{{ operator_key }}", "{{ escrow_key }}"]

- name: Dump a database, encrypted with GnuPG
  lifeboat.backup.db_dump:
    job: shop
    sources:
      db: {type: postgresql, database: shop}
    path: /var/backups/lifeboat
    encryption:
      gpg_recipients: [A63182DBD65DFA99BD107215520D26750305E8F2]
      gpg_keys: ["{{ lookup('ansible.builtin.file', 'operator.asc') }}"]
  become: true
"""

RETURN = r"""
id:
  description: The id of the backup.
  returned: when a backup was made
  type: str
  sample: 20261121T020000Z-predeploy-7f3a
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
  sample: [{"name": "here", "state": "intact", "error": ""}]
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
from ..module_utils.engine.cli.session import report_mapping, run_backup

OWN: door.Spec = {
    "job": {"type": "str", "required": True},
    "sources": {"type": "dict", "required": True},
    "path": {"type": "path", "required": True},
    "host": {"type": "str"},
    "environment": {
        "type": "str",
        "choices": ["dev", "staging", "production"],
        "default": "production",
    },
    "type": {"type": "str", "default": "manual"},
    "tags": {"type": "list", "elements": "str", "default": []},
    "pin": {"type": "bool", "default": False},
    "spool_path": {"type": "path"},
    "allow_partial": {"type": "bool", "default": False},
}


def main() -> None:
    with door.module(
        arguments.database(), arguments.credentials(), arguments.encryption(), OWN
    ) as module:
        given = module.params
        destinations = {jobs.HERE: {"type": "local", "path": given["path"]}}
        session, job = jobs.described(given, destinations)
        if module.check_mode:
            module.exit_json(changed=True, facts=jobs.look(job))
        report = run_backup(session, job, type_=given["type"], tags=given["tags"], pin=given["pin"])
        jobs.report(module, report_mapping(job, report))


if __name__ == "__main__":
    main()
