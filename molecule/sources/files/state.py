"""Print, as JSON, everything that a restore has to bring back: {store: [line, ...]}; [] = nothing is there."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path


def lines(*argv):
    """What a client writes; [] when it fails, since what it asks for is gone."""
    told = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")
    return (
        told.stdout.decode("utf-8", "backslashreplace").splitlines() if not told.returncode else []
    )


def wiki():
    how = (
        "--default-character-set=utf8mb4 --skip-comments --hex-blob --routines --events --triggers"
    )
    content = lines("mariadb-dump", *how.split(), "wiki")
    grants = "SHOW CREATE USER wiki_app@localhost; SHOW GRANTS FOR wiki_app@localhost"
    return content + lines("mariadb", "-N", "-e", grants) if content else []


def shop():
    dump = "runuser -u postgres -- pg_dump --inserts shop"
    return [line for line in lines(*dump.split()) if not line.startswith(("--", "\\"))]


def cache():
    return keys(Redis("cache-secret-of-the-lab"))  # noqa: F821 (resp.py comes before)


def visits():
    return keys(Redis("visits-secret-of-the-lab", 6380))  # noqa: F821


def keys(server):
    found = []
    for database in (0, 5):
        server.ask("SELECT", database)
        for key in sorted(server.ask("KEYS", "*")):
            found.append(
                f"{database} {key!r} {server.ask('EXPIRETIME', key)} {server.ask('DUMP', key)!r}"
            )
    return found


def notes():
    return [f"{path}: {path.read_text()}" for path in sorted(Path("/srv/notes/kept").glob("*"))]


def settings():
    path = Path("/srv/shop/settings.db")
    if not path.is_file():
        return []
    database = sqlite3.connect(path)
    found = list(database.iterdump())
    database.close()
    return found


def uploads():
    found = []
    for path in sorted(Path("/srv/shop/uploads").rglob("*")):
        is_file = path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
        link = os.readlink(path) if path.is_symlink() else ""
        stat = path.lstat()
        found.append(f"{path} {stat.st_mode:o} {stat.st_uid} {stat.st_mtime_ns} {content} {link}")
    return found


def events():
    """Each document as it is stored; BSON says its own length first."""
    dump = ["mongodump", "--quiet", "--db=events", "--collection=seen", "--out=-"]
    told = subprocess.run(dump, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = []
    while told:
        length = int.from_bytes(told[:4], "little")
        found.append(told[:length].hex())
        told = told[length:]
    return sorted(found)


def extra():
    return [path.name for path in sorted(Path("/srv/extra").glob("*"))]


def box():
    """The database and the volume of the forum, both as their containers see them."""
    where = "--no-defaults --socket=/run/mysqld/mysqld.sock -uroot"
    dump = f"podman exec forum-db mariadb-dump {where} --skip-comments --skip-extended-insert forum"
    look = "cd /data && find . -printf '%p %U:%G %m %l\\n' | sort && cat up/*"
    content = lines(*dump.split())
    posts = [line for line in content if line.startswith(("INSERT", "CREATE"))]
    return posts + (lines("podman", "exec", "forum-app", "sh", "-c", look))


ALL = [wiki, shop, cache, notes, settings, uploads, extra]
ALL += [events] if shutil.which("mongodump") else []
ASKED = (box,) if sys.argv[1:] == ["box"] else ALL + ([visits] if VALKEY else [])  # noqa: F821
json.dump({look.__name__: look() for look in ASKED}, sys.stdout)
