#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: replicate a committed backup from a directory to an SFTP server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sftp_push
short_description: Push a committed backup from a local directory to an SFTP server
version_added: 0.1.0
description:
  - Carries the archives of one backup to a directory of a host that speaks SFTP, then its manifest, then reads
    everything back. Each archive is compared with its manifest before it is sent.
  - A backup that is there already is not sent again. A copy that has proved corrupt there is made whole.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  destination:
    description:
      - The server and the directory on it, described with the options of a destination of type V(sftp) in the
        configuration. The C(type) may be left out.
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
  - asyncssh 2.21 or newer, for the Python that runs the module
seealso:
  - module: lifeboat.backup.db_dump
  - module: lifeboat.backup.s3_push
"""

EXAMPLES = r"""
- name: Push the newest good backup to the host in the attic
  lifeboat.backup.sftp_push:
    job: shop
    path: /var/backups/lifeboat
    destination:
      host: attic.example.org
      user: backup
      path: lifeboat
      host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOIGcDTIbNA/y3jhmI1FpNCaQpVVlEVS2MjTTXU5S6wl
      credential: attic_key
    credentials:
      attic_key: "{{ vault_attic_private_key }}"
"""

RETURN = r"""
id:
  description: The id of the backup.
  returned: success
  type: str
  sample: 20261121T020000Z-daily-7f3a
state:
  description: The state of the copy on the server. In check mode, V(missing) or V(corrupt) if it would be sent.
  returned: success
  type: str
  sample: intact
"""

from ..module_utils import pushing


def main() -> None:
    pushing.main("sftp")


if __name__ == "__main__":
    main()
