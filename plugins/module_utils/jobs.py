# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that a module works on: an installed one, or one described by the module's own options."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import door
from .engine.cli import prune
from .engine.cli.session import Session, ensure_directories
from .engine.config import VERSION, parse
from .engine.errors import UsageError
from .engine.job import Job
from .engine.model import Secret
from .engine.operations.copies.catalog import Wanted
from .engine.paths import paths
from .engine.units import parse_instant

HERE = "here"  # the name of a destination that a module's options describe


def installed(made: AnsibleModule, **facts: Any) -> Session:
    """The host's own lifeboat. In check mode, one that is not configured yet ends the task well, with `facts`."""
    os.umask(0o077)  # as the command does
    where = door.places(made)
    if made.check_mode and not where.config_file.exists():
        made.exit_json(msg="lifeboat is not configured on this host yet", **facts)
    session = Session.load(where)
    if not made.check_mode:
        ensure_directories(where)
    return session


def described(given: Mapping[str, Any], destinations: Mapping[str, Any]) -> tuple[Session, Job]:
    """A job made from options: job, sources, credentials, encryption, ... Its state is the calling user's own."""
    os.umask(0o077)  # as the command does
    secrets = given["credentials"]

    def secret(name: str) -> Secret:
        if name not in secrets:
            raise UsageError(f"credentials does not define {name!r}")
        return Secret(lambda: secrets[name], name)

    # what is only listed or deleted at a destination has no need of its sources
    nothing = {"none": {"type": "files", "paths": ["/"]}}
    mapping = {
        "version": VERSION,
        "host": given.get("host") or given.get("from_host") or os.uname().nodename,
        "environment": given.get("environment"),
        "encryption": given.get("encryption") or {"none": True},
        "compression": given.get("compression"),
        "spool_path": given.get("spool_path"),
        "destinations": destinations,
        "jobs": {
            given["job"]: {
                "sources": given.get("sources") or nothing,
                "destinations": list(destinations),
                "keep": given.get("keep"),
            }
        },
    }
    session = Session(paths("user"), parse(mapping, secret))
    ensure_directories(session.paths)
    return session, session.job(given["job"])


def chosen(made: AnsibleModule, **facts: Any) -> tuple[Session, Job]:
    """The job described by the option `destination`, if that is given, else the installed one."""
    if made.params["destination"]:
        return described(made.params, {HERE: made.params["destination"]})
    session = installed(made, **facts)
    return session, session.job(made.params["job"])


def wanted(given: Mapping[str, Any]) -> Wanted:
    """What the options of arguments.choice() choose."""
    return Wanted(
        id=given["backup"],
        tag=given["tag"] or "",
        type=given["type"] or "",
        index=given["index"],
        as_of=parse_instant(given["as_of"]) if given["as_of"] else None,
        at=given["at"] or "",
    )


@contextmanager
def hold(made: AnsibleModule, session: Session, job: Job, what: str) -> Iterator[None]:
    """The job's lock; in check mode nothing is held, and nothing that was cut off is settled."""
    if made.check_mode:
        yield
        return
    with session.hold(job, what):
        yield


def to_prune(made: AnsibleModule, **facts: Any) -> tuple[Session, prune.Duty]:
    """What retention_prune works on: described, of this host, or of one whose pruner this host is."""
    if made.params["destination"]:
        session, job = described(made.params, {HERE: made.params["destination"]})
        return session, prune.Duty(made.params["from_host"] or job.host, job, True)
    session = installed(made, **facts)
    from_host = made.params["from_host"] or ""
    if from_host == session.configuration.host and from_host not in session.configuration.prunes:
        from_host = ""
    asked = SimpleNamespace(job=made.params["job"], from_host=from_host, all_hosts=False)
    return session, prune.duties(session, asked)[0]


@contextmanager
def unless_checking(made: AnsibleModule, held: Any) -> Iterator[None]:
    """The lock `held`; in check mode nothing is held."""
    if made.check_mode:
        yield
        return
    with held:
        yield


def ids_of(plan: Any) -> dict[str, set[str]]:
    """{destination: ids that go} of a `plan` that was returned; raises UsageError for anything else."""
    try:
        return {
            str(one["destination"]): {
                str(gone["id"])
                for gone in [*one["expired"], *one["sweeps"], *one.get("reports", ())]
            }
            for one in plan
        }
    except (KeyError, TypeError) as exc:
        raise UsageError(
            f"plan is not what retention_prune returned: {exc!r}", hint="give its return value"
        ) from None


def before_and_after(told: Any) -> tuple[list[str], list[str]]:
    """The backups, one a line, before and after a plan."""
    lines = [
        (f"{one['destination']}: {here['id']}", key)
        for one in told
        for key in ("kept", "deferred", "expired", "sweeps", "reports")
        for here in one[key]
    ]
    staying = [line for line, key in lines if key in ("kept", "deferred")]
    return sorted(line for line, _key in lines), sorted(staying)


def identity(given: Mapping[str, Any]) -> bytes | None:
    """The private key, as the engine takes it."""
    return given["identity"].encode() if given["identity"] else None


def look(job: Job, names: Any = ()) -> dict[str, Any]:
    """What check mode can say of a backup: each source and destination answers, or the task fails."""
    found: dict[str, Any] = {}
    for source in [job.source(name) for name in names] or job.sources:
        found[source.name] = {key: str(value) for key, value in source.check().items()}
    return found


def report(made: AnsibleModule, told: Mapping[str, Any]) -> None:
    """End the task with a backup's report; it fails unless all is well, or a part is said to be enough."""
    for one in told["sources"]:
        for sentence in one.get("warnings", ()):
            made.warn(f"source {one['name']}: {sentence}")
    code = told["exit_code"]
    if code == 0 or (code == 3 and made.params["allow_partial"]):
        made.exit_json(changed=True, **told)
    lost = [f"source {one['name']}: {one['error']}" for one in told["sources"] if one["error"]]
    lost += [
        f"{one['name']}: {one['error']}" + (f" ({one['hint']})" if one.get("hint") else "")
        for one in told["destinations"]
        if one["error"]
    ]
    what = "is not complete" if told["committed"] else "saved nothing"
    made.fail_json(
        msg=f"backup {told['id']} of job {told['job']} {what}: "
        + ("; ".join(lost) or "see its report"),
        changed=bool(told["committed"]),
        **told,
    )
