"""Files of an application's user, and an SQLite database of its settings."""

import os
import pathlib
import shutil
import sqlite3

shop = pathlib.Path("/srv/shop")
for number in range(60):
    path = shop / "uploads" / f"{number % 7}" / f"invoice {number}, ü.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(3000 + number))
    shutil.chown(path, "www-data", "www-data")
(shop / "settings").mkdir(mode=0o750)
shutil.chown(shop / "settings", "www-data", "www-data")
with sqlite3.connect(shop / "settings" / "settings.db") as settings:
    settings.execute("create table setting (name text primary key, value text)")
    settings.executemany(
        "insert into setting values (?, ?)", [(f"n{n}", f"v{n}") for n in range(900)]
    )
shutil.chown(shop / "settings" / "settings.db", "www-data", "www-data")
