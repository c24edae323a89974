"""Fill the stores that have no client language of their own."""

import os
import sqlite3
from pathlib import Path

WEB = 33  # www-data on every Debian


def fill(server, keys):
    for number in range(keys):
        server.ask("SET", f"key:{number}", f"value {number}")
    server.ask("SET", b"odd\x00\xff", b"\x00\r\n\xfe")
    server.ask("SET", "session", "until", "EX", 100000)
    server.ask("RPUSH", "list", "one", "two")
    server.ask("HSET", "hash", "field", "grün 🚀")
    server.ask("ZADD", "ranked", "1.5", "one")
    server.ask("XADD", "stream", "1-1", "field", "value")
    server.ask("SELECT", 5)
    server.ask("SET", "elsewhere", "5")


fill(Redis("cache-secret-of-the-lab"), 5000)  # noqa: F821 (resp.py comes before)
if VALKEY:  # noqa: F821
    fill(Redis("visits-secret-of-the-lab", 6380), 3000)  # noqa: F821

notes = Path("/srv/notes/kept")
for number in range(20):
    (notes / f"note {number}").write_text(f"remember {number}: ünïcode")

extra = Path("/srv/extra")
extra.mkdir()
for number in range(20):
    (extra / f"extra {number:02}").touch()

uploads = Path("/srv/shop/uploads/2026")
uploads.mkdir(parents=True)
for number in range(50):
    (uploads / f"photo {number:02}.jpg").write_bytes(os.urandom(2000 + number))
os.symlink("photo 01.jpg", uploads / "latest")
for path in (uploads.parent, uploads, *uploads.iterdir()):
    os.chown(path, WEB, WEB, follow_symlinks=False)

database = sqlite3.connect("/srv/shop/settings.db")
with database:
    database.execute("CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB)")
    database.executemany(
        "INSERT INTO settings VALUES (?, ?)", [(f"k{n}", os.urandom(n)) for n in range(100)]
    )
database.close()
