# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of a runbook for what went wrong. Names in braces are filled in by runbook.py."""

from __future__ import annotations

TABLE_LOST = """
### A table of {source} was dropped, or rows of it were deleted

Nothing live is touched: the table, as it was, comes into a new database, `{into}`. Say which one,
and a time before it happened (UTC):

```sh
WHAT={table}
WHEN=$(date -u -d "2 hours ago" "+%F %R")
lifeboat restore {job} --only {source}{part} --as-of "$WHEN" --into {into} --identity -
```

Then take from there what you want, as the servers' own administrator:

{how}

`lifeboat undo {job}` takes `{into}` away; `lifeboat confirm {job}` then frees its room.
"""

STOPS = """
## A restore does not start, or stops

Whatever it says: what was there is there, or is there again after `lifeboat recover`.

| it says | do |
|---|---|
| no room, No space left | `df -h`; make room, or bring less: one source, one directory, one table |
| the server cannot be used, can't connect | start it; if its data is gone, see below |
| needs the private key | who has it, stands above; `ansible-vault view FILE` shows a vaulted one |
| does not open backup | give a private one of those below; `age-keygen -y FILE`, `gpg --show-keys FILE` tell |
| may not create databases | give that source a `restore_user` that may, and run `site.yml` |
| could not be asked | go on: another copy is taken; look whether it is too old for you |
| is corrupt | go on: the next copy is taken; if none is whole, name the ID before it in the list |
| newest is suspect, or partial | its size is odd, or a source failed; name its ID to take it all the same |
| another operation holds the job | `lifeboat watch JOB` shows it |
| was cut off | `lifeboat recover` |

`site.yml` is, on the controller, `ansible-playbook lifeboat.backup.site`.

A server whose data is gone: stop it, move what is left of its data aside, and set up an empty one of
the same version at the same address, and start it. Where lifeboat cannot log in then, run
`site.yml`, which lets it in. Then restore.
{empty}"""

TROUBLE = """
## A destination is full

```sh
lifeboat status
{prunes}
```

The plans delete nothing. Make room otherwise first; if that is not possible, shorten `keep` and run
`site.yml`. Do not delete files at the destination by hand: what retention deletes it checks first.
Once there is room again, what is missing there is carried over:

```sh
{pushes}
```

## A backup failed, or is missing

```sh
lifeboat status
lifeboat doctor
```

The doctor says what to mend. Then run the job again: `lifeboat run JOB`. A backup that is `suspect`
is far from the usual size: look at why; if it is right, `lifeboat accept ID`.

## A drill failed

A backup that does not restore is no backup. See why in the history, and prove the newest copies:

```sh
lifeboat verify
```

A copy that is `corrupt` has a sound twin elsewhere, or an older backup is the newest good one:
`lifeboat list` says which. Out of a sound twin `lifeboat push JOB` makes the copy whole again, and
deletes nothing.

## Somebody was here: ransomware, a break-in

1. Take this host off the network. Do not turn it off.
2. Change nothing at the destinations. Copies in `append_only` places cannot be deleted or changed
   from here.
3. On another machine, with other credentials, look at what there is (`lifeboat list --from-host`),
   and find the last backup from before.
4. Restore onto a new host, never onto this one. Its secrets are known: make new ones for databases,
   destinations, signing.
5. Pin what you restored from.
"""
