# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a mapping against a table of options: unknown keys, types, choices. Pure; every error names the key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from . import units
from .errors import ConfigError, UsageError
from .model import Option, Secret

# Of a server that is dumped with few rights and restored with more; who restores is who dumps, if not given.
IDENTITIES = (
    Option("user", default=""),
    Option("password", "secret"),
    Option("restore_user", default=""),
    Option("restore_password", "secret"),
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_options(
    where: str,
    body: Any,
    known: tuple[Option, ...],
    secret_of: Callable[[str, Any], Secret] | None = None,
) -> dict[str, Any]:
    """Every known option with its checked value or default; unknown keys are refused."""
    if not isinstance(body, Mapping):
        raise ConfigError(f"{where or 'configuration'}: write a mapping, not {kind_of(body)}")
    names = [option.name for option in known]
    for key in body:
        if key not in names:
            raise ConfigError(
                f"{_join(where, str(key))}: unknown key" + nearest(str(key), names),
                hint="the keys here are: " + ", ".join(sorted(names)),
            )
    checked: dict[str, Any] = {}
    for option in known:
        at = _join(where, option.name)
        value = body.get(option.name)
        if value is None:
            if option.required:
                raise ConfigError(f"{at}: missing")
            value = option.default
        if value is not None:
            value = _value(at, option, value, secret_of)
        checked[option.name] = value
    return checked


def _value(
    where: str, option: Option, value: Any, secret_of: Callable[[str, Any], Secret] | None
) -> Any:
    if option.kind == "secret" and secret_of is not None:
        return secret_of(where, value)
    if option.kind == "variables":
        return _variables(where, value, secret_of)
    if option.kind == "size":
        return told_at(where, units.size, value)
    if option.kind == "duration":
        return told_at(where, _duration, value)
    wanted, fits = _KINDS[option.kind]
    if not fits(value):
        raise ConfigError(f"{where}: write {wanted}, not {kind_of(value)}")
    if option.choices and value not in option.choices:
        raise ConfigError(
            f"{where}: {value!r} is not possible" + nearest(str(value), option.choices),
            hint="write one of: " + ", ".join(option.choices),
        )
    return tuple(value) if option.kind == "texts" else value


def _variables(
    where: str, value: Any, secret_of: Callable[[str, Any], Secret] | None
) -> dict[str, Any]:
    """Environment variables: {name: text or Secret}."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: write a mapping, not {kind_of(value)}")
    checked: dict[str, Any] = {}
    for name, content in value.items():
        at = _join(where, str(name))
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise ConfigError(f"{at}: {name!r} is not the name of a variable")
        if isinstance(content, (Mapping, Secret)) and secret_of is not None:
            checked[name] = secret_of(at, content)
        elif _is_text(content) or (isinstance(content, int) and not isinstance(content, bool)):
            checked[name] = str(content)
        else:
            raise ConfigError(f"{at}: write a text or {{credential: NAME}}, not {kind_of(content)}")
    return checked


def _duration(value: Any) -> Any:
    return value if hasattr(value, "total_seconds") else units.duration(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("a text", _is_text),
    "integer": ("a number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "texts": (
        "a list of texts",
        lambda value: isinstance(value, (list, tuple)) and all(_is_text(one) for one in value),
    ),
    "mapping": ("a mapping", lambda value: isinstance(value, Mapping)),
}


def told_at(where: str, check: Callable[[Any], Any], value: Any) -> Any:
    """`check(value)`, with the key's path in front of what it complains of."""
    try:
        return check(value)
    except UsageError as exc:
        raise ConfigError(f"{where}: {exc}", hint=exc.hint) from None


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def nearest(word: str, known: Iterable[str]) -> str:
    begun = [one for one in known if len(word) > 1 and one.startswith(word)]
    close = begun or difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def kind_of(value: Any) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
    }
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
