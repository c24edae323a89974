# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a configuration are read with: the keys above them, the kinds, the credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Callable

from ..errors import ConfigError
from ..model import Option, Secret
from ..naming import check_name
from ..options import check_options, kind_of, nearest, told_at

Mapped = Mapping[str, Any]


class Reading:
    """Read parts of one configuration; remembers the names of the credentials that it met."""

    def __init__(
        self, top: Mapped, secret: Callable[[str], Secret], at: str = "", scope: str = "system"
    ) -> None:
        """`top`: the checked keys above all jobs; `at`: the path they lie under, with its dot;
        `secret` finds a credential by name; `scope`: whose units."""
        self.top, self.at, self.scope = top, at, scope
        self._secret = secret
        self._met: set[str] = set()

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of those that were asked for, sorted."""
        return tuple(sorted(self._met))

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
        self._met.add(name)
        return self._secret(name)

    def split(
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
