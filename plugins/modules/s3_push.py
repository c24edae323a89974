#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: replicate a committed backup from a directory to S3."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_push
short_description: Push a committed backup from a local directory to S3
version_added: 0.1.0
description:
  - Carries the archives of one backup to a bucket, then its manifest, then reads everything back. Each archive is
    compared with its manifest before it is sent.
  - A backup that is there already is not sent again.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The name of the job in the catalog.
    type: str
    required: true
    version_added: 0.1.0
  path:
    description: The directory that holds the copies.
    type: path
    required: true
    version_added: 0.1.0
  backup:
    description: The id of the backup, or V(latest) for the newest good one.
    type: str
    default: latest
    version_added: 0.1.0
  host:
    description: The name of the host in the catalog. The node name of this host, if not given.
    type: str
    version_added: 0.1.0
  destination:
    description:
      - The bucket, described with the options of a destination of type V(s3) in the configuration. The C(type)
        may be left out.
    required: true
  spool_path:
    description: The directory for archives on their way. Below the user's own state, if not given.
    type: path
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.destination
  - lifeboat.backup.credentials
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
requirements:
  - boto3 1.36 or newer, for the Python that runs the module
seealso:
  - module: lifeboat.backup.db_dump
"""

EXAMPLES = r"""
- name: Push the newest good backup to the bucket
  lifeboat.backup.s3_push:
    job: shop
    path: /var/backups/lifeboat
    destination: {bucket: acme-backups, region: eu-west-3, credential: acme_s3}
    credentials:
      acme_s3:
        access_key_id: "{{ vault_acme_s3_id }}"
        secret_access_key: "{{ vault_acme_s3_secret }}"
"""

RETURN = r"""
id:
  description: The id of the backup.
  returned: success
  type: str
  sample: 20261121T020000Z-daily-7f3a
state:
  description: The state of the copy in the bucket. In check mode, V(missing) if it would be sent.
  returned: success
  type: str
  sample: intact
"""

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli.session import now
from ..module_utils.engine.errors import DestinationError, ReadBackError, UsageError
from ..module_utils.engine.operations.catalog import Wanted, choose, holdings
from ..module_utils.engine.operations.replicate import replicate

OWN = {
    "job": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "backup": {"type": "str", "default": "latest"},
    "host": {"type": "str"},
    "destination": {"type": "dict", "required": True},
    "spool_path": {"type": "path"},
}


def main() -> None:
    with door.module(arguments.destination(), arguments.credentials(), OWN) as module:
        given = module.params
        bucket = dict({"type": "s3"}, **given["destination"])
        if bucket["type"] != "s3":
            raise UsageError(
                f"s3_push pushes to S3, not to a destination of type {bucket['type']!r}"
            )
        local = {"type": "local", "path": given["path"]}
        session, job = jobs.described(given, {"local": local, "s3": bucket})
        with jobs.hold(module, session, job, "push"):
            listed, _lost = holdings(job, job.host, "local")
            id_ = choose(listed, Wanted(id=given["backup"]), job.name, now())[0].id
            there, lost = holdings(job, job.host, "s3")
            if lost:
                raise lost[0][1]
            state = next(
                (copies[0][1].state for one in there if one.id == id_ for copies in [one.copies]),
                "missing",
            )
            if state != "missing" or module.check_mode:
                module.exit_json(changed=state == "missing", id=id_, state=state)
            local, s3 = job.destination("local"), job.destination("s3")
            spool = session.area(job).spool
            outcome = replicate(local, s3, job.host, job.name, id_, spool, now)
        if outcome.state == "lost":
            raise DestinationError(
                f"backup {id_} was not pushed: {outcome.error}", hint=outcome.hint
            )
        if outcome.state != "intact":
            raise ReadBackError(f"backup {id_} was pushed and reads back wrong: {outcome.error}")
        module.exit_json(changed=True, id=id_, state=outcome.state)


if __name__ == "__main__":
    main()
