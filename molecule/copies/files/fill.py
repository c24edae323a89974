"""Make a shop: a database and a few hundred files."""

import os
import pathlib
import sqlite3

home = pathlib.Path("/srv/shop")
(home / "uploads").mkdir(parents=True, exist_ok=True)
for number in range(200):
    (home / "uploads" / f"{number:03}.bin").write_bytes(os.urandom(2000 + number))
database = sqlite3.connect(home / "shop.db")
database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, of TEXT)")
database.executemany(
    "INSERT INTO orders (of) VALUES (?)", [(f"customer {n}",) for n in range(3000)]
)
database.commit()
