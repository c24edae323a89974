# SPDX-License-Identifier: GPL-3.0-or-later
"""A way to a server that breaks once, after so many bytes of a transfer, over all of its connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.lab.relay import Relay, ended


class Dropper(Relay):
    """`after`: bytes `to` the server, or `from` it. With `for_good` nobody gets through any more then; else
    new connections hold."""

    def __init__(self, port: int, direction: str, after: int, for_good: bool = False) -> None:
        self._counted, self._left, self._for_good = direction, after, for_good
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.drops = 0
        super().__init__(port)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._drop()

    def joined(self, here: socket.socket, there: socket.socket) -> bool:
        with self._lock:
            if self._for_good and self.drops:
                return False
            self._open |= {here, there}
            return True

    def forth(self, source: socket.socket, sink: socket.socket) -> None:
        self._pass(source, sink, self._counted == "to")

    def answer(self, source: socket.socket, sink: socket.socket) -> None:
        self._pass(source, sink, self._counted == "from")

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
        ended(*ends)
