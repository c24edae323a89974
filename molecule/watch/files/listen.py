"""A mail server and an HTTPS server that stand for the services; what arrives goes to /srv/heard.jsonl."""

import email
import email.policy
import json
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def heard(kind, where, body):
    with open("/srv/heard.jsonl", "a") as out:
        out.write(json.dumps([kind, where, body]) + "\n")


def read(message):
    """The subject and the text, without the encodings of mail."""
    mail = email.message_from_string(message, policy=email.policy.default)
    return f"{mail['Subject']}\n{mail.get_body().get_content()}"


class Mail(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs that sends one message after the other."""

    def handle(self):
        self.say(220)
        to = []
        while line := self.rfile.readline().decode():
            verb = line[:4].upper()
            if verb == "RCPT":
                to.append(line.split("<")[1].split(">")[0])
            if verb == "DATA":
                self.say(354)
                heard("mail", ",".join(to), read("".join(self.lines())))
            self.say(221 if verb == "QUIT" else 250)

    def lines(self):
        while (line := self.rfile.readline().decode()).strip() != "." and line:
            yield line

    def say(self, code):
        self.wfile.write(b"%d lab\r\n" % code)


class Web(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        heard(self.headers["Host"], self.path, body)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST


mail = socketserver.ThreadingTCPServer(("0.0.0.0", 25), Mail)
threading.Thread(target=mail.serve_forever, daemon=True).start()
server = ThreadingHTTPServer(("0.0.0.0", 443), Web)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/server.pem", "/srv/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
