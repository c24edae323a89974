# SPDX-License-Identifier: GPL-3.0-or-later
"""A way to a server on loopback, for those who break it: hands on every connection, with a thread each way."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TypeVar

Each = TypeVar("Each", bound="Relay")


class Relay:
    """Listens on loopback, at `port`, and hands on to the port `there`."""

    def __init__(self, there: int) -> None:
        self._there = there
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self: Each) -> Each:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def joined(self, here: socket.socket, there: socket.socket) -> bool:
        """Whether a new connection, of a client and to the server, may go on."""
        return True

    def forth(self, source: socket.socket, sink: socket.socket) -> None:
        """What the client says; the sockets are this method's to end."""
        raise NotImplementedError

    def answer(self, source: socket.socket, sink: socket.socket) -> None:
        """What the server says."""
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                here, _address = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._there))
            if not self.joined(here, there):
                here.close()
                there.close()
                continue
            threading.Thread(target=self.forth, args=(here, there), daemon=True).start()
            threading.Thread(target=self.answer, args=(there, here), daemon=True).start()


def ended(*ends: socket.socket) -> None:
    """Both ways, at once."""
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
