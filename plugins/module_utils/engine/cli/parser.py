# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of the `lifeboat` command, and their help."""

from __future__ import annotations

import argparse

from ..operations.upkeep.verify import LEVELS
from ..version import VERSION
from .arguments import carrying
from .arguments import command as _command

_EPILOG = """exit codes: 0 done; 1 failed (verify: a copy is bad); 2 usage or configuration;
3 done, but a source or a destination was lost; 4 read-back failed; 5 another operation holds the job;
6 refused, at the gate or over prune's limit; 130 interrupted. status: 0 good, 1 warning, 2 critical."""
_EVERY = "default: every job"
_ONLY = "this source alone; may be given again"
_FROM_HOST = "backups of that host, not of this one"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(
        prog="lifeboat",
        description="Back up, prove, restore.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"lifeboat {VERSION}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _run(commands)
    _list(commands)
    _verify(commands)
    _restore(commands)
    _undo(commands)
    _drill(commands)
    _prune(commands)
    _marks(commands)
    carrying(commands)
    one = _command(commands, "status", "how each job stands, asked of its destinations", job=None)
    one.add_argument("job", nargs="?", metavar="JOB", help=_EVERY)
    _watching(commands)
    one = _command(commands, "doctor", "look at the whole system; changes nothing", job=None)
    one.add_argument("job", nargs="?", metavar="JOB", help=_EVERY)
    one = _command(commands, "coverage", "what lies here, and which job protects it", job=None)
    one.add_argument("--missing", action="store_true", help="only what nobody protects")
    one.add_argument(
        "--larger-than", default="100M", metavar="SIZE", help="of trees that are told (100M)"
    )
    one.add_argument(
        "--tree", action="append", metavar="PATTERN", help="look here, not in /srv, /home, /opt, …"
    )
    one = _command(commands, "report", "a month of this host, with recommendations", job=None)
    one.add_argument("job", nargs="?", metavar="JOB", help="of it alone, without coverage")
    one.add_argument("--month", default="", metavar="YYYY-MM", help="default: this one (UTC)")
    one.add_argument("--html", default="", metavar="FILE", help="write one page, pictures and all")
    one.add_argument("--pdf", default="", metavar="FILE", help="the same as PDF, by a browser")
    one = _command(commands, "runbook", "this host's page for the worst night", job=None)
    one.add_argument("--output", metavar="FILE", help="write it there, if it is not so already")
    one.add_argument("--refresh", action="store_true", help="renew the installed one, if there is")
    one = _command(commands, "history", "what happened here, the newest last", job=None)
    one.add_argument("job", nargs="?", metavar="JOB", help=_EVERY)
    one.add_argument("--event", default="", metavar="EVENT", help="backup, restore, gate, …")
    one.add_argument("--last", type=int, default=30, metavar="N", help="so many (30)")
    _command(commands, "audit", "prove that nobody changed the history; 0 whole, 1 not", job=None)
    one = _command(commands, "recover", "finish or take back restores that were cut off", job=None)
    one.add_argument("job", nargs="?", metavar="JOB", help=_EVERY)
    told = "try whether this host can delete what it has stored"
    one = _command(commands, "destination", told, job=None)
    one.add_argument("action", choices=["check"])
    one.add_argument("name", nargs="?", default="", metavar="NAME", help="default: all")
    told = "on a host that receives backups: seal them, or let old ones go"
    one = _command(commands, "receiver", told, job=None)
    one.add_argument("action", choices=["seal", "prune"])
    one.add_argument("--apply", action="store_true", help="prune: delete what the plan says")
    one.add_argument("--no-limit", action="store_true", help="prune: also more than one run may")
    one = _command(commands, "config", "check a configuration file", job=None)
    one.add_argument("action", choices=["check"])
    one.add_argument("file", nargs="?", metavar="FILE", help="default: the one in use")
    return made


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "run", "back up now; prints the id", job=None)
    made.add_argument("job", nargs="?", metavar="JOB", help="the job")
    made.add_argument("--type", default="manual", metavar="T", help="part of the id (manual)")
    made.add_argument("--tag", action="append", default=[], metavar="TAG", help="a word of yours")
    made.add_argument("--pin", action="store_true", help="retention never deletes it")
    made.add_argument("--only", action="append", default=[], metavar="SOURCE", help=_ONLY)
    made.add_argument("--unit", metavar="JOB:TYPE", help=argparse.SUPPRESS)  # called by systemd
    made.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # not through the unit


def _list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "list", "backups with their copies, newest first", job=None)
    made.add_argument("job", nargs="?", metavar="JOB", help=_EVERY)
    made.add_argument("--at", default="", metavar="DESTINATION", help="only the copies there")
    made.add_argument("--from-host", default="", metavar="HOST", help=_FROM_HOST)


def _verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "verify", "prove copies; 0 valid, 1 not", job=None)
    made.add_argument(
        "what", nargs="?", metavar="JOB|ID|FILE.tar", help="default: every job's newest good"
    )
    made.add_argument(
        "--level",
        choices=LEVELS,
        default="hashes",
        help="hashes: the stored bytes; content: also decrypt and read, with the key (hashes)",
    )
    made.add_argument("--at", default="", metavar="DESTINATION", help="only the copies there")
    made.add_argument("--all", action="store_true", help="every backup, not only the newest good")
    made.add_argument("--from-host", default="", metavar="HOST", help=_FROM_HOST)
    _identity(made)


