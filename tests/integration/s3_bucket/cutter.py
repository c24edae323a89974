# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a server that breaks after so many bytes of answers, a given number of times."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Cutter:
    """Listens on loopback and hands on to `port`. `cuts`: bytes after which each new connection breaks,
    in order; connections after those hold. `when_cut` is called at each cut."""

    def __init__(
        self, port: int, cuts: list[int], when_cut: Callable[[], None] = lambda: None
    ) -> None:
        self._port, self._cuts, self._when_cut = port, cuts, when_cut
        self.made_cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _address = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pass, args=(here, there), daemon=True).start()
            threading.Thread(target=self._answer, args=(there, here), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 16):
                sink.sendall(block)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _answer(self, source: socket.socket, sink: socket.socket) -> None:
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
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
