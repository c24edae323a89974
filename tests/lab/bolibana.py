"""The application of molecule/bolibana seen from outside: what it holds, how it answers, and how it is spoilt."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from tests.lab.hosts import on, wait_for

UNITS = ("bolibana-worker.service", "bolibana-web.service")
EVERYWHERE = {"disk": "intact", "external": "intact", "offsite": "intact"}
_PSQL = "runuser -u postgres -- psql -XqAtd bolibana -v ON_ERROR_STOP=1"
_HEALTH = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/healthz').read().decode())"
)
_UPLOAD = """
import sys, urllib.request
title, content = sys.argv[1], sys.argv[2].encode() * 20_000
between, parts = b"the-line-between", []
for name, value in (("title", title), ("author", "Nana Kadidia")):
    parts.append(f'Content-Disposition: form-data; name="{name}"\\r\\n\\r\\n{value}'.encode())
file = f'Content-Disposition: form-data; name="scan"; filename="{title}.pdf"\\r\\n\\r\\n'
parts.append(file.encode() + content)
body = b"".join(b"--" + between + b"\\r\\n" + part + b"\\r\\n" for part in parts)
kind = {"Content-Type": "multipart/form-data; boundary=" + between.decode()}
body += b"--" + between + b"--\\r\\n"
asked = urllib.request.Request("http://127.0.0.1:8000/documents", body, kind)
print(urllib.request.urlopen(asked).read().decode())
"""


def upload(title: str, content: str) -> str:
    """Put a document in, as a browser does; the path of its file."""
    ran = on("web1", "python3", "-c", _UPLOAD, title, content)
    assert ran.returncode == 0, ran.stderr
    return f"/srv/bolibana/media/scans/{title}.pdf"


def health() -> dict[str, Any]:
    """What it answers; {} when it does not."""
    ran = on("web1", "python3", "-c", _HEALTH)
    return dict(json.loads(ran.stdout)) if ran.returncode == 0 else {}


def answers(documents: int) -> bool:
    return bool(wait_for(lambda: health().get("documents") == documents, 20))


def rows(web1: Host) -> str:
    """Every row of its tables, hashed."""
    tables = ("archive_document", "archive_author", "auth_user", "auth_group", "auth_user_groups")
    asked = " ".join(f"-c 'COPY (SELECT * FROM {one} ORDER BY id) TO STDOUT'" for one in tables)
    return str(web1.check_output(f"{_PSQL} {asked} | sha256sum"))


def media(web1: Host) -> str:
    """Every file that was uploaded: mode, owner, name, hash."""
    return str(
        web1.check_output(
            "cd /srv/bolibana/media && find . -printf '%m %u %g %p\\n' | sort; "
            "find . -type f -exec sha256sum {} + | sort -k2"
        )
    )


def lose_rows(web1: Host, keep: int) -> None:
    web1.check_output(f"{_PSQL} -c 'DELETE FROM archive_document WHERE id > {keep}'")


def instant(web1: Host) -> str:
    return str(web1.check_output("sleep 1.1; date '+%Y-%m-%d %H:%M:%S'"))


def units_since(web1: Host, begun: str) -> list[str]:
    """What systemd did with its two units, in order."""
    shown = web1.check_output(f"journalctl --no-pager -o json _PID=1 --since '{begun}'")
    kinds = {"Stopping": "stop", "Started": "start"}
    return [
        f"{kinds[word]} {one['UNIT']}"
        for one in map(json.loads, shown.splitlines())
        for word in [str(one.get("MESSAGE", "")).split(" ")[0]]
        if one.get("UNIT") in UNITS and word in kinds
    ]
