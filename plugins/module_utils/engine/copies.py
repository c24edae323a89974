# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge where copies lie: three with the live data, two media, one off-site. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from .stored import Place

HERE = "here"  # the domain of whatever is lost with this host
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def copies_findings(job: str, live: Place, placed: Mapping[str, Place]) -> list[str]:
    """What is missing from 3-2-1, in sentences; [] = it holds. `placed`: {destination: its place}."""
    findings = []
    count = 1 + len(placed)
    if count < 3:
        findings.append(
            f"job {job} has {count} copies with the live data, 3 are wanted: add a destination"
        )
    media = {live.medium, *(place.medium for place in placed.values())}
    if len(media) < 2:
        findings.append(f"all copies of job {job} lie on one medium ({live.medium}), 2 are wanted")
    if all(place.domain == live.domain for place in placed.values()):
        findings.append(f"no copy of job {job} is off-site: what takes this host takes them all")
    for name, place in placed.items():
        twins = [other for other in placed if other > name and placed[other] == place]
        findings += [
            f"{name} and {other} of job {job} are one place ({place.medium}, {place.domain}): "
            "what takes one takes both"
            for other in twins
        ]
    return findings


def domain_of(host: str) -> str:
    """The domain of a host's name or of a URL; HERE for this host by its loopback names."""
    name = (urlsplit(host).hostname if "://" in host else host) or host
    return HERE if name in _LOOPBACK or name.startswith("127.") else name
