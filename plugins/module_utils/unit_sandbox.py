# SPDX-License-Identifier: GPL-3.0-or-later
"""What every sandboxed unit of ours goes without, whatever else it needs."""

from __future__ import annotations

# Lines of a [Service].
NOTHING_OF_THE_MACHINE = """\
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
NoNewPrivileges=yes
"""
