# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse a restore that would exchange a directory with backups in it, or with what ends the restore itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ...model import SourceRecord, Target


def sparing(
    targets: Iterable[tuple[SourceRecord, Target]], ours: Mapping[str, str]
) -> Iterator[tuple[SourceRecord, Target]]:
    """The same; refused where `ours`, {path: what it is}, lies in what would go away as a whole.

    By where paths lead, not by how they are written: the way to a destination may have links in it.
    """
    for record, target in targets:
        told = [
            f"{what} ({path}) lies in {folder}, and would go away with it: restore what else is there "
            "with --path, put files back one by one with --merge, or restore beside with --into"
            for folder in target.exchanges
            for path, what in sorted(ours.items())
            if _inside(os.path.realpath(path), os.path.realpath(folder))
        ]
        yield record, replace(target, refusals=(*target.refusals, *told)) if told else target


def _inside(path: str, folder: str) -> bool:
    return os.path.exists(path) and os.path.commonpath((path, folder)) == folder
