"""What a user writes in variables is what lies on the host, or is refused with the name of what is wrong."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.integration.roles.inventory import Site, job
from tests.unit.filters.test_gpg import pair_of

AGENT = ["backup_agent"]
BUCKET = {"type": "s3", "bucket": "b", "endpoint": "http://127.0.0.1:9", "region": "eu-west-3"}


def test_a_dry_run_on_a_bare_host_tells_and_changes_nothing(site: Site) -> None:
    ran = site.run(AGENT, "--check", "--diff")
    assert ran.status == 0, ran.output
    assert "release: none" in ran.output
    assert not site.root.exists()
    assert not (site.folder / "disk").exists()


def test_variables_of_group_and_host_are_merged_and_a_second_run_changes_nothing(
    site: Site,
) -> None:
    offsite = {
        "offsite": {**BUCKET, "credential": "key"},
        "unused": {**BUCKET, "credential": "other"},
    }
    host = {
        "lifeboat_jobs_of_this_host": {"wiki": job(site.folder, "disk", "offsite")},
        "lifeboat_destinations_of_this_host": offsite,
        "lifeboat_credentials": {
            "key": {"access_key_id": "a", "secret_access_key": "hidden-away"},
            "other": {"access_key_id": "b", "secret_access_key": "c"},
        },
    }
    first = site.run(AGENT, **host)
    assert first.status == 0, first.output
    assert "hidden-away" not in first.output
    configuration = json.loads((site.root / "config" / "config.json").read_text())
    assert sorted(configuration["jobs"]) == ["shop", "wiki"]
    assert configuration["host"] == "here"
    assert "hidden-away" not in json.dumps(configuration)
    stored = [one.name for one in (site.root / "config" / "credentials").iterdir()]
    assert stored == ["key"], "a host gets the credentials that its jobs use, and no other"
    assert list((site.root / "software" / "vendor").glob("*/boto3"))

    second = site.run(AGENT, **host)
    assert second.unchanged, second.output


def test_a_job_that_is_defined_twice_in_different_ways_is_refused(site: Site) -> None:
    other = {**job(site.folder), "schedule": "03:00"}
    ran = site.run(AGENT, lifeboat_jobs_more={"shop": other, "wiki": other})
    assert ran.status != 0
    assert "define more than once, and not the same each time: shop. Leave one" in ran.output
    assert not site.root.exists()


def test_a_credential_that_nobody_defines_is_named(site: Site) -> None:
    ran = site.run(
        AGENT,
        lifeboat_jobs_more={"wiki": job(site.folder, "offsite")},
        lifeboat_destinations_more={"offsite": {**BUCKET, "credential": "forgotten"}},
    )
    assert ran.status != 0
    assert "lifeboat_credentials does not define forgotten" in ran.output
    assert not site.root.exists()


def test_a_wrong_configuration_is_refused_with_the_path_of_the_key(site: Site) -> None:
    ran = site.run(AGENT, lifeboat_jobs_more={"wiki": {**job(site.folder), "schedul": "03:00"}})
    assert ran.status != 0
    assert "jobs.wiki.schedul: unknown key; did you mean schedule?" in ran.output
    assert not (site.root / "config" / "config.json").exists()


def test_a_site_with_gpg_and_signatures_has_its_keys_on_the_host(
    site: Site, tmp_path: Path
) -> None:
    _private, public, fingerprint = pair_of(1)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "signing")]
    subprocess.run(argv, check=True)
    ran = site.run(
        AGENT,
        lifeboat_encryption={"gpg_recipients": [fingerprint], "gpg_keys": [public]},
        lifeboat_signing={"key": {"credential": "signing"}},
        lifeboat_signers=[(tmp_path / "signing.pub").read_text()],
        lifeboat_credentials={"signing": (tmp_path / "signing").read_text()},
    )
    assert ran.status == 0, ran.output
    assert "OPENSSH" not in ran.output
    configuration = json.loads((site.root / "config" / "config.json").read_text())
    assert configuration["encryption"]["gpg_recipients"] == [fingerprint]
    stored = site.root / "config" / "credentials" / "signing"
    assert stored.stat().st_mode & 0o777 == 0o600
    command = str(site.root / "bin" / "lifeboat")
    done = subprocess.run([command, "run", "shop"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(site.folder.glob("**/catalog/*/*/*.json.sig"))
