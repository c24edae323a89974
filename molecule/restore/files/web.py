#!/usr/bin/env python3
"""A small shop: `fill ROWS` makes its database anew, `serve` answers with the number of books, 503 without any."""

import http.server
import sqlite3
import sys

DATABASE = "/srv/shop/data/app.db"


def fill(rows):
    with sqlite3.connect(DATABASE) as books:
        books.execute("create table if not exists book (id integer primary key, title text)")
        books.execute("delete from book")
        books.executemany(
            "insert into book (title) values (?)", [(f"title {n}",) for n in range(rows)]
        )


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        (rows,) = books.execute("select count(*) from book").fetchone()
        self.send_response(200 if rows else 503)
        self.end_headers()
        self.wfile.write(f"{rows}\n".encode())

    def log_message(self, *words):
        pass


if sys.argv[1] == "fill":
    fill(int(sys.argv[2]))
else:
    books = sqlite3.connect(DATABASE, check_same_thread=False)
    books.execute("select count(*) from book")
    http.server.HTTPServer(("127.0.0.1", 8000), Answer).serve_forever()
