# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB of an application in a container, reached by the application's own variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host

from .conftest import Container, Watch, podman, wait_for

PASSWORD = "w1k:i's"
ROOT_PASSWORD = 'r00"t'
SERVER = """
mariadb-install-db --no-defaults --datadir=/var/lib/pg/data --user=root --skip-test-db >/dev/null
cat >/tmp/init <<SQL
CREATE DATABASE wiki;
CREATE USER wiki@localhost IDENTIFIED BY "$DB_PASSWORD";
GRANT ALL ON wiki.* TO wiki@localhost;
CREATE USER admin@localhost IDENTIFIED BY '$ADMIN_PASSWORD';
GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION;
SQL
exec mariadbd --no-defaults --datadir=/var/lib/pg/data --socket=/tmp/s --bind-address=127.0.0.1 \
  --user=root --init-file=/tmp/init --debug-no-sync
"""


@pytest.fixture(scope="module")
def app(make_container: Callable[..., Container]) -> Container:
    made = make_container(
        "-e", "DB_HOST=127.0.0.1", "-e", "DB_USERNAME=wiki", "-e", f"DB_PASSWORD={PASSWORD}",
        "-e", "DB_DATABASE=wiki", "-e", f"ADMIN_PASSWORD={ROOT_PASSWORD}",
        command=("sh", "-c", SERVER),
    )  # fmt: skip
    assert wait_for(lambda: podman("exec", made.name, *ASK, check=False), 20), podman(
        "logs", made.name
    )
    return made


ASK = (
    "mariadb",
    "--no-defaults",
    "--socket=/tmp/s",
    "-uroot",
    "-N",
    "-B",
    "-e",
    "SELECT 1",
    "wiki",
)


def sql(app: Container, text: str) -> str:
    return podman("exec", "-i", app.name, *ASK[:-3], "wiki", stdin=text.encode())


def test_the_round_trip_takes_all_from_the_container_and_shows_no_secret(
    app: Container, tmp_path: Path
) -> None:
    sql(
        app,
        "CREATE TABLE page (id int PRIMARY KEY, title text); INSERT INTO page VALUES (1, 'one'), (2, 'two')",
    )
    host = Host(tmp_path)
    host.job["sources"] = {
        "db": {
            "type": "mariadb",
            "placement": {"docker": app.name},
            "restore_user": "admin",
            "credentials_from_env": {
                "host": "DB_HOST", "user": "DB_USERNAME", "password": "DB_PASSWORD",
                "database": "DB_DATABASE", "restore_password": "ADMIN_PASSWORD",
            },
        }
    }  # fmt: skip
    host.configure()
    with Watch() as watch:
        id_ = host.run()
        sql(app, "DELETE FROM page")
        restored = host.restore(id_)
        assert restored.returncode == 0, restored.stderr
        assert sql(app, "SELECT count(*) FROM page") == "2"
        undone = host.lifeboat("undo", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")
        assert (undone.returncode, sql(app, "SELECT count(*) FROM page")) == (0, "0"), undone.stderr
    assert any(b"mariadb-dump" in line for line in watch.seen)
    for secret in (PASSWORD, ROOT_PASSWORD):
        assert not [line for line in watch.seen if secret.encode() in line]
        kept = [*host.root.rglob("*"), *host.disk.rglob("*")]
        assert not [one for one in kept if one.is_file() and secret.encode() in one.read_bytes()]
