#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: keep a host's runbook beside its configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runbook_install
short_description: Keep a host's own runbook, for the worst night
version_added: 0.1.0
description:
  - Writes the page that C(lifeboat runbook) prints, with this host's jobs, commands, contacts and the times of its
    last drills.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  path:
    description: The file. C(RUNBOOK.md) beside the configuration, if not given.
    type: path
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
  - module: lifeboat.backup.db_restore
  - module: lifeboat.backup.schedule_install
"""

EXAMPLES = r"""
- name: Keep the runbook
  lifeboat.backup.runbook_install:
  become: true
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /etc/lifeboat/RUNBOOK.md
runbook:
  description: The page, in Markdown.
  returned: success
  type: str
  sample: "# Runbook: backups of db1"
"""

from pathlib import Path

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.cli import runbook


def main() -> None:
    with door.module(arguments.scope(), {"path": {"type": "path"}}) as module:
        session = jobs.installed(module, changed=True, path="", runbook="")
        path = Path(module.params["path"] or session.paths.runbook)
        page = runbook.text(session)
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        changed = before != page
        if changed and not module.check_mode:
            runbook.put(path, page)
        diff = door.diff(before.splitlines(), page.splitlines(), str(path))
        module.exit_json(changed=changed, path=str(path), runbook=page, diff=diff)


if __name__ == "__main__":
    main()
