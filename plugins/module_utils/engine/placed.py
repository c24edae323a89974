# SPDX-License-Identifier: GPL-3.0-or-later
"""A source in a container: options may come from the container's own environment, read on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import ConfigError, ProcessError, SourceError
from .model import Command, Needs, Option, Secret, SourceRecord, Workspace
from .options import check_options, nearest
from .placement import Placement
from .ports import Arena
from .process import run

_READABLE = ("text", "integer", "secret")  # kinds of options that a variable can hold
# Where images agree to look for a value that is kept in a file, as orchestrators mount secrets.
_FILES = ("{}_FILE", "FILE__{}")


def check_variables(
    where: str, given: Mapping[str, Any], options: tuple[Option, ...], body: Mapping[str, Any]
) -> dict[str, str]:
    """{option: variable} as the configuration has it, every option one that a variable can hold."""
    known = {option.name: option for option in options if option.kind in _READABLE}
    for name, variable in given.items():
        if name not in known:
            raise ConfigError(
                f"{where}.{name}: not an option that can be read from a variable"
                + nearest(name, known),
                hint="those are: " + ", ".join(sorted(known)),
            )
        if not isinstance(variable, str) or not variable.isidentifier():
            raise ConfigError(f"{where}.{name}: write the name of a variable, such as DB_PASSWORD")
        if body.get(name) is not None:
            raise ConfigError(f"{where}.{name}: the source has {name} already: write it once")
    return dict(given)


class Placed:
    """Implements ports.Source for one of `kind` in a container, whatever that is.

    What can be checked without the container is checked here; nothing is asked of it before a method
    other than `needs` is called. The dump's facts also say which image the container is made from.
    """

    def __init__(
        self,
        kind: Any,
        name: str,
        placement: Placement,
        optional: bool,
        given: Mapping[str, Any],
        variables: Mapping[str, str],
    ) -> None:
        self.kind: str = kind.kind
        self.options: tuple[Option, ...] = kind.options
        self.lost_table: tuple[str, str, str] | None = getattr(kind, "lost_table", None)
        self.name = name
        self.optional = optional
        self._kind, self._placement = kind, placement
        self._given, self._variables = given, variables
        self._made: Any = None if variables else self._make({})

    def needs(self) -> Needs:
        return Needs(engine=self._placement.engine)  # the container has what its programs need

    @contextmanager
    def open(self, work: Workspace) -> Iterator[Any]:
        image = self._placement.containers.image(self._placement.container)
        with self._source().open(work) as dump:
            yield _FromImage(dump, image)

    @property
    def arena(self) -> Any:
        """Of the kind itself, on this host, where it has one: in a disaster no container can be asked."""
        return self._arena if hasattr(self._kind, "arena") else None

    def _arena(self, directory: Path, record: SourceRecord) -> AbstractContextManager[Arena]:
        given = dict(self._given)
        for option in self.options:
            told = record.facts.get(option.name)
            if option.name == "programs_path":
                given[option.name] = ""  # of the container
            elif option.required and not given.get(option.name):  # read from its environment
                given[option.name] = told if isinstance(told, str) and told else "drill"
        made: AbstractContextManager[Arena] = self._kind(name=self.name, **given).arena(
            directory, record
        )
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source(), name)

    def _source(self) -> Any:
        if self._made is None:
            self._made = self._make(self._read())
        return self._made

    def _make(self, read: Mapping[str, Any]) -> Any:
        return self._kind(
            name=self.name,
            placement=self._placement,
            optional=self.optional,
            **{**self._given, **read},
        )

    def _read(self) -> dict[str, Any]:
        """{option: value} from the container as it is now; secrets stay hidden."""
        there = self._placement.containers.variables(self._placement.container)
        options = {option.name: option for option in self.options}
        values: dict[str, Any] = {}
        for name, variable in self._variables.items():
            value: Any = self._value(there, variable)
            if options[name].kind == "integer" and value.isdecimal():
                value = int(value)
            where = f"source {self.name}: variable {variable} of container"
            values.update(
                check_options(
                    f"{where} {self._placement.container}",
                    {name: value},
                    (replace(options[name], required=True),),
                    lambda _where, text: Secret.of(text),
                )
            )
        return values

    def _value(self, there: Mapping[str, str], variable: str) -> str:
        if variable in there:
            return there[variable]
        for form in _FILES:
            path = there.get(form.format(variable))
            if path:
                return self._content(path)
        raise SourceError(
            f"source {self.name}: container {self._placement.container} has no variable {variable}"
            + nearest(variable, there),
            hint="it has: " + ", ".join(sorted(there)),
        )

    def _content(self, path: str) -> str:
        try:
            told = run(self._placement.wrap(Command(("cat", "--", path))))
        except ProcessError as exc:
            raise SourceError(
                f"source {self.name}: {path} in container {self._placement.container} cannot be read",
                detail=exc.detail,
            ) from exc
        return told.decode("utf-8", "surrogateescape").rstrip("\r\n")


class _FromImage:
    """A dump whose facts also say what the container is."""

    def __init__(self, dump: Any, image: Mapping[str, str]) -> None:
        self._dump, self._image = dump, image

    @property
    def facts(self) -> dict[str, Any]:
        return {**self._dump.facts, "container": dict(self._image)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dump, name)
