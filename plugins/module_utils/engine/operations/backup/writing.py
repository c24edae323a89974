# SPDX-License-Identifier: GPL-3.0-or-later
"""Say at a destination, twice a day, that a copy is still on its way there: whoever sweeps leaves it alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from ...errors import LifeboatError
from ...naming import mark_key
from ...ports import Destination
from ...stored import Mark

log = logging.getLogger(__name__)

EVERY = timedelta(hours=12)  # a quarter of what makes an orphan; most runs never say it


@contextmanager
def writing(
    destination: Destination, where: tuple[str, str, str], clock: Callable[[], datetime]
) -> Iterator[None]:
    """Within it a mark `writing` goes beside `where` (host, job, id) every EVERY, from a thread of its own."""
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(EVERY.total_seconds()):
            try:
                destination.put(mark_key(*where, Mark("writing", clock())), b"")
            except LifeboatError as exc:  # the copy itself tells what is wrong there
                log.info("destination=%s still writing, and could not say so: %s", where, exc)

    teller = threading.Thread(target=say, daemon=True, name=f"{destination.name} writing")
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
