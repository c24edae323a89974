# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.credentials()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  credentials:
    description:
      - The secrets that sources and destinations name, each with its value, a text or a mapping of texts. They
        stay in the memory of the module.
    type: dict
    default: {}
    version_added: 0.1.0
"""
