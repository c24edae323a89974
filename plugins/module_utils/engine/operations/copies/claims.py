# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what has been proved of copies: three claims, each with the instant of its newest proof. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Optional

from ...stored import Copy
from ...units import iso

# claim -> the marks that prove it; a stronger proof proves the weaker claims too
_PROOFS = {
    "intact": ("intact", "readable", "drilled"),  # the bytes are those that were sent
    "readable": ("readable", "drilled"),  # they decrypt and read to their end as their format
    "restorable": ("drilled",),  # a drill restored them, and they were what they should be
}
CLAIMS = tuple(_PROOFS)
Proof = Optional[Mapping[str, str]]  # {"id", "at"}


def proved(copy: Copy) -> dict[str, datetime]:
    """{claim: when it was last proved of this copy}; empty when its bytes were found bad since."""
    newest = copy.latest("intact", "drilled", "bad")
    if not copy.committed or (newest is not None and newest.kind == "bad"):
        return {}
    found = {claim: copy.latest(*marks) for claim, marks in _PROOFS.items()}
    if copy.unreadable:
        found = {"intact": found["intact"]}
    return {claim: mark.at for claim, mark in found.items() if mark is not None}


def claims(copies: Sequence[Copy]) -> dict[str, Proof]:
    """{claim: {"id", "at"} of its newest proof among these copies, or None}."""
    told: dict[str, Proof] = {}
    for claim in CLAIMS:
        proofs = [(proved(copy)[claim], copy.id) for copy in copies if claim in proved(copy)]
        at, id_ = max(proofs, default=(None, ""))
        told[claim] = {"id": id_, "at": iso(at)} if at is not None else None
    return told
