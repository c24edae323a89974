"""Print, as JSON, everything that a restore of the shop has to bring back: equal text, equal state.

{"database": [line, ...], "files": [line, ...], "settings": [line, ...]}; what is not there is [].
"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

SHOP = Path("/srv/shop")


def acl(column, kind, owner):
    """SQL: privileges in an order of our own; none stored means PostgreSQL's defaults."""
    everything = f"coalesce({column}, acldefault({kind}, {owner}))"
    return f"(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest({everything}) a)"


def ours(namespace):
    return f"{namespace}::regnamespace::text IN ('public', '\"odd schema\"')"


# Of the whole server. What the dump role was given is lifeboat's, not the shop's.
AROUND = f"""
SELECT 'database', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,
       datconnlimit, shobj_description(oid, 'pg_database'),
       replace({acl("datacl", "'d'", "datdba")}, ' lifeboat=c/shop', '')
  FROM pg_database WHERE datname = 'shop';
SELECT 'setting', setrole::regrole, (SELECT array_agg(c ORDER BY c) FROM unnest(setconfig) c)
  FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
  WHERE datname = 'shop' AND setrole::regrole::text <> 'lifeboat' ORDER BY setrole::regrole::text;
SELECT 'role', rolname, rolcanlogin, rolsuper, rolcreatedb, rolinherit, rolconnlimit, rolconfig,
       shobj_description(oid, 'pg_authid')
  FROM pg_roles WHERE rolname IN ('shop', 'reporting', 'auditors') ORDER BY 2;
SELECT 'member', roleid::regrole, member::regrole
  FROM pg_auth_members WHERE member = to_regrole('reporting') ORDER BY roleid::regrole::text;
"""
INSIDE = f"""
SET timezone = UTC;
SELECT 'schema', nspname, pg_get_userbyid(nspowner), {acl("nspacl", "'n'", "nspowner")}
  FROM pg_namespace WHERE {ours("oid")} ORDER BY 2;
SELECT 'relation', oid::regclass, relkind, pg_get_userbyid(relowner), relrowsecurity,
       obj_description(oid),
       {acl("relacl", '''CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char"''', "relowner")}
  FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I') AND {ours("relnamespace")}
  ORDER BY oid::regclass::text;
SELECT 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
       attgenerated, attidentity, pg_get_expr(adbin, adrelid),
       (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(attacl) x)
  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND relkind IN ('r', 'p', 'v', 'm')
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE attnum > 0 AND NOT attisdropped AND {ours("relnamespace")}
  ORDER BY attrelid::regclass::text, attnum;
SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE conrelid <> 0 AND {ours("connamespace")}
  ORDER BY conrelid::regclass::text, conname;
SELECT 'index', indexdef FROM pg_indexes WHERE schemaname IN ('public', 'odd schema') ORDER BY 2;
SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2;
SELECT 'policy', polrelid::regclass::text, polname, pg_get_expr(polqual, polrelid)
  FROM pg_policy ORDER BY 2, 3;
SELECT 'extension', extname, extversion FROM pg_extension ORDER BY 2;
SELECT 'default', defaclrole::regrole::text, defaclobjtype,
       (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(defaclacl) a)
  FROM pg_default_acl ORDER BY 2, 3;
SELECT 'large object', oid, pg_get_userbyid(lomowner), encode(lo_get(oid), 'hex')
  FROM pg_largeobject_metadata ORDER BY 2;
SELECT format('SELECT ''sequence'', %L, last_value, is_called FROM %s', oid::regclass, oid::regclass)
  FROM pg_class WHERE relkind = 'S' ORDER BY oid::regclass::text \\gexec
SELECT format('SELECT %L, t::text FROM %s t ORDER BY t::text COLLATE "C"', oid::regclass, oid::regclass)
  FROM pg_class WHERE relkind IN ('r', 'm') AND {ours("relnamespace")}
  ORDER BY oid::regclass::text \\gexec
"""


def psql(database, script):
    argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    told = subprocess.run(
        [*argv, "-d", database],
        input=script.encode(),
        stdout=subprocess.PIPE,
        check=True,
        cwd="/",
    )
    return told.stdout.decode().splitlines()


def database():
    if not psql("postgres", "SELECT 1 FROM pg_database WHERE datname = 'shop'"):
        return []
    return psql("postgres", AROUND) + psql("shop", INSIDE)


def files():
    top = SHOP / "uploads"
    if not top.is_dir():
        return []
    lines, first_name = [], {}
    for path in sorted([top, *top.rglob("*")]):
        if path.suffix == ".tmp":
            continue
        found = path.lstat()
        facts = [str(path), oct(found.st_mode), found.st_uid, found.st_gid]
        if path.is_symlink():
            facts.append(os.readlink(path))
        elif path.is_file():
            facts.append(first_name.setdefault(found.st_ino, str(path)))  # hard links stay so
            facts += [found.st_size, found.st_mtime_ns]
            facts.append(hashlib.sha256(path.read_bytes()).hexdigest())
        lines.append(json.dumps(facts))
    return lines


def settings():
    path = SHOP / "settings" / "settings.db"
    if not path.is_file():
        return []
    found = path.stat()
    connection = sqlite3.connect(path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    lines = [f"{found.st_mode:o} {found.st_uid} {found.st_gid} {mode}", *connection.iterdump()]
    connection.close()
    return lines


json.dump({"database": database(), "files": files(), "settings": settings()}, sys.stdout)
