# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.push()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
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
  spool_path:
    description: The directory for archives on their way. Below the user's own state, if not given.
    type: path
    version_added: 0.1.0
"""
