# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what forbids a restore into a MariaDB or MySQL server. Read only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import facts
from .programs import MYSQL
from .server import Access

# any of these: to make a view, a routine, a trigger or an event in another account's name
_ANY_DEFINER = {"ALL PRIVILEGES", "ALL", "SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER"}


def refusals(
    access: Access, wanted: Mapping[str, Any], totals: Mapping[str, int], name: str
) -> list[str]:
    """Why the backup with the facts `wanted` and its `totals` cannot become database `name` here, in
    sentences.
    """
    about, told = access.about, []
    if about.read_only:
        told.append("the server is read only, as replicas are: restore on its primary")
    given = facts.covering(facts.rights(access), "*")
    lacking = [one for one in facts.RESTORING if one not in given]
    if lacking:
        told.append(
            f"the user {about.user} lacks {', '.join(lacking)} on all databases: give it, or set"
            " `restore_user`"
        )
    others = [one for one in wanted["definers"] if "@" in one and one != about.user]
    if others and not given & _ANY_DEFINER:
        told.append(
            f"the user {about.user} may not make what {', '.join(others)} defines: give it SET USER"
            " (MySQL: SET_USER_ID or SET_ANY_DEFINER), or define views, routines, triggers and events"
            f" as {about.user} before the backup"
        )
    kinds = {kind for kind, _name in facts.programs(access, name)}
    if {"trigger", "function"} & kinds or totals.get("triggers") or totals.get("functions"):
        told += _distrusted(access, given)
    # of MariaDB's newer ones the first column holds only what follows the character set: the name is
    # the third (FULL_COLLATION_NAME), a column that neither MySQL nor MariaDB before 10.10 has
    listed = access.ask("SELECT * FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
    known = {one for row in listed for one in row[0:1] + row[2:3]}
    unknown = [one for one in wanted["collations"] if one not in known]
    if unknown:
        told.append(
            f"the server ({about.version}) does not know the collations {', '.join(unknown)} of the"
            f" backup, which is from {wanted['server_version']}"
        )
    engines = access.ask(
        "SELECT ENGINE FROM information_schema.ENGINES WHERE SUPPORT IN ('YES', 'DEFAULT')"
    )
    here = {row[0].lower() for row in engines}
    absent = [one for one in wanted["engines"] if one.lower() not in here]
    if absent:
        told.append(f"the server lacks the storage engines {', '.join(absent)}")
    alike = wanted.get("alike", []) if about.folds else []
    if alike:
        told.append(
            "the server keeps names in lower case (lower_case_table_names), so one would be lost of"
            f" each of these: {', '.join(alike)}; restore on a server that tells them apart"
        )
    # such a key would follow the tables that are moved out of the way
    told += [
        f"table {row[0]}.{row[1]} has a foreign key into database {name}: drop it, or use --into"
        for row in access.ask(
            "SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME"
            " FROM information_schema.REFERENTIAL_CONSTRAINTS"
            f" WHERE {facts.same('UNIQUE_CONSTRAINT_SCHEMA', name)}"
            f" AND NOT {facts.same('CONSTRAINT_SCHEMA', name)}"
        )
    ]
    return told


def _distrusted(access: Access, given: set[str]) -> list[str]:
    """Why this user's triggers and functions are refused by a server that logs them."""
    if access.about.flavour != MYSQL or given & {"ALL PRIVILEGES", "ALL", "SUPER"}:
        return []
    if access.ask("SELECT @@log_bin, @@log_bin_trust_function_creators") != [["1", "0"]]:
        return []
    return [
        f"the user {access.about.user} may not make triggers and functions while the server has a binary"
        " log: set log_bin_trust_function_creators=1 there, or set `restore_user` to one with SUPER"
    ]
