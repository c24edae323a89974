#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: prove copies of a backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_archive
short_description: Prove that the copies of a backup are what was stored
version_added: 0.1.0
description:
  - Reads every stored byte of a backup at every destination that should have it, and compares it with the
    manifest. With O(level=content) and the private key, each archive is also decrypted, decompressed and read
    as what it is.
  - Fails when a copy is not valid, is missing, or could not be asked for. What was found is marked beside the
    manifest; such a mark is not counted as a change.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host, or as it is called at O(destination).
    type: str
    required: true
    version_added: 0.1.0
  all:
    description: Every backup, not only the one that is chosen.
    type: bool
    default: false
    version_added: 0.1.0
  level:
    description: How deep to look.
    type: str
    choices: [hashes, content]
    default: hashes
    version_added: 0.1.0
  identity:
    description:
      - The private key, for O(level=content). It stays in memory; for gpg as in M(lifeboat.backup.db_restore).
    type: str
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
  - lifeboat.backup.choice
  - lifeboat.backup.destination
  - lifeboat.backup.credentials
  - lifeboat.backup.database
attributes:
  check_mode:
    support: full
    details: The copies are read all the same, and no mark is written.
  diff_mode:
    support: none
seealso:
  - module: lifeboat.backup.backup_info
"""

EXAMPLES = r"""
- name: Prove the newest good backup at all destinations
  lifeboat.backup.verify_archive:
    job: shop
  become: true

- name: Prove that the archives of one backup can be read with the key
  lifeboat.backup.verify_archive:
    job: shop
    backup: 20261121T020000Z-daily-7f3a
    level: content
    identity: "{{ lookup('ansible.builtin.file', 'operator.key') }}"
  become: true

- name: Prove what is in a directory, without an installed configuration
  lifeboat.backup.verify_archive:
    job: shop
    destination: {type: local, path: /mnt/disk/lifeboat}
"""

RETURN = r"""
findings:
  description: What each copy turned out to be. V(unknown) could not be asked.
  returned: always
  type: list
  elements: dict
  sample:
    - id: 20261121T020000Z-daily-7f3a
      destination: disk
      state: intact
      problem: ""
      hint: ""
      age_s: 3600
      sources: {db: good, uploads: good}
      complete: true
"""

from dataclasses import replace

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli.session import now
from ..module_utils.engine.cli.verify import mapping, remember_proofs
from ..module_utils.engine.cli.watch import ProgressFile
from ..module_utils.engine.errors import VerifyError
from ..module_utils.engine.operations.upkeep import verify
from ..module_utils.engine.progress import silent
from ..module_utils.engine.registry import FILTERS
from ..module_utils.looking import Looking

OWN: door.Spec = {
    "job": {"type": "str", "required": True},
    "all": {"type": "bool", "default": False},
    "level": {"type": "str", "choices": ["hashes", "content"], "default": "hashes"},
    "identity": {"type": "str", "no_log": True},
}


def main() -> None:
    with door.module(
        arguments.scope(),
        arguments.choice(),
        arguments.destination(),
        arguments.credentials(),
        arguments.database(),
        OWN,
    ) as module:
        given = module.params
        session, job = jobs.chosen(module, changed=False, findings=[])
        if module.check_mode:
            job = replace(job, destinations=tuple(Looking(one) for one in job.destinations))
        content, listener = None, ProgressFile(session.paths.progress(job.name), silent)
        if given["level"] == "content":
            content = (session.area(job, rescue=True), FILTERS, jobs.identity(given))
        with jobs.hold(module, session, job, "verify"):
            found = verify.verify(
                job,
                jobs.wanted(given),
                now,
                host=given["from_host"] or "",
                every=given["all"],
                content=content,
                listener=listener,
            )
            if not module.check_mode:
                remember_proofs(session, silent, job, found, jobs.identity(given))
        findings = [mapping(one) for one in found]
        bad = [one for one in found if not one.valid]
        if bad or not found:
            told = "; ".join(
                f"{one.id or job.name} at {one.destination} is {one.state}: {one.problem}"
                for one in bad
            )
            door.fail(module, VerifyError(told or "there is nothing to verify"), findings=findings)
        module.exit_json(changed=False, findings=findings)


if __name__ == "__main__":
    main()
