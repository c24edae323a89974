# SPDX-License-Identifier: GPL-3.0-or-later
"""No password of a database is in any process's arguments, in any message or file, whatever is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.mariadb.conftest import make_server as make_mariadb  # noqa: F401
from tests.integration.postgresql.conftest import make_server as make_postgresql  # noqa: F401
from tests.integration.redis.test_redis_command import Watch

from .host import PHRASE, Host

SECRETS = {"dumper": "dump-s3cret;'x", "admin": 'admin-s3cret"y'}


def postgresql(make: Callable[[], Any]) -> tuple[dict[str, Any], Callable[[str], str], str]:
    server = make()
    words = {who: word.replace("'", "''") for who, word in SECRETS.items()}
    server.sql(
        f"CREATE ROLE dumper LOGIN PASSWORD '{words['dumper']}'; GRANT pg_read_all_data TO dumper;"
        f"CREATE ROLE admin SUPERUSER LOGIN PASSWORD '{words['admin']}';"
    )
    server.sql("CREATE DATABASE shop")
    server.sql("CREATE TABLE book AS SELECT generate_series(1, 300) AS id", "shop")
    return {"type": "postgresql", "port": server.port}, lambda text: server.sql(text, "shop"), "pg_"


def mariadb(make: Callable[[], Any]) -> tuple[dict[str, Any], Callable[[str], str], str]:
    server = make()
    words = {who: word.replace("'", "''") for who, word in SECRETS.items()}
    at = "@'127.0.0.1' IDENTIFIED BY"
    server.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE book AS SELECT seq AS id FROM seq_1_to_300;"
        f"CREATE USER 'dumper'{at} '{words['dumper']}'; GRANT SELECT ON mysql.* TO 'dumper'@'127.0.0.1';"
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO 'dumper'@'127.0.0.1';"
        f"CREATE USER 'admin'{at} '{words['admin']}';"
        "GRANT ALL ON *.* TO 'admin'@'127.0.0.1' WITH GRANT OPTION;"
    )
    return (
        {"type": "mariadb", "port": server.port},
        lambda text: server.sql(text, "shop"),
        "mariadb",
    )


@pytest.mark.parametrize("made", [postgresql, mariadb])
def test_no_password_is_seen_in_any_operation(
    host: Host, made: Any, request: pytest.FixtureRequest
) -> None:
    source, ask, program = made(request.getfixturevalue(f"make_{made.__name__}"))
    host.job["sources"] = {
        "db": {
            **source,
            "database": "shop",
            "host": "127.0.0.1",
            "user": "dumper",
            "password": {"credential": "dumper"},
            "restore_user": "admin",
            "restore_password": {"credential": "admin"},
        }
    }
    host.configure()
    store = host.root / "config" / "credentials"
    store.mkdir(mode=0o700)
    for name, word in SECRETS.items():
        (store / name).write_text(json.dumps(word))
        (store / name).chmod(0o600)
    gate = ("--confirm", PHRASE, "--target-host", "h1")
    key = ("--identity", str(host.key))
    said = ""
    with Watch() as watch:
        id_ = host.run()
        ask("DELETE FROM book WHERE id > 10")
        for words in (
            ("config", "check"),
            ("verify", id_, "--level", "content", *key),
            ("restore", "shop", id_, *key, *gate),
            ("undo", "shop", id_, *gate),
            ("restore", "shop", id_, *key, *gate),
            ("recover",),
            ("confirm", "shop"),
        ):
            done = host.lifeboat(*words)
            assert done.returncode == 0, (words, done.stderr)
            said += done.stdout + done.stderr

    assert ask("SELECT count(*) FROM book") == "300"
    assert [words for words in watch.seen if program.encode() in words]  # it looked while they ran
    seen = [*watch.seen, said.encode()]
    for path in [*host.root.rglob("*"), *host.disk.rglob("*")]:
        if path.is_file() and path.parent != store:
            seen.append(path.read_bytes())
    for word in SECRETS.values():
        assert [one for one in seen if word.encode() in one] == []
