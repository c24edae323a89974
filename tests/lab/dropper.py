# SPDX-License-Identifier: GPL-3.0-or-later
"""A way to a server that breaks once, after so many bytes of a transfer, over all of its connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Dropper:
    """Listens on loopback and hands on to `port`. `after`: bytes `to` the server, or `from` it.

    With `for_good` nobody gets through any more then; else new connections hold.
    """

    def __init__(self, port: int, direction: str, after: int, for_good: bool = False) -> None:
        self._there = port
        self._counted, self._left, self._for_good = direction, after, for_good
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.drops = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Dropper:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._drop()

    def _accept(self) -> None:
        while True:
            try:
                here, _address = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._there))
            with self._lock:
                if self._for_good and self.drops:
                    here.close()
                    there.close()
                    continue
                self._open |= {here, there}
            for source, sink, direction in ((here, there, "to"), (there, here, "from")):
                given = (source, sink, direction == self._counted)
                threading.Thread(target=self._pass, args=given, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 14):
                if counts and self._due(len(block)):
                    self._drop()
                    return
                sink.sendall(block)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _due(self, size: int) -> bool:
        with self._lock:
            before, self._left = self._left, self._left - size
            due = before > 0 >= self._left
            self.drops += due
            return due

    def _drop(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
