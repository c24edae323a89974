# SPDX-License-Identifier: GPL-3.0-or-later
"""Extract an archive while it is judged: tar is given no byte that has not been, so it is decoded once."""

from __future__ import annotations

import subprocess
from collections import deque
from typing import IO, BinaryIO

from ...errors import ProcessError
from ...model import Command
from ...process import Started, widen, write_all
from .survey import survey

_END = bytes(1024)


def pour(stream: BinaryIO, tar: Command, top: str) -> None:
    """Run `tar` on what `survey` lets pass; raises VerifyError, ProcessError. What tar has written by
    then lies in a closed directory, and is the caller's to remove.
    """
    with Started(tar, subprocess.PIPE, subprocess.DEVNULL) as started:
        widen(started.process.stdin)
        gate = _Gate(stream, started.process.stdin)
        lost = False
        try:
            survey(gate, top, judged=gate.open)
            write_all(started.process.stdin, memoryview(_END))  # and nothing of what came after it
            started.process.stdin.close()
        except BrokenPipeError:
            lost = True
        started.process.wait()
        if lost and started.accepted:
            raise ProcessError(
                f"{tar.program} stopped reading before the end", detail=started.said()
            )
        started.raise_unless_accepted()


class _Gate:
    """Blocks on their way to a program, held back from where they have not been judged."""

    def __init__(self, stream: BinaryIO, sink: IO[bytes]) -> None:
        self._stream, self._sink = stream, sink
        self._held: deque[memoryview] = deque()
        self._written = self._until = 0
        self.size_bytes = 0  # so far

    def read(self, size: int, /) -> bytes:
        block = self._stream.read(size)
        self.size_bytes += len(block)
        self._held.append(memoryview(block))
        self._pass()
        return block

    def open(self, until: int) -> None:
        """Let everything before this place go on."""
        self._until = until
        if len(self._held) > 1 or until >= self.size_bytes:  # a block at a time is enough
            self._pass()

    def _pass(self) -> None:
        while self._held and self._written < self._until:
            block = self._held.popleft()
            fits = min(len(block), self._until - self._written)
            write_all(self._sink, block[:fits])
            self._written += fits
            if fits < len(block):
                self._held.appendleft(block[fits:])
