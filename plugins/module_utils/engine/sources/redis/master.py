# SPDX-License-Identifier: GPL-3.0-or-later
"""Be the master that a server copies its data from: hand one RDB file over by the replication protocol.

A server that is told REPLICAOF comes here, proves the password, asks PSYNC, and is given the file. It
loads the whole of it or nothing, and rewrites its AOF itself. One file, one server, then we are gone.
"""

from __future__ import annotations

import ctypes
import errno
import hmac
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import BinaryIO

from ...errors import SourceError

_STEP_S = 0.2
_HANDSHAKE_S = 10.0  # a stranger may not hold us for longer
_SILENT_S = 5.0
_SEND_S = 120.0  # without a byte taken
_CLONE_NEWNET = 0x40000000
_PRIVILEGED = range(600, 1024)  # where nobody but root can listen once we have gone
_TRIES = 50
_MOST_WORDS, _LONGEST_WORD = 32, 4096


class Master:
    """Listens at `address` on a port of its own until it is closed.

    `network`: the file of the network namespace whose address that is, of a container; "" = this host's.
    """

    def __init__(self, address: str, password: str, network: str = "") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._listening = _listening(address, family, network)
        except OSError as exc:
            where = "in the container's network" if network else "of this host"
            raise SourceError(
                f"nothing can listen at {address} {where}: {exc.strerror or exc}",
                hint="restore as root, or set `restore_address` to an address of this host that the"
                " server can reach",
            ) from exc
        self._listening.settimeout(_STEP_S)
        self.password = password
        self._replica: socket.socket | None = None
        self._spoken = time.monotonic()
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Master:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listening.close()
        if self._replica is not None:
            self._replica.close()

    def hand_over(self, size_bytes: int, blocks: Iterable[bytes], patience_s: float) -> None:
        """Wait for the server, give it the file. Raises SourceError when it does not come or breaks off."""
        until = time.monotonic() + patience_s
        while self._replica is None:
            if time.monotonic() > until:
                raise SourceError(
                    "the server did not come to fetch the data within %d seconds" % patience_s,
                    hint="it must reach `restore_address` of this host: see the server's log",
                )
            try:
                connection, _peer = self._listening.accept()
            except socket.timeout:
                continue
            if self._admitted(connection):
                self._replica = connection
            else:
                connection.close()
        self._send(size_bytes, blocks)

    def keep_alive(self) -> None:
        """A replica gives a silent master up after a minute; it does not listen while it loads."""
        if time.monotonic() - self._spoken < _SILENT_S:
            return
        self._spoken = time.monotonic()
        try:
            if self._replica is not None:
                self._replica.sendall(b"*1\r\n$4\r\nPING\r\n")
        except OSError:
            pass  # whether it matters is asked of the server

    def _send(self, size_bytes: int, blocks: Iterable[bytes]) -> None:
        replica = self._replica
        if replica is None:
            raise SourceError("no server has come")
        replica.settimeout(_SEND_S)
        try:
            replica.sendall(b"+FULLRESYNC %s 0\r\n" % secrets.token_hex(20).encode())
            replica.sendall(b"$%d\r\n" % size_bytes)
            for block in blocks:
                replica.sendall(block)
        except OSError as exc:
            raise SourceError(
                f"the server broke off while it fetched the data: {exc.strerror or exc}",
                hint="see its log: most often its disk is full",
            ) from exc

    def _admitted(self, connection: socket.socket) -> bool:
        """Lead the handshake up to PSYNC; False for whoever is not our server."""
        connection.settimeout(_HANDSHAKE_S)
        known = False
        answers: dict[str, Callable[[list[bytes]], bytes]] = {
            "PING": lambda _words: b"+PONG" if known else b"-NOAUTH Authentication required.",
            "REPLCONF": lambda _words: b"+OK",
        }
        try:
            with connection.makefile("rb") as asking:
                for _turn in range(_MOST_WORDS):
                    words = _words(asking)
                    name = words[0].decode("ascii", "replace").upper() if words else ""
                    if name == "PSYNC" and known:
                        return True
                    if name == "AUTH" and _same(words[-1], self.password):
                        known = True
                        answer = b"+OK"
                    elif name in answers and (known or name == "PING"):
                        answer = answers[name](words)
                    else:
                        connection.sendall(b"-NOAUTH not for you\r\n")
                        return False
                    connection.sendall(answer + b"\r\n")
        except (OSError, ValueError):
            pass
        return False


def _listening(address: str, family: int, network: str) -> socket.socket:
    """A socket stays in the namespace it was made in; a thread may be in one of its own."""
    if not network:
        return _bound(address, family)
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def make() -> None:
        try:
            with open(network, "rb") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            made.append(_bound(address, family))
        except OSError as exc:
            failed.append(exc)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    for exc in failed:
        raise exc
    return made[0]


def _bound(address: str, family: int) -> socket.socket:
    """Where we may, at a port below 1024: after a kill the server goes on asking there, with its password."""
    for _try in range(_TRIES):
        try:
            port = secrets.choice(_PRIVILEGED)
            return socket.create_server((address, port), family=family)
        except PermissionError:
            break
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
    return socket.create_server((address, 0), family=family)


def _same(given: bytes, password: str) -> bool:
    return hmac.compare_digest(given, password.encode("utf-8", "surrogateescape"))


def _words(asking: BinaryIO) -> list[bytes]:
    """One command, as clients send them; ValueError for anything else."""
    count = _number(asking, b"*", _MOST_WORDS)
    words = []
    for _index in range(count):
        size = _number(asking, b"$", _LONGEST_WORD)
        words.append(asking.read(size))
        asking.read(2)
    return words


def _number(asking: BinaryIO, sign: bytes, most: int) -> int:
    line = asking.readline(32)
    if not line.startswith(sign) or not 0 <= int(line[1:]) <= most:
        raise ValueError("not a command")
    return int(line[1:])
