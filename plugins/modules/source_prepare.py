#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Door: give the user that dumps the rights that it needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: source_prepare
short_description: Give the user that dumps the least rights it needs in the sources of a job
version_added: 0.1.0
description:
  - Asks each source of a job what the job's user lacks for a dump, for example a role in PostgreSQL with its
    grants, and gives it. What the user has already is not touched.
  - A source that is not there yet is warned of and left out, since it may be a restore that brings it.
  - Needs the rights of an administrator in the source; for PostgreSQL on the same host those of root are enough.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  job:
    description: The job. All jobs of the host, if not given.
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
- name: Give the backup user its rights in all databases
  lifeboat.backup.source_prepare:
  become: true
"""

RETURN = r"""
statements:
  description: What was done (in check mode, would be), by job and source. Passwords are shown as stars.
  returned: success
  type: dict
  sample: {"shop.db": ["GRANT pg_read_all_data TO lifeboat"]}
"""

import getpass

from ..module_utils import arguments, door, jobs
from ..module_utils.engine.errors import SourceAbsent


def main() -> None:
    with door.module(arguments.scope(), {"job": {"type": "str"}}) as module:
        session = jobs.installed(module, changed=True, statements={})
        name = module.params["job"]
        default = "lifeboat" if session.paths.scope == "system" else getpass.getuser()
        done = {}
        for job in [session.job(name)] if name else session.configuration.jobs.values():
            for source in () if job.only_drilled else job.sources:
                try:
                    told = source.prepare(job.user or default, module.check_mode)
                except SourceAbsent as exc:
                    module.warn(f"{exc}; run this again once it is there")
                    continue
                if told:
                    done[f"{job.name}.{source.name}"] = told
        after = [f"{where}: {line}" for where, lines in sorted(done.items()) for line in lines]
        module.exit_json(changed=bool(done), statements=done, diff=door.diff([], after))


if __name__ == "__main__":
    main()
