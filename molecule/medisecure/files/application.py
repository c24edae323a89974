"""The application: says how many patients there are; 503 when it cannot, or when there are none."""

import http.server
import subprocess

ASK = ["psql", "-XqAtd", "medisecure", "-c", "SELECT count(name) FROM patient"]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ran = subprocess.run(ASK, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.send_response(503 if ran.returncode or ran.stdout.strip() in (b"", b"0") else 200)
        self.end_headers()
        self.wfile.write(ran.stdout)

    def log_message(self, *words):
        pass


http.server.HTTPServer(("127.0.0.1", 8000), Answer).serve_forever()
