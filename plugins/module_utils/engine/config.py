# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a configuration mapping into Jobs, for both doors. docs/configuration.md is what users read.

Every error is a ConfigError that starts with the path of the key at fault and says what to write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, cast

from .around import around
from .errors import ConfigError, UsageError
from .filters.age import Age
from .filters.gpg import Gpg
from .filters.zstd import Zstd
from .gate import ENVIRONMENTS
from .job import Drilling, DrillSchedule, Job, Objectives
from .model import CopyPolicy, Keep, Option, Schedule, Secret
from .naming import check_host, check_name
from .operations.runbook import Told
from .options import check_options, kind_of, nearest, told_at
from .placed import Placed, check_variables
from .placement import HERE, Placement
from .ports import Destination, Filter, Source
from .registry import DESTINATIONS, GOVERNED, SOURCES
from .signing import check_signer

VERSION = 1
Mapped = Mapping[str, Any]

TOP = (
    Option("version", "integer", required=True),
    Option("host", required=True),
    Option("environment", default="production", choices=ENVIRONMENTS),
    Option("encryption", "mapping"),
    Option("compression", "mapping", default={}),
    Option("destinations", "mapping", required=True),
    Option("jobs", "mapping", required=True),
    Option("spool_path"),
    Option("spool_cap", "size"),
    Option("user"),
    Option("notify", "mapping", default={}),
    Option("textfile_path"),
    Option("pruner"),
    Option("prunes", "mapping"),
    Option("signing", "mapping"),
    Option("signers", "texts", default=()),
    Option("runbook", "mapping", default={}),
)
RUNBOOK = (Option("contacts", "mapping", default={}), Option("notes", default=""))
SIGNING = (Option("key", "secret", required=True),)
NOTIFY = (
    Option("urls", "mapping", default={}),
    Option("ping", "secret"),
    Option("repeat", "duration", default="24h"),
)
JOB = (
    Option("sources", "mapping", required=True),
    Option("destinations", "texts", required=True),
    Option("schedule"),
    Option("schedules", "mapping", default={}),
    Option("keep", "mapping", default={}),
    Option("environment", choices=ENVIRONMENTS),
    Option("encryption", "mapping"),
    Option("compression", "mapping"),
    Option("objectives", "mapping", default={}),
    Option("drill", "mapping", default={}),
    Option("drills", "mapping", default={}),
    Option("spread", "duration"),
    Option("stall_timeout", "duration", default="30m"),
    Option("user"),
    Option("restore", "mapping", default={}),
)
SCHEDULE = (
    Option("at", required=True),
    Option("sources", "texts", default=()),
    Option("keep", "mapping"),
    Option("spread", "duration"),
)
DRILL = (
    Option("identity", "secret"),
    Option("at"),
    Option("hosts", "texts", default=()),
    Option("among", "integer", default=30),
    Option("check", "texts", default=()),
    Option("check_timeout", "duration", default="10m"),
    Option("sources", "mapping", default={}),
)
DRILLS = (
    Option("at", required=True),
    Option("what", default="full", choices=("random", "full", "metadata")),
    Option("spread", "duration"),
)
SOURCE = (
    Option("type", required=True),
    Option("placement", "mapping"),
    Option("credentials_from_env", "mapping", default={}),
    Option("optional", "boolean", default=False),
    Option("objectives", "mapping", default={}),
)
DESTINATION = (
    Option("type", required=True),
    Option("keep", "mapping"),
    Option("mode", choices=("append_only", "standard")),
    Option("pruner", "mapping"),
    Option("domain"),
    Option("medium"),
    Option("bandwidth", "size"),
    Option("readback", "mapping", default={}),
)
READBACK = (Option("full_up_to", "size"),)
PRUNES = (Option("at", required=True), Option("hosts", "mapping", required=True))
PRUNED_HOST = (
    Option("environment", default="production", choices=ENVIRONMENTS),
    Option("destinations", "mapping", required=True),
    Option("jobs", "mapping", required=True),
    Option("signers", "texts", default=()),
)
PRUNED_JOB = tuple(
    one
    for one in JOB
    if one.name in ("destinations", "schedule", "schedules", "keep", "environment")
)
ENCRYPTION = (
    Option("age_recipients", "texts"),
    Option("gpg_recipients", "texts"),
    Option("gpg_keys", "texts"),
    Option("none", "boolean", default=False),
)
COMPRESSION = (Option("level", "integer", default=3), Option("threads", "integer", default=0))
OBJECTIVES = (Option("rto", "duration"), Option("rpo", "duration"))
PLACEMENT = (Option("docker"), Option("podman"))
KEEP = (
    Option("all", "boolean", default=False),
    *(
        Option(one.name, "duration" if one.name in ("within", "tagged") else "integer")
        for one in fields(Keep)
        if one.name != "default_of"
    ),
)
# What is kept where a job names no rule.
KEEP_BY_DEFAULT = {
    "dev": Keep(within=timedelta(days=7), default_of="dev"),
    "staging": Keep(within=timedelta(days=7), default_of="staging"),
    "production": Keep(within=timedelta(days=30), minimum=3, default_of="production"),
}


