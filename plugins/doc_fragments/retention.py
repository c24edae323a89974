# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.retention()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  keep:
    description:
      - What is kept of the good backups. One that any rule keeps stays; the newest good one always stays.
    type: dict
    version_added: 0.1.0
    suboptions:
      all:
        description: Keep everything. Without this and without any rule, 30 days are kept, and never fewer than 3.
        type: bool
        default: false
        version_added: 0.1.0
      last:
        description: So many of the newest.
        type: int
        version_added: 0.1.0
      hourly:
        description: The newest of each of so many hours.
        type: int
        version_added: 0.1.0
      daily:
        description: The newest of each of so many days.
        type: int
        version_added: 0.1.0
      weekly:
        description: The newest of each of so many ISO weeks.
        type: int
        version_added: 0.1.0
      monthly:
        description: The newest of each of so many months.
        type: int
        version_added: 0.1.0
      yearly:
        description: The newest of each of so many years.
        type: int
        version_added: 0.1.0
      within:
        description: All that are younger than this, for example V(7d).
        type: str
        version_added: 0.1.0
      tagged:
        description: How long a tag protects a backup, for example V(30d). For ever, if not given.
        type: str
        version_added: 0.1.0
      minimum:
        description: Never fewer good ones than this. V(1), if not given beside a rule.
        type: int
        version_added: 0.1.0
"""
