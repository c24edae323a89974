# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of a runbook. Names in braces are filled in by runbook.py."""

from __future__ import annotations

HEAD = """
# Runbook: backups of {host}

Environment: {environments}. Type the commands as {who}.

Breathe. Three things hold, whatever you type here:

- A restore builds beside what is there, compares, and only then swaps. If anything fails, what was
  there is there again.
- What it replaced is kept. `lifeboat undo JOB` puts it back.
- Nothing on this page deletes a backup, but what retention would let go of anyway, after a good
  `lifeboat run`. What you may need, pin: `lifeboat pin ID`.

If a restore was cut off (power, Ctrl-C, a lost connection), this ends it and says which state
holds:

```sh
lifeboat recover
```

What a boot has ended so already, `lifeboat history` says.

How everything stands, and what is wrong with it:

```sh
lifeboat status
lifeboat doctor
```
"""

TABLE = """
## What is protected

RPO is how much work may be lost, RTO how long a restore may take. The last column is measured.

| job | source | RPO | RTO | the last drill took |
|---|---|---|---|---|
{rows}
"""

PEOPLE = """
## Whom to call

{contacts}
"""

GATES = {
    "dev": "waits 5 s; Ctrl-C stops it",
    "staging": "waits 5 s; Ctrl-C stops it",
    "production": "shows what would be lost, and asks you to type `RESTORE PRODUCTION`",
}

JOB = """
## Job {job}

Copies lie at: {places}. A restore {gate}.
It needs the private key: paste it when you are asked, and Enter. It is written to no disk.

What there is, newest first, and which copies are good:

```sh
lifeboat list {job}
```
"""

SERVICES = """
A restore stops {services} right before the swap, starts them again and asks whether all works; if
not, everything goes back.
"""

ONE = """
### {source} back to the last good backup ({what})

Look first; this touches nothing:

```sh
lifeboat restore {job} --only {source} --dry-run
```

Then:

```sh
lifeboat restore {job} --only {source} --identity -
```
"""

EXPORT = """
### {source} is an export

Nothing reads it back, so no restore brings it. It is there to be read: `lifeboat fetch ID
DIRECTORY` brings its archive, and `RESTORE.md` beside it says how it is opened.
"""

PART = """
### A file or directory of {source} was deleted

Files that came since stay; what has the same name as one in the backup is replaced, and kept for
`undo`:

```sh
WHAT={path}
lifeboat restore {job} --only {source} --path "$WHAT" --merge --identity -
```
"""

ALL = """
### Everything of {job}

```sh
lifeboat restore {job} --identity -
```
"""

CORRUPT = """
### The data of {job} is wrong, and has been for a while

The newest backup may hold the damage too. Say when the data was right for the last time (UTC), and
look at which backup that means:

```sh
WHEN=$(date -u -d "2 hours ago" "+%F %R") # or "2026-11-20 18:00"
lifeboat restore {job} --as-of "$WHEN" --dry-run
```

Pin it, so that retention leaves it alone while you look:

```sh
ID=$(lifeboat restore {job} --as-of "$WHEN" --dry-run --query id | tr -d '"')
lifeboat pin "$ID"
```

Then bring back that one:

```sh
lifeboat restore {job} "$ID" --identity -
```
"""

AFTER = """
### It was the wrong one; or it was right

What was there before comes back, whole:

```sh
lifeboat undo {job}
```

It says which restore it took back, and what is in place now. Typed again it takes back nothing
else. To go back before an earlier restore too, add `--earlier`.

Once people have worked with what was restored and all is well, let go of what it replaced. There is
no undo after this:

```sh
lifeboat confirm {job}
```
"""

LOST_HOST = """
## This host is lost

On the controller, where `site.yml` is run (with the same `-i`, if it takes one), with a bare Debian
host that has the old one's name and a new address in the inventory:

```sh
ansible-playbook lifeboat.backup.rebuild --limit {host} -e restore_identity_file=operator.key
```

`operator.key` is the file of the private key, which may be vaulted. The command says what it still
needs: in production the phrase, and then the id of each job's backup, as a line to paste. It
installs the packages that the backups name (they stand in each `RESTORE.md` too), restores every
job, and backs up from then on. Users, locales and the servers' own configuration come with whatever
sets up your hosts: run that first. One job alone: `-e job=JOB`.

It starts no service that the host did not have before. When all is back, there: `systemctl
daemon-reload`, `systemctl enable --now UNIT` for each of the application's, look whether it works, and
`lifeboat confirm JOB` for each job.
"""

KEYS = """
## A private key is lost, or in wrong hands

Backups are encrypted to these public keys; any one of their private keys opens them:

{recipients}

Lost: the others still open everything. Make a new pair, name its public key in
`lifeboat_encryption` instead of the lost one, run `site.yml`, then re-encrypt what is kept with one
of the remaining keys (`lifeboat rekey`). In wrong hands: the same, today; whoever has that key and
a copy of a backup can read it. All lost: the backups cannot be read by anybody. Take the key out of
the configuration, make two new ones, and back up now: the live data is all there is.
"""

WITHOUT = """
## Lifeboat itself does not work

Each backup can be opened without it. Copies lie at:

{places}

Beside the archives of each lies `RESTORE.md`, with the very commands for it; you need `age` or
`gpg`, `zstd`, and the database's own client.
"""

CHECKLISTS = """
## Checklists

Preparation, once a quarter:

- [ ] `lifeboat doctor` says good, on each host
- [ ] two people can reach a private key, and each has opened a backup with it
- [ ] a drill of every job passed within a month, and took no longer than its RTO
- [ ] one copy is off-site, and this host cannot delete it
- [ ] this page is printed, or lies where it can be read when this host is gone

Incident:

- [ ] note the time, and who decides
- [ ] stop what makes it worse; change nothing else yet
- [ ] what is lost, since when? Which backup is from before?
- [ ] pin it
- [ ] restore beside or elsewhere if there is time to look; else restore, look, undo if wrong
- [ ] tell those who wait how long it takes (the table above)

Afterwards:

- [ ] the application works, seen by somebody who uses it
- [ ] `lifeboat run JOB`, and it is good
- [ ] `lifeboat confirm JOB`, once nobody wants the old state
- [ ] secrets that were exposed are new
- [ ] what happened, when, and what would have made it shorter is written down
"""
