#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: install the engine and the lifeboat command."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_install
short_description: Install the lifeboat engine and its command on a host
version_added: 0.1.0
description:
  - Ansible has already carried the engine to the host inside this module. The module writes it beside the
    releases that are there, makes sure that it starts, and then swaps a symlink, so that a backup that is running
    keeps its release.
  - The two releases before the current one are kept.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  python:
    description:
      - The Python that the C(lifeboat) command runs on, 3.9 or newer. The one that runs this module, if not
        given.
    type: path
    version_added: 0.1.0
  allow_downgrade:
    description:
      - Install a release that is older than the one that is there. Refused otherwise.
    type: bool
    default: false
    version_added: 0.1.0
  vendor_archive:
    description:
      - A C(tar.gz) on the host with the libraries for its Python, as C(pip install --target) lays them out. It is
        read only when the libraries that O(vendor_digest) names are not there yet.
    type: path
    version_added: 0.1.0
  vendor_digest:
    description:
      - What identifies the libraries in O(vendor_archive), for example the SHA-256 of the lock file that they
        come from.
    type: str
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: lifeboat.backup.schedule_install
"""

EXAMPLES = r"""
- name: Install lifeboat for the whole system
  lifeboat.backup.engine_install:
  become: true

- name: Install lifeboat with the libraries that talk to S3
  lifeboat.backup.engine_install:
    vendor_archive: /var/cache/lifeboat/vendor.tar.gz
    vendor_digest: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
  become: true

- name: Install lifeboat for one user, in one directory
  lifeboat.backup.engine_install:
    scope: user
    root: /home/ada/.demo
"""

RETURN = r"""
digest:
  description: What identifies this release.
  returned: success
  type: str
  sample: 0f3c5b1e9a7d2c46
version:
  description: The version of this release.
  returned: success
  type: str
  sample: 0.1.0
previous_version:
  description: The version that was there before; empty if there was none.
  returned: success
  type: str
  sample: 0.1.0
command:
  description: The path of the C(lifeboat) command.
  returned: success
  type: str
  sample: /usr/local/bin/lifeboat
software:
  description: The directory that holds releases and libraries.
  returned: success
  type: str
  sample: /opt/lifeboat
python:
  description: The Python that the command runs on.
  returned: success
  type: str
  sample: /usr/bin/python3
python_tag:
  description: What libraries for this Python are built for.
  returned: success
  type: str
  sample: cp311-x86_64
"""

from pathlib import Path

from ..module_utils import arguments, delivery, door
from ..module_utils.engine.cli.main import main as lifeboat
from ..module_utils.vendor import Vendor


def main() -> None:
    with door.module(
        arguments.scope(),
        {
            "python": {"type": "path"},
            "allow_downgrade": {"type": "bool", "default": False},
            "vendor_archive": {"type": "path"},
            "vendor_digest": {"type": "str"},
        },
        required_together=[("vendor_archive", "vendor_digest")],
    ) as module:
        given = module.params
        python = delivery.interpreter(given["python"])
        vendor = None
        if given["vendor_digest"]:
            vendor = Vendor(Path(given["vendor_archive"]), given["vendor_digest"], python.tag)
        plan = delivery.plan(
            door.places(module),
            delivery.carried(lifeboat),
            python,
            root=given["root"],
            vendor=vendor,
            allow_downgrade=given["allow_downgrade"],
        )
        if plan.changed and not module.check_mode:
            delivery.apply(plan)
        module.exit_json(
            changed=plan.changed,
            digest=plan.release.digest,
            version=plan.release.version,
            previous_version=plan.previous_version,
            command=str(plan.paths.command),
            software=str(plan.paths.software),
            python=python.path,
            python_tag=python.tag,
            diff=door.diff(plan.before, plan.after, str(plan.paths.software)),
        )


if __name__ == "__main__":
    main()
