# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a PostgreSQL server what a restore must know, and what a dump role may not read. Read only."""

from __future__ import annotations

from typing import Any

from ...errors import SourceError
from .count import OBJECTS
from .session import QueryError, Session, literal

FIRST_ORDINARY = 16384  # object ids below belong to the server itself

_SERVER = """
SELECT current_setting('server_version_num')::int AS number,
       current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS standby,
       current_user AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypasses, r.rolcreatedb AS
       creates_databases, r.rolcreaterole AS creates_roles,
       current_setting('lo_compat_privileges')::bool AS reads_large_objects
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"""

_HERE = "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"

_DATABASE = f"""
SELECT to_jsonb(d) AS raw, pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
       pg_catalog.pg_get_userbyid(d.datdba) AS owner, t.spcname AS tablespace,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       pg_catalog.pg_database_size(d.oid) AS size_bytes
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
WHERE d.oid = {_HERE}"""

_GRANTS = f"""
SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END AS role,
       a.privilege_type AS privilege, a.is_grantable AS grantable
FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.oid = {_HERE}
ORDER BY 1 NULLS FIRST, 2"""

_SETTINGS = f"""
SELECT r.rolname AS role, one.setting
FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
     unnest(s.setconfig) WITH ORDINALITY AS one (setting, place)
WHERE s.setdatabase = {_HERE} ORDER BY r.rolname NULLS FIRST, one.place"""

_EXTENSIONS = (
    "SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension ORDER BY 1"
)

# Owners, and roles named in privileges, policies and settings of this database (the superuser that
# initdb made has no entry in pg_shdepend), then all that are joined to them by membership: without
# its members, an owner's role lets nobody in. What an extension brought is made by CREATE EXTENSION
# (a trusted one's belongs to the superuser), so who owns that does not matter.
_OF_EXTENSIONS = """SELECT FROM pg_catalog.pg_depend e
  WHERE e.deptype = 'e' AND e.classid = {} AND e.objid = {}"""

_DEPENDS = f"""
  SELECT refobjid AS oid FROM pg_catalog.pg_shdepend s
  WHERE refclassid = 'pg_catalog.pg_authid'::regclass
    AND NOT (deptype = 'o' AND (classid = 'pg_catalog.pg_extension'::regclass
                                OR EXISTS ({_OF_EXTENSIONS.format("s.classid", "s.objid")})))
    AND (dbid = {_HERE} OR (classid = 'pg_catalog.pg_database'::regclass AND objid = {_HERE}))"""

_OWNED = f"""
  SELECT datdba AS oid FROM pg_catalog.pg_database WHERE oid = {_HERE}
  UNION SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid >= {FIRST_ORDINARY}
    AND NOT EXISTS ({_OF_EXTENSIONS.format("'pg_catalog.pg_class'::regclass", "c.oid")})
  UNION SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.oid >= {FIRST_ORDINARY}
    AND NOT EXISTS ({_OF_EXTENSIONS.format("'pg_catalog.pg_proc'::regclass", "p.oid")})
  UNION SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.oid >= {FIRST_ORDINARY}
    AND NOT EXISTS ({_OF_EXTENSIONS.format("'pg_catalog.pg_namespace'::regclass", "n.oid")})"""

_OWNERS = f"""
SELECT DISTINCT r.rolname AS name FROM pg_catalog.pg_roles r
JOIN ({_OWNED} UNION {_DEPENDS} AND deptype = 'o') AS o USING (oid)
WHERE r.rolname !~ '^pg_' ORDER BY 1"""

_ROLES = f"""
WITH RECURSIVE named (oid) AS ({_OWNED} UNION {_DEPENDS}
  UNION SELECT setrole FROM pg_catalog.pg_db_role_setting WHERE setdatabase = {_HERE}
), joined (oid) AS (
  SELECT oid FROM named
  UNION
  SELECT CASE WHEN m.member = j.oid THEN m.roleid ELSE m.member END
  FROM joined j JOIN pg_catalog.pg_auth_members m ON j.oid IN (m.member, m.roleid)
  WHERE m.roleid >= {FIRST_ORDINARY} AND m.member >= {FIRST_ORDINARY}
)
SELECT r.rolname AS name FROM pg_catalog.pg_roles r JOIN joined USING (oid)
WHERE r.rolname !~ '^pg_' ORDER BY 1"""

_TABLESPACES = f"""
SELECT DISTINCT t.spcname AS name FROM pg_catalog.pg_tablespace t
JOIN pg_catalog.pg_class c ON c.reltablespace = t.oid WHERE t.oid >= {FIRST_ORDINARY} ORDER BY 1"""

