# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.database()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  sources:
    description:
      - What to protect, by name. Each has a C(type), an optional C(placement), and the options of its type, as in
        the configuration.
      - The types are V(command), V(files), V(mariadb), V(mongodb), V(mysql), V(postgresql), V(redis),
        V(s3_bucket), V(sqlite), V(valkey), V(volume).
      - >-
        A secret is named, C({credential: NAME}), and defined in O(credentials).
    type: dict
    version_added: 0.1.0
"""
