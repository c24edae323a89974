#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: install the credentials that jobs use."""

from __future__ import annotations

DOCUMENTATION = r"""
module: credential_install
short_description: Install the credentials that lifeboat's jobs use
version_added: 0.1.0
description:
  - Writes each credential to a file of its own that only root (or, in user scope, the user) can read. Where
    systemd can, in system scope from version 250 on, the files are encrypted with the key of the machine.
  - Units get them through C(LoadCredential=); they are in no unit file, argument or log.
  - A credential that is stored already with the same value is not written again. Results and diffs show names
    only.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  credentials:
    description:
      - Each name with its value, a text or a mapping of texts.
    type: dict
    required: true
    version_added: 0.1.0
  purge:
    description:
      - Remove the stored credentials that O(credentials) does not name.
    type: bool
    default: false
    version_added: 0.1.0
  keep:
    description:
      - Names of stored credentials that O(purge) leaves alone, for something else looks after them.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  key_ids_of:
    description:
      - Names of stored credentials whose C(access_key_id) is returned. It is the public half of such a key.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
extends_documentation_fragment:
  - lifeboat.backup.attributes
  - lifeboat.backup.scope
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Names only, never values.
seealso:
  - module: lifeboat.backup.schedule_install
"""

EXAMPLES = r"""
- name: Install the key of the backup bucket
  lifeboat.backup.credential_install:
    credentials:
      acme_s3:
        access_key_id: "{{ vault_acme_s3_id }}"
        secret_access_key: "{{ vault_acme_s3_secret }}"
    purge: true
  become: true
  no_log: true
"""

RETURN = r"""
written:
  description: The names of the credentials that were written.
  returned: success
  type: list
  elements: str
  sample: [acme_s3]
removed:
  description: The names of the files that were removed.
  returned: success
  type: list
  elements: str
  sample: [old_s3.cred]
key_ids:
  description: The C(access_key_id) of each credential of O(key_ids_of) that is stored and has one.
  returned: success
  type: dict
  sample: {acme_s3: AKIA1EXAMPLE1EXAMPLE}
encrypted:
  description: Whether systemd encrypts the credentials here.
  returned: success
  type: bool
  sample: true
"""

from ..module_utils import arguments, credential_store, door


def main() -> None:
    with door.module(
        arguments.scope(),
        {
            "credentials": {"type": "dict", "required": True, "no_log": True},
            "purge": {"type": "bool", "default": False},
            "keep": {"type": "list", "elements": "str", "default": []},
            # no_log is said since its name holds "key"; these are names
            "key_ids_of": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
    ) as module:
        paths = door.places(module)
        plan = credential_store.plan(
            paths,
            module.params["credentials"],
            module.params["purge"],
            module.check_mode,
            keep=module.params["keep"],
        )
        if plan.changed and not module.check_mode:
            credential_store.apply(plan)
        module.exit_json(
            changed=plan.changed,
            written=list(plan.write),
            removed=[path.name for path in plan.remove],
            key_ids=credential_store.key_ids(paths, module.params["key_ids_of"]),
            encrypted=plan.encrypt,
            diff=door.diff(plan.before, plan.after, str(paths.credentials)),
        )


if __name__ == "__main__":
    main()
