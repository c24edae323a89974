"""The application of molecule/restore seen from outside: what it answers, how it is spoilt, when it stopped."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.lab.hosts import wait_for

UNITS = ("shop-worker.service", "shop-web.service")


def books(where: Host) -> str:
    """What the application itself answers, which may have been started just now; "" when it does not."""
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/').read().decode())"
    answer = wait_for(lambda: str(where.run(f'python3 -c "{ask}"').stdout).strip(), timeout_s=15)
    return str(answer or "")


def sql(where: Host, database: str, query: str) -> str:
    return str(where.check_output(f"runuser -u postgres -- psql -XqAtd {database} -c '{query}'"))


def orders(where: Host, database: str = "shop") -> str:
    return sql(where, database, "SELECT count(*) FROM orders")


def fill(where: Host, rows: int) -> None:
    where.check_output(f"runuser -u www-data -- python3 /srv/shop/web.py fill {rows}")


def spoil(where: Host, rows: int = 7, database: str = "shop") -> None:
    fill(where, rows)
    query = f"TRUNCATE orders; INSERT INTO orders SELECT n FROM generate_series(1, {rows}) n"
    sql(where, database, query)


def log(where: Host, since: str) -> list[str]:
    """What systemd did with the two units, in order."""
    words = "journalctl --no-pager -o json _PID=1"
    lines = where.check_output(f"{words} --since '{since}'").splitlines()
    done = [json.loads(line) for line in lines]
    kinds = {"Stopping": "stop", "Started": "start"}
    return [
        f"{kinds[word]} {one['UNIT']}"
        for one in done
        for word in [str(one.get("MESSAGE", "")).split(" ")[0]]
        if one.get("UNIT") in UNITS and word in kinds
    ]


def instant(where: Host) -> str:
    where.check_output("sleep 1.1")
    return str(where.check_output("date '+%Y-%m-%d %H:%M:%S'"))