_UNREADABLE = f"""
SELECT o.schema || '.' || o.name AS name FROM ({OBJECTS}) AS o
WHERE o.kind IN ('r', 'p', 'm', 'S')
  AND NOT (pg_catalog.has_table_privilege(o.oid::oid, 'SELECT')
           AND pg_catalog.has_schema_privilege(o.schema, 'USAGE'))"""

_FILTERED = f"""
SELECT o.schema || '.' || o.name AS name FROM ({OBJECTS}) AS o
WHERE o.kind IN ('r', 'p') AND pg_catalog.row_security_active(o.oid::oid)"""

_LARGE_OBJECTS = """
SELECT count(*) AS amount FROM pg_catalog.pg_largeobject_metadata l
WHERE NOT pg_catalog.pg_has_role(l.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(l.lomacl) a
                  WHERE a.privilege_type = 'SELECT'
                    AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))"""


_EVENT_TRIGGERS = f"""
SELECT 1 AS one FROM pg_catalog.pg_event_trigger t WHERE evtenabled <> 'D'
  AND NOT EXISTS ({_OF_EXTENSIONS.format("'pg_catalog.pg_event_trigger'::regclass", "t.oid")}) LIMIT 1"""

# money itself, and what is made of it: arrays, domains, ranges, rows of a type
_HAS_MONEY = f"""
WITH RECURSIVE made (oid) AS (
  SELECT 'pg_catalog.money'::regtype::oid
  UNION
  SELECT t.oid FROM made m JOIN pg_catalog.pg_type t ON m.oid IN (t.typelem, t.typbasetype)
    OR EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid AND r.rngsubtype = m.oid)
    OR (t.typrelid <> 0 AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = t.typrelid AND a.atttypid = m.oid AND NOT a.attisdropped))
)
SELECT 1 AS one FROM pg_catalog.pg_attribute a JOIN made m ON m.oid = a.atttypid
WHERE a.attrelid >= {FIRST_ORDINARY} AND NOT a.attisdropped LIMIT 1"""

# An amount is written as lc_monetary has it. The same one, as written and as stored, shows whether
# another locale would read it as that: `$ 12,34` of Chile is $1,234.00 in C. `own`: the database's, not
# only of the role that dumps.
_MONEY = """
SELECT s.setting AS locale, s.source NOT IN ('user', 'database user') AS own,
       m.amount::text AS written, encode(pg_catalog.cash_send(m.amount), 'hex') AS stored
FROM (SELECT '-1'::money * 1234567.89 AS amount) AS m, pg_catalog.pg_settings s
WHERE s.name = 'lc_monetary'"""

# They fire whatever a session is set to, before 17; pg_restore makes them, then fills what is filled here.
_ALWAYS = """
SELECT evtname AS name FROM pg_catalog.pg_event_trigger
WHERE evtenabled = 'A' AND evtevent IN ('ddl_command_start', 'ddl_command_end')
  AND (evttags IS NULL OR 'REFRESH MATERIALIZED VIEW' = ANY (evttags))
  AND current_setting('server_version_num')::int < 170000
  AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'm' AND relispopulated) ORDER BY 1"""

_LENIENT = """
SELECT name FROM pg_catalog.pg_settings WHERE setting = 'on'
  AND name IN ('zero_damaged_pages', 'ignore_checksum_failure') ORDER BY 1"""

