# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the units that drill jobs: a template for all, started by timers."""

from __future__ import annotations

from .unit_sandbox import NOTHING_OF_THE_MACHINE

SERVICE_NAME, TIMER_NAME = "lifeboat-drill@.service", "lifeboat-drill@.timer"

SERVICE = """\
[Unit]
Description=Drill a restore of %i
Wants=network-online.target
After=network-online.target lifeboat-recover.service
# In a process of its own: it neither fails nor delays the drill.
OnSuccess=lifeboat-watch@%i.service
OnFailure=lifeboat-watch@%i.service

[Service]
Type=oneshot
ExecStart={command} drill --unit %i
# The page says how long a restore takes, and lies where the drill itself may not write.
ExecStartPost=-{unconfined}{command} runbook --refresh --quiet
# The command starts a look at the job unless a unit does.
Environment=LIFEBOAT_UNIT=1
TimeoutStartSec=24h
UMask=0077
# The machine's own work goes first.
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
"""

SANDBOX = (
    """\
# Root: a restore gives files back to their owners, and the private key is for nobody else. The
# throw-away servers run as users of their own.
ReadWritePaths={writable}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
"""
    + NOTHING_OF_THE_MACHINE
    + """\
# To give files away with all their rights, and to become the users of the servers, and end them.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL
CapabilityBoundingSet=CAP_MKNOD CAP_SETFCAP CAP_SETGID CAP_SETUID
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# RestrictSUIDSGID= is missing: files are restored with all their modes.
# PrivateDevices= is missing: it would take the right to restore device files.
"""
)

TIMER = """\
[Unit]
Description=Drill a restore of %i on its calendar

[Timer]
# A drill that the machine slept through is made when it wakes.
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""
