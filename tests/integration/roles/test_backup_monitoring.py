"""The alert rules and the dashboard come where somebody asks for them, and in user scope nothing else does."""

from __future__ import annotations

from tests.integration.roles.inventory import ROOT, Site

FILES = ROOT / "roles/backup_monitoring/files"


def test_rules_and_dashboard_are_brought_where_they_are_read(site: Site) -> None:
    rules, dashboard = site.folder / "lifeboat.yml", site.folder / "lifeboat.json"
    asked = {
        "backup_monitoring_rules_path": str(rules),
        "backup_monitoring_dashboard_path": str(dashboard),
        "backup_monitoring_node_exporter": True,  # only an administrator's lifeboat installs it
    }
    ran = site.run(["backup_monitoring"], **asked)
    assert ran.status == 0, ran.output
    assert " changed=2 " in ran.output
    assert rules.read_bytes() == (FILES / "alerts.yml").read_bytes()
    assert dashboard.read_bytes() == (FILES / "dashboard.json").read_bytes()
    assert site.run(["backup_monitoring"], **asked).unchanged
