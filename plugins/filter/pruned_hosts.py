# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what a pruner host needs to know of all the others."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pruned_hosts
short_description: What a pruner host prunes, from every host's variables
version_added: 0.1.0
description:
  - Collects the jobs of all hosts whose C(lifeboat_pruner) is this one, as far as retention needs them, with those
    of their destinations that they may only append to. Sources and the hosts' own credentials are left out.
author: The lifeboat maintainers (@lifeboat-backup)
positional: _pruner
options:
  _input:
    description: C(hostvars).
    type: dict
    required: true
  _pruner:
    description: The inventory name of the pruner host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what this host prunes
  ansible.builtin.debug:
    msg: "{{ hostvars | lifeboat.backup.pruned_hosts(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: >-
    C(environment), C(destinations), C(jobs) and, where it has any, C(signers) of each host, by the name that it
    stores under.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.variables import merged

# As in engine/configuring/pruner.py, PRUNED_JOB; a test compares them.
JOB_KEYS = ("destinations", "schedule", "schedules", "keep", "environment")
_CREDENTIAL = "pruner"  # the name that is taken where a destination names none


class FilterModule:
    """What Ansible asks for the filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pruned_hosts": pruned_hosts}


def pruned_hosts(hostvars: Mapping[str, Any], pruner: str) -> dict[str, Any]:
    """{name a host stores under: {"environment", "destinations", "jobs"}} of the hosts that `pruner` prunes."""
    found: dict[str, Any] = {}
    named: dict[str, str] = {}
    for inventory_name in sorted(hostvars):
        host = hostvars[inventory_name]
        if host.get("lifeboat_pruner") != pruner:
            continue
        name = str(host.get("lifeboat_host", inventory_name))
        if name in named:
            raise AnsibleFilterError(
                f"{named[name]} and {inventory_name} both store their backups as {name}: one would prune "
                "the other's. Give one of them another lifeboat_host"
            )
        named[name] = inventory_name
        its = _one(host)
        if its["jobs"]:
            found[name] = its
    return found


def _one(host: Mapping[str, Any]) -> dict[str, Any]:
    offered = merged(host, "destinations")
    places = {
        name: _as_pruner(body)
        for name, body in offered.items()
        if _append_only(body) and body.get("pruner") is not False  # it prunes itself
    }
    jobs = {}
    for name, body in merged(host, "jobs").items():
        kept = {key: body[key] for key in JOB_KEYS if key in body}
        kept["destinations"] = [one for one in body.get("destinations", []) if one in places]
        if kept["destinations"]:
            jobs[name] = {key: _plain(value) for key, value in kept.items()}
    used = {one for body in jobs.values() for one in body["destinations"]}
    signers = [str(one) for one in host.get("lifeboat_signers") or ()]
    return {
        **({"signers": signers} if signers else {}),
        "environment": str(host.get("lifeboat_environment", "production")),
        "destinations": {name: body for name, body in places.items() if name in used},
        "jobs": jobs,
    }


def _append_only(body: Mapping[str, Any]) -> bool:
    """As engine/configuring/adapters.py has it where there is a pruner."""
    mode = body.get("mode")
    return bool(mode == "append_only" or (mode is None and body.get("type") == "s3"))


def _as_pruner(body: Mapping[str, Any]) -> dict[str, Any]:
    """The destination with the pruner's identity; what it says under `pruner` is laid over it."""
    instead = _plain(body.get("pruner") or {})
    made = {
        key: _plain(value) for key, value in body.items() if key not in ("pruner", "credential")
    }
    if "type" in instead:
        made = {key: made[key] for key in ("keep",) if key in made}
    else:
        made["credential"] = _CREDENTIAL
    made.update(instead)
    if not made.get("credential"):
        made.pop("credential", None)
    return made


def _plain(value: Any) -> Any:
    """A copy without Ansible's lazy containers."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
