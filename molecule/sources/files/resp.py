"""Speak with the Redis and the Valkey server of this host, for those who fill them and those who look at them."""

import os
import socket

VALKEY = os.path.exists("/usr/bin/valkey-server")  # Debian 12 has none


class Redis:
    def __init__(self, password, port=6379):
        self._lines = socket.create_connection(("127.0.0.1", port)).makefile("rwb")
        self.ask("AUTH", password)

    def ask(self, *words):
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._lines.write(b"*%d\r\n" % len(encoded))
        for word in encoded:
            self._lines.write(b"$%d\r\n%s\r\n" % (len(word), word))
        self._lines.flush()
        return self._answer()

    def _answer(self):
        line = self._lines.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self._lines.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _one in range(int(rest))]
        return rest
