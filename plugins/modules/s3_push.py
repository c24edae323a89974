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
  - A backup that is there already is not sent again. A copy that has proved corrupt there is made whole.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  destination:
    description:
      - The bucket, described with the options of a destination of type V(s3) in the configuration. The C(type)
        may be left out.
    required: true
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.destination
  - lifeboat.backup.credentials
  - lifeboat.backup.push
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
requirements:
  - boto3 1.36 or newer, for the Python that runs the module
seealso:
  - module: lifeboat.backup.db_dump
  - module: lifeboat.backup.sftp_push
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
  description: The state of the copy in the bucket. In check mode, V(missing) or V(corrupt) if it would be sent.
  returned: success
  type: str
  sample: intact
"""

from ..module_utils import pushing


def main() -> None:
    pushing.main("s3")


if __name__ == "__main__":
    main()
