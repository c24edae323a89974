# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.destination()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  destination:
    description:
      - A place where copies live, described here instead of in an installed configuration. It has a C(type) and
        the options of its type, as in the configuration.
      - The types are V(local), V(rclone), V(s3), V(sftp).
      - >-
        A secret is named, C({credential: NAME}), and defined in O(credentials).
    type: dict
    version_added: 0.1.0
"""
