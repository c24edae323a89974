"""A first backup is proved at every destination of a job, also at one that was added later."""

from __future__ import annotations

from pathlib import Path

from tests.integration.roles.inventory import Site, job

BOTH = ["backup_agent", "backup_schedule"]


def test_a_destination_that_is_added_later_gets_a_backup(site: Site) -> None:
    (site.folder / "etc" / "motd").write_text("hello\n")
    ran = site.run(BOTH)
    assert ran.status == 0, ran.output
    assert len(manifests(site.folder / "disk")) == 1

    site.variables["lifeboat_destinations"]["usb"] = {
        "type": "local",
        "path": str(site.folder / "usb"),
    }
    site.variables["lifeboat_jobs"] = {"shop": job(site.folder, "disk", "usb")}
    ran = site.run(BOTH)
    assert ran.status == 0, ran.output
    assert len(manifests(site.folder / "usb")) == 1
    assert len(manifests(site.folder / "disk")) == 2


def manifests(disk: Path) -> list[str]:
    return [one.stem for one in disk.glob("catalog/here/shop/*.json")]
