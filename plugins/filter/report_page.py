# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: one page for the fleet, of what every host told."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
short_description: The monthly report of a fleet, as one HTML page
version_added: 0.1.0
description:
  - Makes the page that C(lifeboat report --html) makes, for several hosts. It holds no script and fetches nothing.
  - A host whose result has no C(report) is named with the reason.
author: The lifeboat maintainers (@lifeboat-backup)
options:
  _input:
    description: What M(lifeboat.backup.report_info) returned, by the name of the host.
    type: dict
    required: true
seealso:
  - module: lifeboat.backup.report_info
"""

EXAMPLES = r"""
- name: Write the page of one host
  ansible.builtin.copy:
    content: "{{ {inventory_hostname: november} | lifeboat.backup.report_page }}"
    dest: november.html
    mode: "0640"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.engine.operations.reports.evidence import VERSION
from ..module_utils.engine.operations.reports.html import page


class FilterModule:
    """What Ansible asks for the filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_page": report_page}


def report_page(results: Mapping[str, Any]) -> str:
    """The page of {host: result of report_info}."""
    if not isinstance(results, Mapping):
        raise AnsibleFilterError("report_page wants {host: what report_info returned}")
    told, silent = [], {}
    for host, result in results.items():
        found = result.get("report") if isinstance(result, Mapping) else None
        if not found:
            why = result.get("msg") if isinstance(result, Mapping) else None
            silent[str(host)] = str(why or "it is not configured yet")
        elif found.get("version") != VERSION:
            silent[str(host)] = f"its report has version {found.get('version')}: run site.yml there"
        else:
            told.append(found)
    return page(told, silent)
