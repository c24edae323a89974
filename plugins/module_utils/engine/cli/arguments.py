# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command takes, and the arguments of those that carry whole backups from place to place."""

from __future__ import annotations

import argparse

from ..operations.copies.fetching import TIERS


def command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    told: str,
    job: str | None = "the job",
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=told, description=told[0].upper() + told[1:] + ".")
    if job is not None:
        made.add_argument("job", metavar="JOB", help=job)
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    made.add_argument(
        "--query", default="", metavar="JMESPATH", help="print this part of the JSON result"
    )
    made.add_argument("--quiet", action="store_true", help="no progress, problems only")
    return made


def carrying(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """rekey, bundle, fetch, push."""
    one = command(commands, "rekey", "write old backups again, for the recipients of today")
    one.add_argument("--dry-run", action="store_true", help="show which, write nothing")
    one.add_argument(
        "--identity",
        metavar="FILE|-",
        help="the private key; - asks for it, or reads standard input",
    )
    one.add_argument(
        "--allow-unsigned", action="store_true", help="also what nobody signed; it is signed then"
    )
    one = command(commands, "bundle", "write one backup as one portable file", job=None)
    one.add_argument("what", metavar="ID|JOB", help="of a job: its newest good one")
    one.add_argument("file", metavar="FILE.tar", help="where to write it")
    one.add_argument("--at", default="", metavar="DESTINATION", help="take this copy")
    one.add_argument(
        "--from-host", default="", metavar="HOST", help="backups of that host, not of this one"
    )
    one = command(commands, "fetch", "bring a backup's files into a directory", job=None)
    one.add_argument("what", metavar="ID|JOB", help="of a job: its newest good one")
    one.add_argument("directory", metavar="DIRECTORY", help="empty, or not there yet")
    one.add_argument("--thaw", action="store_true", help="ask for what is in cold storage")
    one.add_argument("--tier", choices=TIERS, default="standard", help="how fast it is to thaw")
    one.add_argument("--at", default="", metavar="DESTINATION", help="take this copy")
    one.add_argument(
        "--from-host", default="", metavar="HOST", help="backups of that host, not of this one"
    )
    one = command(
        commands, "push", "carry good backups where they are missing or corrupt", job=None
    )
    one.add_argument("job", nargs="?", metavar="JOB", help="default: every job")
    one.add_argument(
        "--missing", action="store_true", help="only where missing; leave corrupt copies"
    )
