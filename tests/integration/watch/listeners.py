# SPDX-License-Identifier: GPL-3.0-or-later
"""Real listeners on loopback: a mail server, and an HTTPS server with a lab CA that stands for the services.

The names of Slack, Discord and Telegram lead here: `names(…)` is code for the process that sends.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

SERVICES = ("hooks.slack.com", "discord.com", "api.telegram.org", "hook.lab")


@dataclass
class Heard:
    """What arrived, in its order."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)  # (host, path, body)
    mails: list[str] = field(default_factory=list)
    status: int = 200  # what is answered


def authority(folder: Path) -> Path:
    """A lab CA and a certificate for all the names: ca.pem, server.pem, server.key."""
    names = ",".join(f"DNS:{one}" for one in (*SERVICES, "localhost"))
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    ca = ("-nodes", "-days", "2", "-subj", "/CN=lab", "-keyout", "ca.key", "-out", "ca.pem")
    _run(folder, *make, *ca, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    key = ("-nodes", "-days", "2", "-subj", "/CN=server", "-addext", f"subjectAltName={names}")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem")
    _run(folder, *make, *key, "-addext", "basicConstraints=critical,CA:FALSE", *signed)
    return folder / "ca.pem"


def _run(folder: Path, *argv: str) -> None:
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)


def names(port: int) -> str:
    """Python code after which the services' names lead to the listener."""
    return f"""
import socket
_asked = socket.getaddrinfo
def _here(host, port, *rest, **more):
    if host in {SERVICES!r}:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", {port}))]
    return _asked(host, port, *rest, **more)
socket.getaddrinfo = _here
"""


@contextmanager
def https(folder: Path, heard: Heard) -> Iterator[int]:
    """The port of an HTTPS server that writes down what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            heard.requests.append((self.headers["Host"].split(":")[0], self.path, body))
            answer = b"ok" if "slack" in self.headers["Host"] else b"{}"  # as they do
            self.send_response(heard.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *_words: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mail(heard: Heard, refuses: bool = False) -> Iterator[int]:
    """The port of a mail server; one that `refuses` takes no recipient."""

    class Handler:
        async def handle_RCPT(self, _s: Any, _n: Any, envelope: Any, to: str, _o: Any) -> str:
            if refuses:
                return "550 no such mailbox here"
            envelope.rcpt_tos.append(to)
            return "250 OK"

        async def handle_DATA(self, _s: Any, _n: Any, envelope: Any) -> str:
            heard.mails.append(envelope.content.decode())
            return "250 OK"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
