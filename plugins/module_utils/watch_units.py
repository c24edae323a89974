# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the units that look at jobs: after each run, and every six hours."""

from __future__ import annotations

from .unit_sandbox import NOTHING_OF_THE_MACHINE

SERVICE_NAME, TIMER_NAME = "lifeboat-watch@.service", "lifeboat-watch.timer"

SERVICE = """\
[Unit]
Description=Look at backups of %i
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command} freshness --unit %i --quiet
# The page says how long a restore takes, also where another host has drilled, and lies where a look may not write.
ExecStartPost=-{unconfined}{command} runbook --refresh --quiet
# A destination that hangs is given up before the next check is due.
TimeoutStartSec=1h
UMask=0077
Nice=10
"""

SANDBOX = (
    """\
# Root, as every command but a run: it reads the credentials of all jobs' destinations.
ReadWritePaths={writable}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
"""
    + NOTHING_OF_THE_MACHINE
    + """\
# Files and directories of jobs with users of their own, and of node_exporter.
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# PrivateDevices= is missing: a credential may be sealed by the machine's TPM.
"""
)

TIMER = """\
[Unit]
Description=Look at all backups every six hours

[Timer]
Unit=lifeboat-watch@all.service
OnCalendar=*-*-* 00/6:30:00 UTC
# The same delay each time on this host, another one on the next.
RandomizedDelaySec=900
FixedRandomDelay=true
Persistent=true

[Install]
WantedBy=timers.target
"""
