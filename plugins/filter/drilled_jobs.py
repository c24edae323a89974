# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the jobs of a host as they are drilled there, and those that it drills for other hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drilled_jobs
short_description: The jobs of a host, with what it drills for others
version_added: 0.1.0
description:
  - Adds to the jobs of a drill host those of all hosts whose C(lifeboat_drill_host) it is, as far as a drill needs
    them. Secrets and schedules are left out, and so are destinations that the drill host does not have.
  - Takes C(drills) away from a host that another one drills for.
  - A job with an C(identity) in its C(drill) is drilled by its own host, and one with C(drills={}) by nobody.
author: The lifeboat maintainers (@lifeboat-backup)
positional: _hostvars, _host
options:
  _input:
    description: The jobs of the host itself.
    type: dict
    required: true
  _hostvars:
    description: C(hostvars).
    type: dict
    required: true
  _host:
    description: The inventory name of the host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what this host drills
  ansible.builtin.debug:
    msg: "{{ lifeboat_jobs | default({}) | lifeboat.backup.drilled_jobs(hostvars, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The jobs of the host by name, in the shape of C(lifeboat_jobs).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.variables import merged

_KEYS = ("sources", "objectives", "environment")  # what a drill needs of a job, besides `drill`
_CREDENTIAL = "drill_key"  # the name that is taken where a job names none
# Apart, so that a small host does not start the servers of all jobs at once.
_DRILLS = {"weekly": {"at": "Sun 05:00", "spread": "6h"}}


class FilterModule:
    """What Ansible asks for the filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drilled_jobs": drilled_jobs}


def drilled_jobs(jobs: Mapping[str, Any], hostvars: Mapping[str, Any], host: str) -> dict[str, Any]:
    """`jobs` of the inventory's `host` with how they are drilled there, and the jobs it drills for others."""
    made = {name: _plain(body) for name, body in jobs.items()}
    here = hostvars[host]
    if here.get("lifeboat_drill_host") != host:
        elsewhere = here.get("lifeboat_drill_host") or ""
        return {name: _left(body) if elsewhere else body for name, body in made.items()}
    origin = dict.fromkeys(made, host)  # job -> whose definition stands
    for name in filter(lambda one: _by_drill_host(made[one]), made):
        made[name] = _drilled(made[name], str(here.get("lifeboat_host", host)))
    reached = _reached(here)
    for other in sorted(hostvars):
        if other == host or hostvars[other].get("lifeboat_drill_host") != host:
            continue
        stored_as = str(hostvars[other].get("lifeboat_host", other))
        for name, body in merged(hostvars[other], "jobs").items():
            places = [str(one) for one in body.get("destinations") or [] if one in reached]
            if not places or not _by_drill_host(body):
                continue
            theirs = _as_drilled(hostvars[other], body, places, stored_as)
            if name not in made:
                made[name], origin[name] = theirs, other
                continue
            drilled = made[name].get("drill", {}).get("hosts", [])
            if stored_as in drilled:  # written by hand
                continue
            if not drilled or _essence(made[name]) != _essence(theirs):
                raise AnsibleFilterError(
                    f"job {name} is not the same on {other} as on {origin[name]}, and their drill host {host} can "
                    "have one job of that name only. Give one of them another name, or write `drills: {}` in "
                    f"that of {other}: then it is not drilled"
                )
            drilled.append(stored_as)
    return made


def _left(body: Any) -> Any:
    """A job of a host that another one drills for."""
    if not _by_drill_host(body):
        return body
    return {key: value for key, value in body.items() if key != "drills"}


def _by_drill_host(body: Any) -> bool:
    """Whether a drill host drills it: nobody said otherwise, and it is not to be left out."""
    if not isinstance(body, Mapping):
        return False
    drill = body.get("drill") or {}
    return not drill.get("identity") and not drill.get("hosts") and body.get("drills") != {}


def _drilled(body: Mapping[str, Any], stored_as: str) -> dict[str, Any]:
    drill = {"identity": {"credential": _CREDENTIAL}, **(body.get("drill") or {})}
    return {**body, "drill": {**drill, "hosts": [stored_as]}, "drills": body.get("drills", _DRILLS)}


def _as_drilled(
    host: Mapping[str, Any], body: Mapping[str, Any], places: list[str], stored_as: str
) -> dict[str, Any]:
    """The job of another host as its drill host has it: nothing of it is backed up there."""
    made = {key: _plain(body[key]) for key in _KEYS if key in body}
    made["sources"] = {name: _without_secrets(one) for name, one in made.get("sources", {}).items()}
    made.setdefault("environment", str(host.get("lifeboat_environment", "production")))
    made["destinations"] = places
    for key in ("drill", "drills"):
        if key in body:
            made[key] = _plain(body[key])
    return _drilled(made, stored_as)


def _without_secrets(source: Any) -> Any:
    """The throw-away server has none, and those of the live one are not for the drill host."""
    if not isinstance(source, Mapping):
        return source
    return {
        key: _without_secrets(value)  # `env` has some below
        for key, value in source.items()
        if not (isinstance(value, Mapping) and "credential" in value)
        and key not in ("credential", "restore_credential")
    }


def _reached(host: Mapping[str, Any]) -> set[str]:
    """The names of the drill host's own destinations, but for its disks: another host's are not there."""
    offered = merged(host, "destinations")
    return {name for name, body in offered.items() if body.get("type") != "local"}


def _essence(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """What has to be the same where one job stands for those of several hosts."""
    sources = {name: _without_secrets(one) for name, one in body.get("sources", {}).items()}
    drill = {key: value for key, value in body.get("drill", {}).items() if key != "hosts"}
    return sources, drill, body.get("drills")


def _plain(value: Any) -> Any:
    """A copy without Ansible's lazy containers."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
