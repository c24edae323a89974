#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: bring the files of a backup into a directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_fetch
short_description: Bring the files of a backup into a directory, and thaw what is in cold storage
version_added: 0.1.0
description:
  - Fetches the archives of one backup, its manifest, C(SHA256SUMS) and C(RESTORE.md) into a directory, every
    byte compared with the manifest. They open with C(age), C(zstd) and the client programs of the sources.
  - Archives in cold storage are asked for with O(thaw=true). Until they can be read the module returns
    RV(waiting) and fetches nothing; call it again, with C(until), for as long as RV(waiting) is not empty.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job, as installed on this host, or as it is called at O(destination).
    type: str
    required: true
    version_added: 0.1.0
  dest:
    description:
      - The directory, which is made. One that holds the manifest of this backup already is left as it is; any
        other must be empty.
    type: path
    required: true
    version_added: 0.1.0
  thaw:
    description: Ask for archives in cold storage. The provider bills that.
    type: bool
    default: false
    version_added: 0.1.0
  tier:
    description: How fast they are to be thawed; V(bulk) is the cheapest.
    type: str
    choices: [expedited, standard, bulk]
    default: standard
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
  - lifeboat.backup.choice
  - lifeboat.backup.destination
  - lifeboat.backup.credentials
attributes:
  check_mode:
    support: full
    details: Nothing is asked for, and nothing is fetched.
  diff_mode:
    support: none
seealso:
  - module: lifeboat.backup.verify_archive
"""

EXAMPLES = r"""
- name: Fetch the newest good backup
  lifeboat.backup.archive_fetch:
    job: shop
    dest: /srv/rescue
  become: true

- name: Fetch a backup out of cold storage, however long it takes
  lifeboat.backup.archive_fetch:
    job: shop
    backup: 20251101T040000Z-monthly-3c1d
    at: glacier
    dest: /srv/rescue
    thaw: true
    tier: bulk
  become: true
  register: fetched
  until: not fetched.waiting
  retries: 60
  delay: 3600
"""

RETURN = r"""
id:
  description: The backup.
  returned: success
  type: str
  sample: 20261121T020000Z-daily-7f3a
files:
  description: What was fetched.
  returned: success
  type: list
  elements: str
  sample: [20261121T020000Z-daily-7f3a.json, RESTORE.md, SHA256SUMS, db.database.pgdump.zst.age]
waiting:
  description: Archives that can only be read later.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from pathlib import Path

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli import fetch
from ..module_utils.engine.cli.session import now
from ..module_utils.engine.operations.copies import catalog

OWN: door.Spec = {
    "job": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "thaw": {"type": "bool", "default": False},
    "tier": {"type": "str", "choices": ["expedited", "standard", "bulk"], "default": "standard"},
}


def main() -> None:
    with door.module(
        arguments.scope(),
        arguments.choice(),
        arguments.destination(),
        arguments.credentials(),
        OWN,
    ) as module:
        given = module.params
        session, job = jobs.chosen(module, changed=False, id="", files=[], waiting=[])
        host, wanted = given["from_host"] or job.host, jobs.wanted(given)
        directory = Path(given["dest"])
        listed, _lost = catalog.holdings(job, host, wanted.at)
        id_ = catalog.choose(listed, wanted, job.name, now())[0].id
        there = directory / f"{id_}.json"
        if there.exists() or module.check_mode:
            files = sorted(one.name for one in directory.iterdir()) if there.exists() else []
            module.exit_json(changed=not there.exists(), id=id_, files=files, waiting=[])
        with jobs.hold(module, session, job, "fetch"):
            at, fetched = fetch.fetch_one(
                job, wanted, host, directory, thaw=given["thaw"], tier=given["tier"]
            )
        told = fetch.fetched_mapping(fetched, at)
        told.pop("destination")
        # asking for what is frozen is a change of the world too, and is done once
        asked = any(one.state == "frozen" for one in fetched.waiting)
        module.exit_json(changed=bool(fetched.files) or asked, **told)


if __name__ == "__main__":
    main()
