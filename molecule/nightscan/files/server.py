"""The application: says what it finds in its database, its queue and its data."""

import http.server
import json
import pathlib
import subprocess

DATA = pathlib.Path("/srv/nightscan/data")


def ask(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, cwd="/").stdout.decode().strip()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            found = {
                "scans": int(ask("psql", "-XAtd", "nightscan", "-c", "SELECT count(*) FROM scan")),
                "queued": int(ask("redis-cli", "DBSIZE")),
                "reports": sum(1 for path in DATA.rglob("*") if path.is_file()),
            }
            status = 200 if found["scans"] else 503
        except (OSError, ValueError, subprocess.CalledProcessError):
            found, status = {}, 503
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Answer).serve_forever()
