# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill what keeps backups in order, or reads them: push, prune, rekey, verify, drill, accept, bundle, fetch."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket
from tests.lab import s3 as lab

from .campaign import Campaign, Ground

CATALOG, ARCHIVES = "catalog/h1/shop", "archives/h1/shop"


class Upkeep(Campaign):
    """A job with copies on a disk and in a bucket, and two keys, of which one at a time is the present one."""

    def __init__(self, host: Host, ground: Ground, bucket: Bucket, seed: int) -> None:
        super().__init__(host, ground, seed)
        self.bucket = bucket
        host.configuration["destinations"]["offsite"] = {
            "type": "s3",
            "bucket": bucket.name,
            "region": lab.REGION,
            "endpoint": bucket.endpoint,
            "credential": "s3",
        }
        host.job["destinations"] = ["disk", "offsite"]
        secret = host.root / "config" / "credentials" / "s3"
        secret.parent.mkdir(mode=0o700)
        keys = {
            "access_key_id": bucket.host["access_key"],
            "secret_access_key": bucket.host["secret_key"],
        }
        secret.write_text(json.dumps(keys))
        secret.chmod(0o600)
        self.recipients = [host.configuration["encryption"]["age_recipients"][0]]
        other = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True)
        host.key.write_text(host.key.read_text() + other.stdout)
        self.recipients.append(other.stderr.split()[-1])
        self.key = ("--identity", str(host.key))
        host.configure()
        assert bucket.folder is not None
        self.places: tuple[Path, ...] = (host.disk, bucket.folder)  # as their files lie

    def run(self, rounds: int) -> Counter[str]:
        self.ground.new()
        self.new = self.old = self.ground.look()
        for _backup in range(3):
            self._well("run", "shop")
        kinds = (
            self._push,
            self._mend,
            self._prune,
            self._rekey,
            self._verify,
            self._drill,
            self._accept,
            self._bundle,
            self._fetch,
        )
        for number in range(rounds):
            kinds[number % len(kinds)]()
            self._all_is_well()
        self._well("audit")
        return self.counts

    # -- one round each: kill it, then it goes well

    def _push(self) -> None:
        place = self.random.choice(self.places)
        for id_ in self.random.sample(self._committed(place), 2):
            self._forget(place, id_)
        before = self._everywhere()
        self._killed("push", "shop")
        self._recover()
        assert before <= self._everywhere()
        self._well("push", "shop")
        assert self._committed(self.places[0]) == self._committed(self.places[1])

    def _mend(self) -> None:
        place = self.random.choice(self.places)
        id_ = self._committed(place)[-1]
        archive = self.random.choice(sorted((place / ARCHIVES / id_).glob("*.age")))
        archive.chmod(0o600)
        archive.write_bytes(b"x" + archive.read_bytes()[1:])
        assert self.host.lifeboat("verify", id_).returncode == 1
        self._killed("push", "shop")
        self._recover()
        self._well("push", "shop")
        self._well("verify", id_)

    def _prune(self) -> None:
        for place in self.places:
            self._age(place)
        newest = self._committed(self.places[0])[-3:]
        words = ("prune", "shop", "--apply", "--no-limit")
        self._killed(*words)
        assert all(set(newest) <= set(self._committed(place)) for place in self.places)
        self._recover()
        newest = self._committed(self.places[0])[-3:]
        self._well(*words)
        for place in self.places:
            left = self._committed(place)
            assert set(newest) <= set(left)
            assert len(left) <= 4  # the newest that was drilled stays too
            archived = {one.name for one in (place / ARCHIVES).iterdir() if any(one.iterdir())}
            gone = {one.name.partition(".")[0] for one in self._aged(place)}
            left_over = archived & gone
            assert not left_over, (place, left_over, "archives of what was pruned two days ago")

    def _rekey(self) -> None:
        self.recipients.reverse()
        self.host.configuration["encryption"]["age_recipients"] = self.recipients[:1]
        self.host.configure()
        before = {id_[:16] for id_ in self._everywhere()}
        self._killed("rekey", "shop", *self.key)
        self._recover()
        self._well("rekey", "shop", *self.key)
        assert self._well("rekey", "shop", "--dry-run").strip() == ""
        good = {one["id"][:16] for one in self._listed() if one["good"]}
        assert before <= good, "a backup was lost on its way to another key"
        for place in self.places:  # else they stay for a week, and every round adds as many
            for mark in list((place / CATALOG).glob("*.replaced-*")):
                self._forget(place, mark.name.partition(".")[0])

    def _verify(self) -> None:
        words = ("verify", "shop", "--level", "content", *self.key)
        self._killed(*words)
        self._recover()
        self._well(*words)

    def _drill(self) -> None:
        self._killed("drill", "shop", *self.key)
        self._recover()
        self._nothing_temporary()
        self._well("drill", "shop", *self.key)

    def _accept(self) -> None:
        id_ = self._committed(self.places[0])[-1]
        for place in self.places:
            self._put(place, f"{CATALOG}/{id_}.suspect-{_stamp(timedelta())}")
        assert [one["good"] for one in self._listed() if one["id"] == id_] == [False]
        self._killed("accept", id_)
        self._recover()
        self._well("accept", id_)
        assert [one["good"] for one in self._listed() if one["id"] == id_] == [True]

    def _bundle(self) -> None:
        path = self.host.base / "shop.tar"
        id_ = self._committed(self.places[0])[-1]
        self._killed("bundle", id_, str(path))
        self._recover()
        if path.exists():  # then it is whole
            self._well("verify", str(path))
        else:
            self._well("bundle", id_, str(path))
        refused = self.host.lifeboat("bundle", id_, str(path))
        assert (refused.returncode, "is there already" in refused.stderr) == (2, True)
        beside = path.with_name("shop.tar.sha256")
        assert beside.read_text().split()[0] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert len(list(path.parent.glob("*shop.tar*"))) == 2
        path.unlink()
        beside.unlink()

    def _fetch(self) -> None:
        into = self.host.base / "fetched"
        id_ = self._committed(self.places[0])[-1]
        self._killed("fetch", id_, str(into))
        self._recover()
        begun = (into / ".lifeboat-fetching").exists()
        if begun or not (into / f"{id_}.json").exists():
            self._well("fetch", id_, str(into))
        subprocess.run(
            ["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=into, check=True, capture_output=True
        )
        assert (into / f"{id_}.json").exists()
        assert [one.name for one in into.iterdir() if one.name.startswith(".")] == []
        shutil.rmtree(into)

    # -- what holds after it

    def _all_is_well(self) -> None:
        """The next backup is made; nothing half done is left anywhere; all that counts is whole."""
        assert self._well("run", "shop").strip() in self._everywhere()
        self._nothing_temporary()
        assert self._differs() == []
        assert self.bucket.open_uploads() == []
        for place in self.places:
            parts = [*place.glob("catalog/**/.*"), *place.glob("archives/**/.*")]
            assert parts == []
            for id_ in self._committed(place):
                self._whole(place, id_)
        assert self.host.lifeboat("status", "shop").returncode in (0, 1)

    def _whole(self, place: Path, id_: str) -> None:
        manifest = json.loads((place / CATALOG / f"{id_}.json").read_bytes())
        for archive in manifest["archives"]:
            stored = (place / ARCHIVES / id_).glob(archive["name"] + "*")  # or stored again
            found = {hashlib.sha256(one.read_bytes()).hexdigest() for one in stored}
            assert archive["sha256"] in found, (place, id_)

    def _listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self._well("list", "shop", "--json"))
        return listed

    def _committed(self, place: Path) -> list[str]:
        """The ids, oldest first."""
        return sorted(one.stem for one in (place / CATALOG).glob("*.json"))

    def _everywhere(self) -> set[str]:
        return {id_ for place in self.places for id_ in self._committed(place)}

    # -- what others do at a destination

    def _put(self, place: Path, key: str) -> None:
        if place is self.places[0]:
            (place / key).touch()
        else:
            self.bucket.owner.put_object(Bucket=self.bucket.name, Key=key, Body=b"")

    def _forget(self, place: Path, id_: str) -> None:
        """As if this backup had never come there."""
        for one in [*(place / CATALOG).glob(id_ + "*"), *(place / ARCHIVES / id_).glob("*")]:
            one.unlink()
        shutil.rmtree(place / ARCHIVES / id_, ignore_errors=True)

    def _age(self, place: Path) -> None:
        """What was pruned here was made days ago, and pruned two days ago, so that its archives may go."""
        aged, catalog = _stamp(timedelta(days=2)), place / CATALOG
        pruned = {mark.name.partition(".")[0] for mark in catalog.glob("*.pruned-*")}
        for id_ in pruned - set(self._committed(place)):
            older = id_ if id_ < aged else f"{_stamp(timedelta(days=3))}-{id_.partition('-')[2]}"
            for mark in catalog.glob(f"{id_}.pruned-*"):
                mark.unlink()
            for one in catalog.glob(f"{id_}.*"):
                one.rename(catalog / one.name.replace(id_, older))
            if older != id_ and (place / ARCHIVES / id_).exists():
                (place / ARCHIVES / id_).rename(place / ARCHIVES / older)
            self._put(place, f"{CATALOG}/{older}.pruned-{aged}")

    def _aged(self, place: Path) -> Iterator[Path]:
        limit = _stamp(timedelta(days=1))
        marks = (place / CATALOG).glob("*.pruned-*")
        return (one for one in marks if one.name.rpartition("pruned-")[2] < limit)


def _stamp(ago: timedelta) -> str:
    return (datetime.now(timezone.utc) - ago).strftime("%Y%m%dT%H%M%SZ")
