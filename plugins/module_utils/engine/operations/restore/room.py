# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out before anything is fetched whether what a restore makes beside has room where it will lie."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from ...disks import nearest_there, room
from ...model import Archive, SourceRecord, Target
from ...units import human_size


def with_room(
    targets: Iterable[tuple[SourceRecord, Target]], archives: Iterable[Archive]
) -> tuple[tuple[SourceRecord, Target], ...]:
    """The same; refused where a file system lacks room for what all of them together put there."""
    archives = list(archives)
    needed: dict[int, int] = {}  # by device
    checked = []
    for record, target in targets:
        told = list(target.refusals)
        for part, folder in target.folders.items():
            try:
                place = nearest_there(folder)
                device, free = os.stat(place).st_dev, room(place)
            except OSError:  # the source tells what is wrong with it
                continue
            of_part = (one for one in archives if (one.source, one.part) == (record.name, part))
            needed[device] = needed.get(device, 0) + sum(one.plain_bytes for one in of_part)
            if free is not None and needed[device] > free:
                told.append(
                    "there is no room in %s: %s are free, and %s are restored there;"
                    " make room, or bring it elsewhere (--into), or less of it (--only, --path)"
                    % (folder, human_size(free), human_size(needed[device]))
                )
        checked.append((record, replace(target, refusals=tuple(told))))
    return tuple(checked)
