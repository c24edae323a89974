"""A host that is lost is made anew by one playbook: refused until every backup is named, then whole."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.roles.inventory import ROOT, Ran, Site, job


class Fleet:
    """old, which is lost, and new, which becomes it: both this machine, in user scope."""

    def __init__(self, site: Site) -> None:
        self.site, self.folder = site, site.folder
        self.key = site.make_key()
        (self.folder / "etc" / "one").write_text("1")
        (self.folder / "deep" / "wiki").mkdir(parents=True)
        (self.folder / "deep" / "wiki" / "two").write_text("2")
        wiki = {**job(self.folder), "sources": self._wiki()}
        # nothing reads it back: a host is rebuilt without it
        figures = {**job(self.folder), "sources": {"all": {"type": "command", "dump": ["date"]}}}
        jobs = {"figures": figures, "shop": job(self.folder), "wiki": wiki}
        variables = {**site.variables, "lifeboat_jobs": jobs}
        del variables["lifeboat_root"]
        hosts = {
            name: {"ansible_connection": "local", "lifeboat_root": str(self.folder / name)}
            for name in ("old", "new")
        }
        inventory = {"all": {"hosts": hosts, "vars": variables}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))

    def _wiki(self) -> dict[str, object]:
        return {"pages": {"type": "files", "paths": [str(self.folder / "deep" / "wiki")]}}

    def play(self, name: str, *words: str, **extra: object) -> Ran:
        program = str(Path(sys.executable).parent / "ansible-playbook")
        book = str(ROOT / "playbooks" / f"{name}.yml")
        if extra:
            words += ("-e", json.dumps(extra))
        return self.site._ran([program, "-i", "inventory.yml", book, *words])

    def ids(self) -> dict[str, str]:
        return {
            name: next((self.folder / "disk" / "catalog" / "old" / name).glob("*.json")).stem
            for name in ("shop", "wiki")
        }


@pytest.fixture
def fleet(site: Site) -> Fleet:
    made = Fleet(site)
    ran = made.play("site", "--limit", "old")
    assert ran.status == 0, ran.output[-3000:]
    shutil.rmtree(made.folder / "etc")
    shutil.rmtree(made.folder / "deep")
    return made


@pytest.mark.nightly
def test_a_lost_host_comes_back_only_when_every_backup_is_named(fleet: Fleet) -> None:
    words = ("--limit", "new", "-e", "restore_from_host=old")
    words += ("-e", f"restore_identity_file={fleet.key}")

    ran = fleet.play("rebuild", *words)
    assert ran.status != 0
    assert "Still needed: -e" in ran.output
    assert not (fleet.folder / "new").exists()

    ids, confirmed = fleet.ids(), {"restore_confirm": "RESTORE PRODUCTION"}
    ran = fleet.play("rebuild", *words, **confirmed, restore_backups={"shop": ids["shop"]})
    assert ran.status != 0
    assert "production, which wants the id of every backup" in ran.output
    assert f'"wiki": "{ids["wiki"]}"' in ran.output.replace("\\", "")
    assert not (fleet.folder / "etc").exists()
    assert not (fleet.folder / "deep").exists()

    homes = [{"path": str(fleet.folder / "deep"), "mode": "0750"}]
    ran = fleet.play("rebuild", *words, **confirmed, restore_backups=ids, restore_directories=homes)
    assert ran.status == 0, ran.output[-4000:]
    assert "2 jobs of host old are back on new after" in ran.output
    assert (fleet.folder / "etc" / "one").read_text() == "1"
    assert (fleet.folder / "deep" / "wiki" / "two").read_text() == "2"
    assert (fleet.folder / "deep").stat().st_mode & 0o777 == 0o750
    made = list((fleet.folder / "disk" / "catalog" / "new").glob("*/*.json"))
    assert len(made) == 3  # it is backed up from now on, exports too
