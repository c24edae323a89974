# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a role what dumping one database takes, and nothing else. Needs a superuser; idempotent.

LOGIN, and read only by default. Reading: pg_read_all_data (server 14 and newer), else grants.
Two rights are given only to databases that need them: BYPASSRLS where a table has row security
(pg_dump refuses to dump a part), and lo_compat_privileges, in this database alone, where there are
large objects (pg_read_all_data does not cover them, and a grant on each would miss the next one).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterator
from typing import Any

from ...model import Secret
from .count import OBJECTS
from .session import Session, identifier, literal

_ITERATIONS = 4096  # what the server itself uses

_STATE = """
SELECT r.rolcanlogin AS login, r.rolbypassrls AS bypasses, r.rolsuper AS superuser,
       a.rolpassword AS verifier,
       coalesce('default_transaction_read_only=on' = ANY (r.rolconfig), false) AS reads_only,
       pg_catalog.has_database_privilege(r.oid, current_database(), 'CONNECT') AS connects,
       EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid AND m.roleid =
               (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data')) AS reads,
       EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid
               AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database
                                    WHERE datname = current_database())
               AND 'lo_compat_privileges=on' = ANY (s.setconfig)) AS reads_large_objects
FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_authid a ON a.oid = r.oid
WHERE r.rolname = {role}"""

_NEEDS = f"""
SELECT current_database() AS database,
       current_setting('server_version_num')::int >= 140000 AS has_read_all_data,
       EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity) AS has_row_security,
       EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) AS has_large_objects,
       (SELECT coalesce(json_agg(DISTINCT o.schema), '[]') FROM ({OBJECTS}) o) AS schemas"""

_NOBODY = dict.fromkeys(
    ("login", "bypasses", "superuser", "reads_only", "connects", "reads"), False
)


def prepare(
    session: Session, role: str, password: Secret | None = None, dry_run: bool = False
) -> list[str]:
    """The statements that `role` was lacking; run unless `dry_run`. A password is shown as ***."""
    needs = session.row(_NEEDS)
    found = session.rows(_STATE.format(role=literal(role)))
    state: Any = found[0] if found else dict(_NOBODY, verifier=None)
    wanted = list(_missing(session, role, bool(found), state, needs))
    told = list(wanted)
    given = None if password is None else str(password.reveal())
    if given is not None and not _matches(given, state["verifier"]):
        # The verifier goes to the server, not the password: statements may be logged there.
        change = f"ALTER ROLE {identifier(role)} PASSWORD "
        wanted.append(change + literal(_verifier(given, os.urandom(16), _ITERATIONS)))
        told.append(change + "'***'")
    if not dry_run:
        for statement in wanted:
            session.ask(statement)
    return told


def _missing(session: Session, role: str, exists: bool, state: Any, needs: Any) -> Iterator[str]:
    name, database = identifier(role), identifier(needs["database"])
    if not exists:
        yield f"CREATE ROLE {name} LOGIN"
    elif not state["login"]:
        yield f"ALTER ROLE {name} LOGIN"
    if not state["reads_only"]:
        yield f"ALTER ROLE {name} SET default_transaction_read_only = on"
    if state["superuser"]:
        return
    if not state["connects"]:
        yield f"GRANT CONNECT ON DATABASE {database} TO {name}"
    if not needs["has_read_all_data"]:
        yield from read_grants(session, role if exists else "", name, needs["schemas"])
    elif not state["reads"]:
        yield f"GRANT pg_read_all_data TO {name}"
    if needs["has_row_security"] and not state["bypasses"]:
        yield f"ALTER ROLE {name} BYPASSRLS"
    if needs["has_large_objects"] and not state["reads_large_objects"]:
        yield f"ALTER ROLE {name} IN DATABASE {database} SET lo_compat_privileges = on"


def read_grants(session: Session, role: str, name: str, schemas: list[str]) -> Iterator[str]:
    """For servers before 14: what each schema needs. `role` "" = one that is not there yet.

    Tables made later are not covered: the provisioning, which calls this again, is what covers them.
    """
    for schema in schemas:
        if role and session.row(_READS.format(role=literal(role), schema=literal(schema)))["all"]:
            continue
        where = identifier(schema)
        yield f"GRANT USAGE ON SCHEMA {where} TO {name}"
        yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {where} TO {name}"
        yield f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {where} TO {name}"


_READS = f"""
SELECT coalesce(bool_and(pg_catalog.has_table_privilege({{role}}, o.oid::oid, 'SELECT')
                AND pg_catalog.has_schema_privilege({{role}}, o.schema, 'USAGE')), true) AS all
FROM ({OBJECTS}) o WHERE o.schema = {{schema}} AND o.kind IN ('r', 'p', 'm', 'S')"""


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    """SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>, as in pg_authid (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("utf-8"), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _matches(password: str, verifier: str | None) -> bool:
    """Whether the server already has this password."""
    try:
        method, spec, _keys = (verifier or "").split("$")
        iterations, salt = spec.split(":")
        again = _verifier(password, base64.b64decode(salt), int(iterations))
    except ValueError:
        return False
    return method == "SCRAM-SHA-256" and hmac.compare_digest(again, str(verifier))
