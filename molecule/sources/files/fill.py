"""Fill the stores that have no client language of their own."""

import os
import sqlite3
from pathlib import Path

WEB = 33  # www-data on every Debian

cache = Redis("cache-secret-of-the-lab")  # noqa: F821 (resp.py comes before)
for number in range(5000):
    cache.ask("SET", f"key:{number}", f"value {number}")
cache.ask("SET", b"odd\x00\xff", b"\x00\r\n\xfe")
cache.ask("SET", "session", "until", "EX", 100000)
cache.ask("RPUSH", "list", "one", "two")
cache.ask("HSET", "hash", "field", "grün 🚀")
cache.ask("ZADD", "ranked", "1.5", "one")
cache.ask("XADD", "stream", "1-1", "field", "value")
cache.ask("SELECT", 5)
cache.ask("SET", "elsewhere", "5")

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
