"""Print, as JSON, all of the wiki that a restore has to bring back, as its containers see it."""

import json
import subprocess
import sys
from pathlib import Path

database = sys.argv[1]


def lines(*argv):
    told = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")
    return told.stdout.decode().splitlines() if not told.returncode else []


how = "--no-defaults --socket=/run/mysqld/mysqld.sock -uroot --skip-comments --skip-extended-insert"
dump = lines("podman", "exec", "bookstack-db", "mariadb-dump", *how.split(), database)
look = "cd /uploads && find . -printf '%p %U:%G %m %l %s\\n' | sort && find . -type f | sort | xargs -r sha256sum"
key = Path.home() / "bookstack/secrets/app.key"
found = {
    "rows": [one for one in dump if one.startswith(("INSERT", "CREATE", "  "))],
    "uploads": lines("podman", "exec", "bookstack", "sh", "-c", look),
    "key": [key.read_text(), f"{key.stat().st_mode:o}"] if key.exists() else [],
}
json.dump(found, sys.stdout)
