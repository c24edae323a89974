# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module says of itself."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would change without changing it.
  diff_mode:
    description: Shows what changed, or would change, when run with C(--diff).
  platform:
    description: The hosts that this module works on.
    platforms: linux
    support: full
"""
