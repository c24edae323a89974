# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.scope()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  scope:
    description:
      - V(system) means the whole system - C(/opt/lifeboat), C(/etc/lifeboat), system units - and needs root.
        V(user) means the user that the module runs as - below their home directory, units of their own systemd.
    type: str
    choices: [system, user]
    default: system
    version_added: 0.1.0
  root:
    description:
      - In user scope, one directory (an absolute path) that holds everything but the units, instead of the usual
        places below the home directory.
    type: path
    version_added: 0.1.0
"""
