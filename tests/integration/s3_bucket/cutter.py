# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a server that breaks after so many bytes of answers, a given number of times."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from tests.lab.relay import Relay, ended


class Cutter(Relay):
    """`cuts`: bytes after which each new connection breaks, in order; connections after those hold.
    `when_cut` is called at each cut."""

    def __init__(
        self, port: int, cuts: list[int], when_cut: Callable[[], None] = lambda: None
    ) -> None:
        self._cuts, self._when_cut = cuts, when_cut
        self.made_cuts = 0
        super().__init__(port)
        self.endpoint = "http://127.0.0.1:%d" % self.port

    def forth(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 16):
                sink.sendall(block)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def answer(self, source: socket.socket, sink: socket.socket) -> None:
        """Large answers are cut; small ones, of listings, are not counted."""
        done = 0
        with suppress(OSError):
            while block := source.recv(1 << 16):
                done += len(block)
                if self._cuts and done > self._cuts[0]:
                    self._cuts.pop(0)
                    self.made_cuts += 1
                    self._when_cut()
                    break
                sink.sendall(block)
        ended(source, sink)
