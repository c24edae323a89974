# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the units that back jobs up, and of the one that settles restores at boot."""

from __future__ import annotations

from .unit_sandbox import NOTHING_OF_THE_MACHINE

_RUN = """\
# In a process of its own: it neither fails nor delays the backup.
OnSuccess=lifeboat-watch@%i.service
OnFailure=lifeboat-watch@%i.service

[Service]
Type=oneshot
ExecStart={command} run --unit %i
# How far it is, for `systemctl status`.
NotifyAccess=main
# The command starts the unit of a job unless it is the unit.
Environment=LIFEBOAT_UNIT=1
# A run that hangs holds the job's lock: it ends at the latest when the next daily one is due.
TimeoutStartSec=24h
"""

SYSTEM_SERVICE = (
    """\
[Unit]
Description=Backup %i
Wants=network-online.target
# What a job reads may be one of these; a restore that was cut off is settled before the next backup.
After=network-online.target postgresql.service mariadb.service docker.service lifeboat-recover.service
After=redis-server.service redis.service valkey-server.service valkey.service
"""
    + _RUN
    + """\
User={user}
Group={user}
UMask=0077
# The machine's own work goes first.
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
# Kept after a run: it holds what the operator asks of the next one, and how far this one is.
RuntimeDirectory=lifeboat
RuntimeDirectoryMode=0775
RuntimeDirectoryPreserve=yes
# StateDirectory= is missing on purpose: it would give /var/lib/lifeboat to the job's user, and root
# acts on the journals of restores in it.
ReadWritePaths={writable}
ProtectSystem=strict
# Readable, since data may lie in a home directory; a job's drop-in opens what it writes.
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
"""
    + NOTHING_OF_THE_MACHINE
    + """\
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# PrivateUsers= is missing: databases know the user by the number that the system knows.
# MemoryDenyWriteExecute= is missing: Python's ctypes needs such memory on some systems.
"""
)

USER_SERVICE = (
    """\
[Unit]
Description=Backup %i
"""
    + _RUN
    + """\
UMask=0077
# The machine's own work goes first.
Nice=10
NoNewPrivileges=yes
RestrictRealtime=yes
LockPersonality=yes
# Sandboxes of file systems are missing: a user's systemd may not make them everywhere.
"""
)

TIMER = """\
[Unit]
Description=Backup %i on its calendar

[Timer]
# A backup that the machine slept through is made when it wakes.
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""

_RECOVER = """\
[Unit]
Description=Finish or take back restores that were cut off
# Nothing to do without a journal, or a container that was stopped for a backup.
ConditionDirectoryNotEmpty=|{journals}
ConditionPathExistsGlob=|{stopped}
"""

_RECOVERS = """\
[Service]
Type=oneshot
ExecStart={command} recover
# What is ordered after this unit cannot be waited for.
Environment=LIFEBOAT_AT_BOOT=1
TimeoutStartSec=1h
# A container that podman starts again may be left in this unit, and has to outlive it.
KillMode=process
UMask=0077
"""

RECOVER = (
    _RECOVER
    + """\
# A journal is settled with the database servers' help, and before anybody backs up.
After=local-fs.target network-online.target postgresql.service mariadb.service docker.service
After=redis-server.service redis.service valkey-server.service valkey.service
Wants=network-online.target
{before}
"""
    + _RECOVERS
    + """\
# No sandbox: a restore writes wherever the data belongs, as its owner.

[Install]
WantedBy=multi-user.target
"""
)

USER_RECOVER = (
    _RECOVER
    + """\
# The user's systemd begins at boot, with linger; of the system's units it knows none.
{before}
"""
    + _RECOVERS
    + """\

[Install]
WantedBy=default.target
"""
)
