"""Fill /srv with what a restore of files could lose: owners, modes, links, holes, odd names."""

import os
import sqlite3
from pathlib import Path

WEB = 33  # www-data on every Debian

uploads = Path("/srv/shop/uploads")
settings = Path("/srv/shop/settings")
for folder in (uploads / "2025" / "deep", uploads / "2026", uploads / "empty", settings):
    folder.mkdir(parents=True)
for number in range(300):
    path = uploads / "2025" / f"photo {number:03}.jpg"
    path.write_bytes(os.urandom(1000 + number * 37))
    path.chmod(0o600 if number % 2 else 0o644)
(uploads / "2026" / "line\nbreak, ünïcode, 'quotes' and -dash").write_text("odd")
(uploads / "2026" / "-rf").write_text("like an option")
os.symlink("../2025/photo 001.jpg", uploads / "2026" / "latest")
os.symlink("/nowhere", uploads / "2026" / "dangling")
os.link(uploads / "2025" / "photo 002.jpg", uploads / "2026" / "same file")
with open(uploads / "2026" / "holes.img", "wb") as holes:
    holes.seek(5_000_000)
    holes.write(b"end")
(uploads / "2026" / "left out.tmp").write_text("excluded")
for path in (uploads, *uploads.rglob("*")):
    os.chown(path, WEB, WEB, follow_symlinks=False)
    os.utime(path, ns=(10**18, 1_700_000_000_123_456_789), follow_symlinks=False)
(uploads / "empty").chmod(0o2770)

with sqlite3.connect(settings / "settings.db") as database:
    database.execute("CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    database.execute("CREATE TABLE log (at REAL, what TEXT)")
    database.executemany(
        "INSERT INTO settings VALUES (?, ?)", [(f"k{i}", os.urandom(i)) for i in range(200)]
    )
    database.executemany("INSERT INTO log VALUES (?, ?)", [(i / 7, f"é {i}") for i in range(5000)])
database.close()
for path in (settings, settings / "settings.db"):
    os.chown(path, WEB, WEB)
    path.chmod(0o750 if path.is_dir() else 0o640)

sessions = Path("/srv/sessions")  # as a web application leaves it: its own, and in WAL mode
sessions.mkdir()
with sqlite3.connect(sessions / "app.db") as database:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE sessions (id INTEGER PRIMARY KEY, token TEXT)")
    database.executemany(
        "INSERT INTO sessions (token) VALUES (?)", [(f"t{i}",) for i in range(700)]
    )
database.close()
for path in (sessions, sessions / "app.db"):
    os.chown(path, WEB, WEB)
    path.chmod(0o700 if path.is_dir() else 0o640)

bulk = Path("/srv/bulk")
bulk.mkdir()
(bulk / "dump").write_text("""#!/usr/bin/python3
# 24 MiB that nothing makes smaller; then it waits while there is a file `wait` beside it.
import os, sys, time
for _mebibyte in range(24):
    sys.stdout.buffer.write(os.urandom(1 << 20))
sys.stdout.buffer.flush()
for _tenth in range(600):
    if not os.path.exists("/srv/bulk/wait"):
        break
    time.sleep(0.1)
""")
(bulk / "dump").chmod(0o755)
