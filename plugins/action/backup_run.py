# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell how far a backup is while its task runs."""

from __future__ import annotations

from ..plugin_utils.following import Following


class ActionModule(Following):
    """The module of the same name, followed."""