@dataclass(frozen=True)
class Notify:
    """Whom to tell. `repeat`: how often, of what goes on being wrong."""

    urls: Mapping[str, Secret] = field(default_factory=dict)  # by a name of the operator's
    ping: Secret | None = None  # called after every check, by an outside watcher's rules
    repeat: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class Configuration:
    """A configuration whose shape has been checked. `job` makes one ready to use."""

    host: str
    jobs: Mapping[str, Job]
    credentials: Mapping[str, tuple[str, ...]]  # job -> names of the credentials it uses
    spool: Path | None = None
    notify: Notify = Notify()
    textfile: Path | None = None  # the directory that node_exporter reads
    prunes: Mapping[str, Mapping[str, Job]] = field(default_factory=dict)  # host -> its jobs
    prunes_at: str = ""  # the calendar of that
    prunes_with: tuple[str, ...] = ()  # names of credentials
    drill_credentials: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # job -> those that only its drills may read
    runbook: Told = field(default_factory=Told)

    def job(self, name: str) -> Job:
        if name not in self.jobs:
            raise UsageError(
                f"there is no job {name!r}",
                hint="the jobs here are: " + (", ".join(sorted(self.jobs)) or "none"),
            )
        return self.jobs[name]


def load(path: Path, secret: Callable[[str], Secret], scope: str = "system") -> Configuration:
    """The configuration in a JSON file; `secret` finds a credential by name. `scope`: whose units."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration {path}", hint="run site.yml for this host"
        ) from None
    except PermissionError:
        raise ConfigError(
            f"the configuration {path} may not be read by this user", hint="run this as root"
        ) from None
    except (ValueError, OSError) as exc:
        raise ConfigError(f"the configuration {path} is not JSON: {exc}") from None
    return parse(mapping, secret, scope)


def parse(mapping: Any, secret: Callable[[str], Secret], scope: str = "system") -> Configuration:
    """Check a whole mapping and make its jobs. Nothing is connected to, no file is opened."""
    top = check_options("", mapping, TOP)
    if top["version"] != VERSION:
        raise ConfigError(
            f"version: this lifeboat reads configuration version {VERSION}, not {top['version']}",
            hint="run site.yml with the collection that is installed here",
        )
    told_at("host", check_host, top["host"])
    jobs, credentials, for_drills = {}, {}, {}
    for name, body in top["jobs"].items():
        used: list[str] = []
        made = _Builder(top, secret, used, scope=scope).job(name, body)
        credentials[name] = tuple(sorted(set(used)))
        used.clear()  # a private key is not for the unit that backs up
        jobs[name] = _Builder(top, secret, used, scope=scope).drilled(made, body)
        for_drills[name] = tuple(sorted(set(used)))
    spool = Path(top["spool_path"]) if top["spool_path"] else None
    textfile = Path(top["textfile_path"]) if top["textfile_path"] else None
    notify = _notify(top, secret)
    whole = Configuration(
        top["host"],
        jobs,
        credentials,
        spool,
        notify,
        textfile,
        drill_credentials=for_drills,
        runbook=_runbook(top["runbook"]),
    )
    return _with_prunes(whole, top["prunes"], secret) if top["prunes"] is not None else whole


def _runbook(body: Mapped) -> Told:
    given = check_options("runbook", body, RUNBOOK)
    for who, how in given["contacts"].items():
        if not isinstance(how, str) or "\n" in how:
            raise ConfigError(
                f"runbook.contacts.{who}: write one line of text", hint="a number, say"
            )
    return Told(given["contacts"], given["notes"])


def _notify(top: Mapped, secret: Callable[[str], Secret]) -> Notify:
    secret_of = _Builder(top, secret, []).secret_of
    given = check_options("notify", top["notify"], NOTIFY, secret_of)
    urls = {}
    for name, body in given["urls"].items():
        where = f"notify.urls.{name}"
        told_at(where, lambda text: check_name("notification", text), name)
        urls[name] = secret_of(where, body)
    if given["repeat"] < timedelta(minutes=1):
        raise ConfigError("notify.repeat: less than a minute is a flood", hint="write it like 24h")
    return Notify(urls, given["ping"], given["repeat"])


def _with_prunes(
    made: Configuration, body: Mapped, secret: Callable[[str], Secret]
) -> Configuration:
    """What this host prunes as the pruner of others: their jobs without sources, with its credentials."""
    given = check_options("prunes", body, PRUNES)
    hosts: dict[str, Mapping[str, Job]] = {}
    used: list[str] = []
    for host, its in given["hosts"].items():
        at = f"prunes.hosts.{host}"
        told_at(at, check_host, host)
        top = dict(check_options(at, its, PRUNED_HOST), host=host)
        builder = _Builder(top, secret, used, at + ".")
        hosts[host] = {name: builder.pruned(name, one) for name, one in top["jobs"].items()}
    return replace(made, prunes=hosts, prunes_at=given["at"], prunes_with=tuple(sorted(set(used))))


class _Builder:
    """Make one job; remembers the names of the credentials it met."""

    def __init__(
        self,
        top: Mapped,
        secret: Callable[[str], Secret],
        used: list[str],
        at: str = "",
        scope: str = "system",
    ) -> None:
        self._top, self._secret, self._used, self._at = top, secret, used, at
        self._scope = scope

    def job(self, name: str, body: Any) -> Job:
        where = f"jobs.{name}"
        told_at(where, lambda text: check_name("job", text), name)
        given = check_options(where, body, JOB)
        user = given["user"] or self._top["user"]
        sources = tuple(
            self._source(f"{where}.sources.{one}", one, given["sources"][one], user or "")
            for one in given["sources"]
        )
        if not sources:
            raise ConfigError(f"{where}.sources: name at least one source")
        destinations = tuple(self._destination(where, one) for one in given["destinations"])
        if not destinations:
            raise ConfigError(f"{where}.destinations: name at least one destination")
        promised = check_options(f"{where}.objectives", given["objectives"], OBJECTIVES)
        _refuse_nested(where, sources, destinations)
        cap = self._top["spool_cap"]
        environment = given["environment"] or self._top["environment"]
        return Job(
            name=name,
            host=self._top["host"],
            environment=environment,
            sources=sources,
            filters=self._filters(where, given),
            destinations=destinations,
            schedules=_schedules(where, given, {source.name for source in sources}, environment),
            keep=_keep(f"{where}.keep", given["keep"], environment),
            keep_at=tuple(self._keep_at(given["destinations"], environment)),
            prunes=tuple(one for one in given["destinations"] if not self._append_only(one)),
            pruner=self._top["pruner"] or "",
            user=user,
            spool_cap_bytes=cap,
            stall_timeout_s=given["stall_timeout"].total_seconds(),
            objectives=tuple(
                (one, _objectives(f"{where}.sources.{one}", body, promised))
                for one, body in given["sources"].items()
            ),
            signing_key=self._signing_key(),
            signers=self._signers(),
            around=around(f"{where}.restore", given["restore"], self._scope, sources),
        )

    def pruned(self, name: str, body: Any) -> Job:
        """A job of another host, as its pruner sees it: what is kept, and where."""
        where = f"{self._at}jobs.{name}"
        told_at(where, lambda text: check_name("job", text), name)
        given = check_options(where, body, PRUNED_JOB)
        environment = given["environment"] or self._top["environment"]
        return Job(
            name=name,
            host=self._top["host"],
            environment=environment,
            sources=(),
            filters=(),
            destinations=tuple(self._destination(where, one) for one in given["destinations"]),
            schedules=_schedules(where, given, None, environment),
            keep=_keep(f"{where}.keep", given["keep"], environment),
            keep_at=tuple(self._keep_at(given["destinations"], environment)),
            prunes=given["destinations"],
            signers=self._signers(),
        )

    def _signers(self) -> tuple[str, ...]:
        return tuple(
            told_at(f"{self._at}signers, entry {place}", check_signer, one)
            for place, one in enumerate(self._top["signers"], 1)
        )

    def _signing_key(self) -> Secret | None:
        if self._top["signing"] is None:
            return None
        made: Secret = check_options("signing", self._top["signing"], SIGNING, self.secret_of)[
            "key"
        ]
        return made

    def _append_only(self, name: str) -> bool:
        """As it says; else a bucket is where there is a pruner, for there the host needs no right to delete."""
        body = self._top["destinations"][name]
        mode = body.get("mode")
        if mode is None and self._top["pruner"] and body.get("type") == "s3":
            return True
        return bool(mode == "append_only")

    def drilled(self, job: Job, body: Mapped) -> Job:
        """The same job with how it is drilled."""
        where = f"jobs.{job.name}.drill"
        given = check_options(where, body.get("drill") or {}, DRILL, self.secret_of)
        for host in given["hosts"]:
            told_at(f"{where}.hosts", check_host, host)
        if given["at"]:
            told_at(f"{where}.at", job.destination, given["at"])
        if given["among"] < 1:
            raise ConfigError(f"{where}.among: write 1 or more")
        stand_ins = []
        for name, own in given["sources"].items():
            at = f"{where}.sources.{name}"
            told_at(at, job.source, name)
            if not isinstance(own, Mapping) or "type" in own:
                raise ConfigError(f"{at}: write what is different of this source in a drill")
            shared = {k: v for k, v in body["sources"][name].items() if k != "objectives"}
            stand_ins.append(self._source(at, name, {**shared, **own}, job.user or ""))
        return replace(
            job,
            drilling=Drilling(
                identity=given["identity"],
                at=given["at"] or "",
                hosts=tuple(given["hosts"]),
                among=given["among"],
                check=tuple(given["check"]),
                check_timeout_s=given["check_timeout"].total_seconds(),
                stand_ins=tuple(stand_ins),
                schedules=_drills(f"jobs.{job.name}.drills", body.get("drills") or {}),
            ),
        )

    def _source(self, where: str, name: str, body: Any, owner: str) -> Source:
        told_at(where, lambda text: check_name("source", text), name)
        named, shared, own = self._split(where, body, SOURCES, SOURCE)
        kind: Any = SOURCES[named]
        placement = _placement(f"{where}.placement", shared["placement"])
        variables = check_variables(
            f"{where}.credentials_from_env",
            shared["credentials_from_env"],
            kind.options,
            body,
        )
        placement = replace(placement, owner=owner, source=name)
        if not placement.local:
            placed: Any = Placed(kind, name, placement, shared["optional"], own, variables)
            return cast(Source, placed)
        if variables:
            raise ConfigError(
                f"{where}.credentials_from_env: only a container has an environment to read",
                hint="write placement: {docker: CONTAINER}, or the options themselves",
            )
        made: Source = kind(name=name, placement=placement, optional=shared["optional"], **own)
        return made

    def _destination(self, where: str, name: str) -> Destination:
        bodies = self._top["destinations"]
        if name not in bodies:
            raise ConfigError(
                f"{where}.destinations: there is no destination {name!r}" + nearest(name, bodies),
                hint="lifeboat_destinations has: " + ", ".join(sorted(bodies)),
            )
        where = f"{self._at}destinations.{name}"
        told_at(where, lambda text: check_name("destination", text), name)
        kind, shared, own = self._split(where, bodies[name], DESTINATIONS, DESTINATION)
        readback = check_options(f"{where}.readback", shared["readback"], READBACK)
        policy = CopyPolicy(
            shared["bandwidth"] or 0,
            readback["full_up_to"],
            shared["domain"] or "",
            shared["medium"] or "",
        )
        made: Destination = DESTINATIONS[kind](name=name, **own)
        return made if policy == CopyPolicy() else cast(Destination, GOVERNED(made, policy))

    def _split(
        self, where: str, body: Any, kinds: Mapped, shared: tuple[Option, ...]
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """(kind, options every kind has, options of this kind), all checked."""
        if not isinstance(body, Mapping):
            raise ConfigError(f"{where}: write a mapping with a type, not {kind_of(body)}")
        kind = str(body.get("type"))
        if kind not in kinds:
            raise ConfigError(
                f"{where}.type: {kind!r} is not a type" + nearest(kind, kinds),
                hint="the types are: " + ", ".join(sorted(kinds)),
            )
        read = body.get("credentials_from_env")
        own = tuple(
            replace(one, required=False) if isinstance(read, Mapping) and one.name in read else one
            for one in kinds[kind].options
        )
        given = check_options(where, body, shared + tuple(own), self.secret_of)
        names = {option.name for option in own}
        return (
            kind,
            {key: value for key, value in given.items() if key not in names},
            {key: value for key, value in given.items() if key in names},
        )

    def secret_of(self, where: str, value: Any) -> Secret:
        """A secret is named, never written: {credential: NAME}; a `credential` option is the name itself."""
        if isinstance(value, Secret):
            return value
        if isinstance(value, Mapping) and set(value) == {"credential"}:
            value = value["credential"]
        elif not where.endswith(".credential") or not isinstance(value, str):
            raise ConfigError(
                f"{where}: a secret is never written here",
                hint="write {credential: NAME} and define NAME in lifeboat_credentials",
            )
        name = str(told_at(where, lambda text: check_name("credential", text), value))
        self._used.append(name)
        return self._secret(name)

    def _filters(self, where: str, given: Mapped) -> tuple[Filter, ...]:
        at = f"{where}." if given["encryption"] is not None else ""
        encryption = given["encryption"]
        if encryption is None:
            encryption = self._top["encryption"]
        if encryption is None:
            raise ConfigError(
                f"{at}encryption: not configured",
                hint="name age_recipients or gpg_recipients, or say `none: true` if backups shall be "
                "readable by anybody",
            )
        chosen = check_options(f"{at}encryption", encryption, ENCRYPTION)
        level = check_options(
            f"{where}.compression", given["compression"] or self._top["compression"], COMPRESSION
        )
        packer: Filter = Zstd(level["level"], level["threads"])
        return (packer, *_encryptor(f"{at}encryption", chosen))

    def _keep_at(self, names: Iterable[str], environment: str) -> Iterable[tuple[str, Keep]]:
        for name in names:
            body = self._top["destinations"][name]
            if body.get("keep") is not None:
                yield name, _keep(f"{self._at}destinations.{name}.keep", body["keep"], environment)


def _objectives(where: str, body: Mapped, promised: Mapped) -> Objectives:
    """A source's own objectives, else the job's."""
    own = check_options(f"{where}.objectives", body.get("objectives") or {}, OBJECTIVES)
    return Objectives(**{key: own[key] or promised[key] for key in own})


def _encryptor(where: str, chosen: Mapped) -> tuple[Filter, ...]:
    """The one encryptor that was chosen, or none of them."""
    ways = ("age_recipients", "gpg_recipients", "none")
    said = [one for one in ways if chosen[one]]
    if len(said) != 1:
        raise ConfigError(
            f"{where}: name age_recipients or gpg_recipients, or say `none: true`; here "
            + (" and ".join(said) + " are given" if said else "none of them is given"),
            hint="an archive is encrypted by one program: its recipients are all of one kind",
        )
    if chosen["gpg_keys"] and said != ["gpg_recipients"]:
        raise ConfigError(f"{where}.gpg_keys: only gpg_recipients use it")
    if said == ["age_recipients"]:
        return (Age(tuple(chosen["age_recipients"])),)
    if said == ["gpg_recipients"]:
        return (Gpg(tuple(chosen["gpg_recipients"]), tuple(chosen["gpg_keys"] or ())),)
    return ()


def _refuse_nested(
    where: str, sources: Iterable[Source], destinations: Iterable[Destination]
) -> None:
    """A restore of a tree that holds the backups themselves would take them away."""
    for source in sources:
        for path in source.needs().replaces:
            for destination in destinations:
                for place in filter(os.path.isabs, destination.needs().writes):
                    if os.path.commonpath([path, place]) == path.rstrip("/"):
                        raise ConfigError(
                            f"{where}.sources.{source.name}: {path} holds the destination "
                            f"{destination.name} ({place})",
                            hint="keep backups outside of what they are backups of",
                        )
        for destination in destinations:
            bucket = source.needs().bucket
            if bucket and destination.needs().bucket.startswith(bucket):
                raise ConfigError(
                    f"{where}.sources.{source.name}: {bucket.strip()} holds the destination "
                    f"{destination.name}",
                    hint="keep backups in another bucket, or both below prefixes of their own",
                )


def _schedules(
    where: str, given: Mapped, sources: set[str] | None, environment: str
) -> tuple[Schedule, ...]:
    if given["schedule"] and given["schedules"]:
        raise ConfigError(f"{where}: write schedule or schedules, not both")
    bodies = given["schedules"]
    if given["schedule"]:
        bodies = {"daily": {"at": given["schedule"]}}
    made = []
    for type_, body in bodies.items():
        at = f"{where}.schedules.{type_}"
        told_at(at, lambda text: check_name("type", text), type_)
        one = check_options(at, body, SCHEDULE)
        for source in one["sources"]:
            if sources is not None and source not in sources:
                raise ConfigError(
                    f"{at}.sources: there is no source {source!r}" + nearest(source, sources)
                )
        keep = _keep(f"{at}.keep", one["keep"], environment) if one["keep"] is not None else None
        spread = one["spread"] if one["spread"] is not None else given.get("spread")
        made.append(Schedule(type_, one["at"], tuple(one["sources"]), keep, spread))
    return tuple(made)


def _drills(where: str, bodies: Mapped) -> tuple[DrillSchedule, ...]:
    made = []
    for type_, body in bodies.items():
        at = f"{where}.{type_}"
        told_at(at, lambda text: check_name("type", text), type_)
        one = check_options(at, body, DRILLS)
        made.append(DrillSchedule(type_, one["at"], one["what"], one["spread"]))
    return tuple(made)


def _keep(where: str, body: Mapped, environment: str) -> Keep:
    """The rules of a `keep`; without any rule in it, those of the environment."""
    given = check_options(where, body, KEEP)
    everything = given.pop("all")
    named = {key: value for key, value in given.items() if value is not None}
    rules = sorted(set(named) - {"tagged", "minimum"})
    if everything and rules:
        raise ConfigError(
            f"{where}: `all` keeps everything, {', '.join(rules)} does not", hint="leave one out"
        )
    if everything or rules:
        return Keep(**named)
    return replace(KEEP_BY_DEFAULT[environment], **named)


def _placement(where: str, body: Any) -> Placement:
    if body is None:
        return HERE
    given = check_options(where, body, PLACEMENT)
    chosen = [(engine, name) for engine, name in given.items() if name is not None]
    if len(chosen) != 1:
        raise ConfigError(f"{where}: write {{docker: CONTAINER}} or {{podman: CONTAINER}}")
    return Placement(*chosen[0])
