#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: list backups and their copies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List backups with the state of their copies
version_added: 0.1.0
description:
  - Asks the destinations themselves, newest backup first. Changes nothing.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The jobs. All jobs that this host backs up, if not given.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  at:
    description: Only copies at the destination of this name.
    type: str
    version_added: 0.1.0
  from_host:
    description: The name of the host that made the backups. This host, if not given.
    type: str
    version_added: 0.1.0
  packages_of:
    description:
      - The id of a backup of the one O(job), or V(latest) for its newest good one. Then also RV(packages) and
        RV(missing) are told, from its manifest; neither its sources nor their servers have to be on this host.
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
  - module: lifeboat.backup.verify_archive
"""

EXAMPLES = r"""
- name: Ask for all backups of a job
  lifeboat.backup.backup_info:
    job: [shop]
  become: true
  register: shop

- name: Ask what a bare host lacks for a restore of what another one has left behind
  lifeboat.backup.backup_info:
    job: [shop]
    from_host: db1
    packages_of: 20261121T020000Z-daily-7f3a
  become: true
  register: needed

- name: Show the newest good one
  ansible.builtin.debug:
    var: shop.jobs.0.newest_good
"""

RETURN = r"""
backups:
  description:
    - All backups, newest first. C(why_not_good) is one word, empty for a good one.
    - C(sources) names what a backup with C(subset) holds; other backups hold every source of their job.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261121T020000Z-daily-7f3a
      job: shop
      type: daily
      taken_at: "2026-11-21T02:00:00Z"
      good: true
      why_not_good: ""
      subset: false
      sources: []
      tags: []
      copies: {disk: intact, offsite: intact}
jobs:
  description:
    - The jobs with their newest good backup; empty if they have none.
    - C(newest_whole) is the newest good one that holds every source of the job, or C(newest_good) where none does.
    - C(lacking) names the destinations that have no good copy of any backup; one that could not be asked is named
      only where no run of this host has ever stored anything there.
  returned: success
  type: list
  elements: dict
  sample: [{"job": "shop", "newest_good": "20261121T020000Z-daily-7f3a", "lacking": [],
      "newest_whole": "20261121T020000Z-daily-7f3a", "backups": 12}]
packages:
  description:
    - The packages, with their versions, that brought the programs of the sources of O(packages_of), and their
      servers where those ran on the same host, as its package manager told. Only names that a source of this job,
      of that kind, is known to need.
  returned: with O(packages_of)
  type: dict
  sample: {"postgresql-15": "15.20-0+deb12u1", "postgresql-client-15": "15.20-0+deb12u1"}
missing:
  description: Those that are not installed on this host, in any version.
  returned: with O(packages_of)
  type: list
  elements: str
  sample: [postgresql-15]
refused:
  description:
    - Other names that the manifest has. Do not install them unseen, whoever may write to the destination may have
      written them.
  returned: with O(packages_of)
  type: list
  elements: str
  sample: [openssh-server]
lost:
  description: The destinations that could not be asked.
  returned: success
  type: list
  elements: dict
  sample: [{"job": "shop", "destination": "offsite", "error": "denied"}]
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils import arguments, door, jobs, needed
from ..module_utils.engine.cli import listing
from ..module_utils.engine.cli.session import Session, now
from ..module_utils.engine.errors import UsageError
from ..module_utils.engine.operations.copies.catalog import Wanted, holdings
from ..module_utils.engine.operations.standing.history import past
from ..module_utils.engine.packages import missing

OWN: door.Spec = {
    "job": {"type": "list", "elements": "str", "default": []},
    "at": {"type": "str"},
    "from_host": {"type": "str"},
    "packages_of": {"type": "str"},
}


def main() -> None:
    with door.module(arguments.scope(), OWN) as module:
        given = module.params
        session = jobs.installed(module, changed=False, backups=[], jobs=[], lost=[])
        backups, standing, lost = [], [], []
        ours = [one.name for one in session.configuration.jobs.values() if not one.only_drilled]
        for name in given["job"] or sorted(ours):
            job = session.job(name)
            host = given["from_host"] or job.host
            listed, silent = holdings(job, host, given["at"] or "")
            lost += [{"job": name, "destination": at, "error": str(exc)} for at, exc in silent]
            runs = past(session.paths.history, name)
            good = [one for one in listed if one.good]
            newest = next((one.id for one in good), "")
            standing.append(
                {
                    "job": name,
                    "newest_good": newest,
                    "newest_whole": next((one.id for one in good if not one.subset), newest),
                    "lacking": listing.lacking(job, listed, silent, runs, given["at"] or ""),
                    "backups": len(listed),
                }
            )
            held, unlisted = listing.sources_held(job, host, listed)
            lost += [{"job": name, "destination": at, "error": str(exc)} for at, exc in unlisted]
            backups += [listing.mapping(job, one, held, now()) for one in listed]
        backups.sort(key=lambda one: one["id"], reverse=True)
        facts = _packages(session, given) if given["packages_of"] else {}
        module.exit_json(changed=False, backups=backups, jobs=standing, lost=lost, **facts)


def _packages(session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
    if len(given["job"]) != 1:
        raise UsageError("packages_of needs exactly one job", hint="name it in `job`")
    job = session.job(given["job"][0])
    wanted = Wanted(id=given["packages_of"], at=given["at"] or "")
    found, refused = needed.packages(job, given["from_host"] or job.host, wanted, now())
    return {"packages": found, "missing": missing(sorted(found)), "refused": sorted(refused)}


if __name__ == "__main__":
    main()
