# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.choice()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  backup:
    description:
      - The id of the backup, or V(latest) for the newest good one that fits the options below.
    type: str
    default: latest
    version_added: 0.1.0
  tag:
    description: Only backups with this tag.
    type: str
    version_added: 0.1.0
  type:
    description: Only backups that this schedule made, for example V(weekly).
    type: str
    version_added: 0.1.0
  index:
    description: Which of the good backups that fit, V(1) is the newest.
    type: int
    default: 1
    version_added: 0.1.0
  as_of:
    description:
      - Only backups from before this instant, in UTC unless a zone is named, for example V(2026-11-21 02:00).
    type: str
    version_added: 0.1.0
  at:
    description: The name of the destination whose copy is meant. All of them, the nearest first, if not given.
    type: str
    version_added: 0.1.0
  from_host:
    description: The name of the host that made the backup. This host, if not given.
    type: str
    version_added: 0.1.0
"""
