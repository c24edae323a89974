# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold one connection to an SFTP server: made when it is needed, and made again when it was lost.

The library is asynchronous. Its loop has a thread of its own, so that keepalives are answered while
an upload waits for the dump.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Awaitable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, Callable

from .connect import connect, library
from .errors import REACH_HINT, Dropped, Unreachable, refusal, said
from .place import Place

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # before each further attempt to go on
Step = Callable[[Any], Awaitable[Any]]  # takes the library's SFTP client


class Session:
    """Ask it from any thread: `run` once; `again` for what may be done twice."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._sftp: Any = None
        self._connections: list[Any] = []  # jump hosts first
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: Any = None
        self._guard = threading.Lock()

    def run(self, step: Step, answers: int = 1) -> Any:
        """The result of `step(client)`. Raises Dropped, or the library's SFTPError for a refusal.

        answers: how many of the server's, each in its time, the step takes at most.
        """
        loop, timeout_s = self._started(), self.place.timeout_s * answers
        asked = asyncio.run_coroutine_threadsafe(self._run(step, timeout_s), loop)
        try:
            return asked.result()
        except CancelledError as exc:
            raise self._dropped("it was closed") from exc
        except BaseException:  # whoever asked is to stop
            asked.cancel()
            raise

    def again(self, step: Step, answers: int = 1) -> Any:
        """Like `run`; where the connection is lost on the way, it is made again, a few times."""
        for number, pause in enumerate(PAUSES_S):
            try:
                return self.run(step, answers)
            except Unreachable:
                if number == 0:
                    raise  # it was not lost on the way
            except Dropped:
                pass
            time.sleep(pause)
        return self.run(step, answers)

    def holds(self, client: Any) -> bool:
        """Whether this client's connection still stands, as far as is known."""
        return client is not None and self._sftp is client

    @contextmanager
    def faults(self, verb: str, what: str) -> Iterator[None]:
        """Turn a refusal of the server into a DestinationError that says who, what and why."""
        try:
            yield
        except library(self.place.destination).SFTPError as exc:
            raise refusal(self.place.told(verb, what), exc, self.place.server.user) from exc

    # -- inside, on the loop

    async def _run(self, step: Step, timeout_s: float) -> Any:
        asyncssh = library(self.place.destination)
        sftp = await self._connected()
        lost = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPBadMessage)
        try:
            return await asyncio.wait_for(step(sftp), timeout_s)
        except asyncio.TimeoutError as exc:
            self._forget(sftp)
            raise self._dropped(f"no answer in {timeout_s:g} seconds") from exc
        except (*lost, asyncssh.DisconnectError, OSError) as exc:
            self._forget(sftp)
            raise self._dropped(said(exc)) from exc

    async def _connected(self) -> Any:
        async with self._connecting:  # two threads may ask at once
            if self._sftp is None:
                try:
                    self._sftp = await connect(self.place, self._connections)
                except BaseException:
                    _abort(self._connections)
                    raise
            return self._sftp

    def _forget(self, sftp: Any) -> None:
        if self._sftp is sftp:
            self._sftp = None
            _abort(self._connections)

    def _dropped(self, why: str) -> Dropped:
        server, name = self.place.server, self.place.destination
        return Dropped(
            f"destination {name}: the connection to {server} was lost: {why}", hint=REACH_HINT
        )

    def _started(self) -> asyncio.AbstractEventLoop:
        library(self.place.destination)  # here, and not on the loop: it takes its time
        with self._guard:
            if self._loop is None:
                self._loop = loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_loop, args=(loop,), daemon=True, name=self.place.destination
                )
                thread.start()
                making = asyncio.run_coroutine_threadsafe(_lock(), loop)
                self._connecting = making.result()
                # when the last reference goes, or the program ends
                weakref.finalize(self, _stop, loop, thread, self._connections)
            return self._loop


async def _lock() -> asyncio.Lock:
    return asyncio.Lock()  # until Python 3.10 it belongs to the loop that it is made in


def _abort(connections: list[Any]) -> None:
    for one in reversed(connections):
        one.abort()
    connections.clear()


def _loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop(
    loop: asyncio.AbstractEventLoop, thread: threading.Thread, connections: list[Any]
) -> None:
    async def end() -> None:
        _abort(connections)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=1) if others else None
        loop.stop()

    asyncio.run_coroutine_threadsafe(end(), loop)
    if thread is not threading.current_thread():
        thread.join(2)