def _restore(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "restore", "bring a backup back, through the gate")
    made.add_argument("id", nargs="?", default="latest", metavar="ID", help="default: latest good")
    made.add_argument("--tag", default="", metavar="TAG", help="only backups with this tag")
    made.add_argument(
        "--type", default="", metavar="T", help="only these: daily, weekly, manual, …"
    )
    made.add_argument("--index", type=int, default=1, metavar="N", help="1 = newest")
    made.add_argument("--as-of", default="", metavar="TIME", help="newest good one before (UTC)")
    made.add_argument("--only", action="append", default=[], metavar="SOURCE", help=_ONLY)
    made.add_argument("--into", metavar="NAME", help="another database, path or directory")
    made.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="PATH",
        help="only this file, directory or table",
    )
    made.add_argument(
        "--merge", action="store_true", help="put files back one by one, leave all others there"
    )
    made.add_argument("--at", default="", metavar="DESTINATION", help="use this copy")
    made.add_argument(
        "--from", dest="from_file", default="", metavar="FILE.tar", help="out of a bundle"
    )
    made.add_argument("--from-host", default="", metavar="HOST", help=_FROM_HOST)
    made.add_argument("--dry-run", action="store_true", help="show the plan, touch nothing")
    made.add_argument(
        "--allow-unsigned",
        action="store_true",
        help="also a backup that no signer signed; the gate then asks for other words",
    )
    _identity(made)
    _gate(made)
    _services(made)


def _undo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "undo", "put back what the last restore replaced")
    made.add_argument("id", nargs="?", default="", metavar="ID", help="of the backup restored")
    made.add_argument(
        "--earlier", action="store_true", help="the last one is undone: the one before it too"
    )
    _gate(made)
    _services(made)
    _command(commands, "confirm", "let go of what restores replaced: undo is over")


def _watching(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(commands, "freshness", "look at every job, and tell what changed", job=None)
    made.add_argument("job", nargs="?", metavar="JOB", help=_EVERY)
    made.add_argument("--unit", metavar="JOB:TYPE", help=argparse.SUPPRESS)  # called by systemd
    made = _command(commands, "metrics", "the metrics of this host, for Prometheus", job=None)
    made.add_argument("--now", action="store_true", help="ask now, not what the last check saw")
    made = _command(commands, "notify", "try every way to tell people", job=None)
    made.add_argument("--test", action="store_true", help="the only thing there is to do")
    made.add_argument("--to", action="append", default=[], metavar="NAME", help="only this one")
    _command(commands, "watch", "follow what is being done for a job now")


def _drill(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _command(
        commands, "drill", "restore into throw-away places, timed and compared", job=None
    )
    made.add_argument("job", nargs="?", metavar="JOB", help="the job")
    made.add_argument(
        "id", nargs="?", default="latest", metavar="ID", help="or random; default: latest good"
    )
    made.add_argument("--at", default="", metavar="DESTINATION", help="restore from this copy")
    made.add_argument("--only", action="append", default=[], metavar="SOURCE", help=_ONLY)
    made.add_argument(
        "--metadata", action="store_true", help="also prove what describes the backup"
    )
    made.add_argument("--from-host", default="", metavar="HOST", help=_FROM_HOST)
    made.add_argument("--unit", metavar="JOB:TYPE", help=argparse.SUPPRESS)  # called by systemd
    _identity(made)


def _prune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    told = "what retention would delete; --apply deletes exactly that"
    made = _command(commands, "prune", told, job=None)
    made.add_argument("job", nargs="?", metavar="JOB", help="default: every job")
    made.add_argument("--apply", action="store_true", help="delete; else only the plan is shown")
    made.add_argument(
        "--no-limit",
        action="store_true",
        help="delete more than half of the backups, if so planned",
    )
    made.add_argument(
        "--from-host", default="", metavar="HOST", help="of another host, whose pruner this one is"
    )
    made.add_argument(
        "--all-hosts", action="store_true", help="of every host whose pruner this one is"
    )


def _marks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, told in (
        ("accept", "count a suspect backup after all: its size is right"),
        ("pin", "keep a backup for ever"),
        ("unpin", "let retention have it again"),
        ("tag", "give a backup a tag"),
    ):
        made = _command(commands, name, told, job=None)
        made.add_argument("id", metavar="ID", help="of the backup: `lifeboat list` shows it")
        if name == "tag":
            made.add_argument("tag", metavar="TAG", help="a word of yours")


def _services(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--no-services",
        dest="services",
        action="store_false",
        help="neither stop nor start what the job names, nor ask whether it works",
    )


def _identity(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--identity",
        metavar="FILE|-",
        help="the private key; - asks for it, or reads standard input",
    )


def _gate(made: argparse.ArgumentParser) -> None:
    made.add_argument("--confirm", metavar="PHRASE", help="what you would type; for scripts")
    made.add_argument("--target-host", default="", metavar="HOST", help="must be this host's name")
    made.add_argument("--reason", default="", metavar="TEXT", help="why, for the audit log")