_FOLLOWING = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS receives,
       pg_catalog.pg_is_wal_replay_paused() AS paused,
       to_char(pg_catalog.pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS last"""

# The view shows none to those who may not see them; that there are none is as good as hidden to us.
_HIDDEN_MAPPINGS = """
SELECT count(*) AS amount FROM pg_catalog.pg_user_mappings m
JOIN pg_catalog.pg_roles r ON r.rolname = current_user
WHERE m.umoptions IS NULL AND NOT r.rolsuper"""


def server(session: Session) -> Any:
    """number, version, standby, role, superuser, ...: of the server, and of who we are there."""
    return session.row(_SERVER)


def database(session: Session) -> dict[str, Any]:
    """The facts about the session's database that a restore needs; JSON values."""
    found = session.row(_DATABASE)
    raw = found.pop("raw")
    return {
        "database": raw["datname"],
        **found,
        "collate": raw["datcollate"],
        "ctype": raw["datctype"],
        "locale_provider": raw.get("datlocprovider", "c"),  # c = libc, i = icu, b = builtin
        "locale": raw.get("datlocale") or raw.get("daticulocale"),
        "icu_rules": raw.get("daticurules"),
        "connection_limit": raw["datconnlimit"],
        "template": raw["datistemplate"],
        "grants": session.rows(_GRANTS) if raw["datacl"] is not None else None,
        "settings": session.rows(_SETTINGS),
        "extensions": {one["name"]: one["version"] for one in session.rows(_EXTENSIONS)},
        "owners": names(session, _OWNERS),
        "roles": names(session, _ROLES),
        "tablespaces": names(session, _TABLESPACES),
        "large_objects": bool(
            session.rows("SELECT 1 AS one FROM pg_catalog.pg_largeobject_metadata LIMIT 1")
        ),
        "logical_slots": slots(session, raw["datname"]),
        "subscriptions": subscriptions(session, raw["datname"]),
        "event_triggers": bool(session.rows(_EVENT_TRIGGERS)),
        **({"money": session.row(_MONEY)} if session.rows(_HAS_MONEY) else {}),
    }


def names(session: Session, query: str) -> list[str]:
    return [one["name"] for one in session.rows(query)]


def slots(session: Session, of: str) -> list[str]:
    """Logical replication slots of the database `of`."""
    return names(
        session,
        "SELECT slot_name AS name FROM pg_catalog.pg_replication_slots"
        f" WHERE slot_type = 'logical' AND database = {literal(of)} ORDER BY 1",
    )


def subscriptions(session: Session, of: str) -> list[str]:
    """Subscriptions of the database `of`. subconninfo is kept from us, and not asked for."""
    return names(
        session,
        "SELECT subname AS name FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d"
        f" ON d.oid = s.subdbid WHERE d.datname = {literal(of)} ORDER BY 1",
    )


def cut_off(session: Session) -> str:
    """What is to be said of a standby that does not follow its primary: all it has may be old; "" = it does."""
    found = session.row(_FOLLOWING)
    if found["receives"] and not found["paused"]:
        return ""
    why = "replays nothing (paused)" if found["paused"] else "receives nothing from its primary"
    return f"the standby {why}: its last change is of {found['last'] or 'an unknown time'} UTC"


def reads_money(session: Session, money: Any) -> str:
    """The locale under which this server reads the amounts of a backup, "" = the one it has; raises
    QueryError where it has none that does.
    """
    locale = money["locale"]
    known = "SELECT pg_catalog.set_config('lc_monetary', {}, false)"
    try:
        session.ask(known.format(literal(locale)))
        session.ask("RESET lc_monetary")
        return str(locale)
    except QueryError:
        read = f"encode(pg_catalog.cash_send({literal(money['written'])}::money), 'hex')"
        if session.ask(f"SELECT {read}") != [money["stored"]]:
            raise
        return ""


def unquieted(session: Session) -> list[str]:
    """Event triggers that no setting of a restore keeps from firing."""
    return names(session, _ALWAYS)


def hidden_mappings(session: Session) -> int:
    """User mappings of foreign servers whose options are kept from us: they are dumped without."""
    return int(session.row(_HIDDEN_MAPPINGS)["amount"])


def refuse_lenient(session: Session, source: str) -> None:
    """Raise SourceError where the server reads damaged pages as if they had no rows, and says so to nobody."""
    lenient = names(session, _LENIENT)
    if lenient:
        raise SourceError(
            f"source {source}: {' and '.join(lenient)} is on: rows of damaged pages would be missing, without a"
            " word, and a dump without them would be no backup",
            hint="RESET it where it is set (ALTER DATABASE, ALTER ROLE, postgresql.conf); what is left of a"
            " damaged database: pg_dump, by hand",
        )


def refuse_unreadable(session: Session, source: str, me: Any) -> None:
    """Raise SourceError where pg_dump would fail after minutes, or be refused rows."""
    if me["superuser"]:
        return
    filtered = [] if me["bypasses"] else names(session, _FILTERED)
    if filtered:
        raise SourceError(
            f"source {source}: row security hides rows of {_some(filtered)} from {me['role']!r},"
            " and a dump without them would be no backup",
            hint="let the role see all rows: ALTER ROLE ... BYPASSRLS",
        )
    unreadable = names(session, _UNREADABLE)
    if unreadable:
        raise SourceError(
            f"source {source}: {me['role']!r} may not read {_some(unreadable)}",
            hint="GRANT pg_read_all_data TO the role (server 14 and newer), or let site.yml do it",
        )
    large = 0 if me["reads_large_objects"] else session.row(_LARGE_OBJECTS)["amount"]
    if large:
        raise SourceError(
            f"source {source}: {me['role']!r} may not read {large} large objects",
            hint="ALTER ROLE ... IN DATABASE ... SET lo_compat_privileges = on, as site.yml does",
        )


def _some(found: list[str]) -> str:
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
