# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill what keeps backups in order, or reads them: push, prune, rekey, verify, drill, accept, bundle, fetch."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket
from tests.lab import s3 as lab

from .campaign import Campaign, Ground

CATALOG, ARCHIVES = "catalog/h1/shop/", "archives/h1/shop/"


class Place(Protocol):
    """A destination as somebody else sees it, who may do everything there."""

    def keys(self, prefix: str) -> list[str]: ...

    def read(self, key: str) -> bytes: ...

    def write(self, key: str, content: bytes) -> None: ...

    def remove(self, key: str) -> None: ...


class Disk:
    def __init__(self, root: Path) -> None:
        self._root = root

    def keys(self, prefix: str) -> list[str]:
        found = self._root.rglob("*")  # with hidden folders, which nobody may leave either
        there = (one for one in found if not one.is_dir() or one.name.startswith("."))
        keys = (one.relative_to(self._root).as_posix() for one in there)
        return sorted(key for key in keys if key.startswith(prefix))

    def read(self, key: str) -> bytes:
        return (self._root / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o600)
        path.write_bytes(content)

    def remove(self, key: str) -> None:
        path = self._root / key
        path.unlink()
        if key.startswith(ARCHIVES) and not any(path.parent.iterdir()):
            path.parent.rmdir()


class InBucket:
    def __init__(self, bucket: Bucket) -> None:
        self._client, self._bucket = bucket.owner, bucket.name

    def keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=content)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)


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
        self.places: tuple[Place, ...] = (Disk(host.disk), InBucket(bucket))

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
        archives = [key for key in place.keys(f"{ARCHIVES}{id_}/") if key.endswith(".age")]
        archive = self.random.choice(archives)
        place.write(archive, b"x" + place.read(archive)[1:])
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
            archived = {key.split("/")[3] for key in place.keys(ARCHIVES)}
            gone = {_id_of(mark) for mark in self._aged(place)}
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
            for mark in self._marks(place, "replaced"):
                self._forget(place, _id_of(mark))

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
            place.write(f"{CATALOG}{id_}.suspect-{_stamp(timedelta())}", b"")
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
            parts = [key for part in ("catalog/", "archives/") for key in place.keys(part)]
            assert [key for key in parts if "/." in key] == []
            for id_ in self._committed(place):
                self._whole(place, id_)
        assert self.host.lifeboat("status", "shop").returncode in (0, 1)

    def _whole(self, place: Place, id_: str) -> None:
        manifest = json.loads(place.read(f"{CATALOG}{id_}.json"))
        for archive in manifest["archives"]:
            stored = place.keys(f"{ARCHIVES}{id_}/{archive['name']}")  # or stored again
            found = {hashlib.sha256(place.read(key)).hexdigest() for key in stored}
            assert archive["sha256"] in found, (place, id_)

    def _listed(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self._well("list", "shop", "--json"))
        return listed

    def _committed(self, place: Place) -> list[str]:
        """The ids, oldest first."""
        return sorted(_id_of(key) for key in place.keys(CATALOG) if key.endswith(".json"))

    def _everywhere(self) -> set[str]:
        return {id_ for place in self.places for id_ in self._committed(place)}

    # -- what others do at a destination

    def _forget(self, place: Place, id_: str) -> None:
        """As if this backup had never come there."""
        for key in [*place.keys(CATALOG + id_), *place.keys(f"{ARCHIVES}{id_}/")]:
            place.remove(key)

    def _age(self, place: Place) -> None:
        """What was pruned here was made days ago, and pruned two days ago, so that its archives may go."""
        aged = _stamp(timedelta(days=2))
        pruned = {_id_of(mark) for mark in self._marks(place, "pruned")}
        for id_ in pruned - set(self._committed(place)):
            older = id_ if id_ < aged else f"{_stamp(timedelta(days=3))}-{id_.partition('-')[2]}"
            for key in place.keys(f"{CATALOG}{id_}."):
                if ".pruned-" in key:
                    place.remove(key)
            if older != id_:
                for key in [*place.keys(f"{CATALOG}{id_}."), *place.keys(f"{ARCHIVES}{id_}/")]:
                    place.write(key.replace(id_, older), place.read(key))
                    place.remove(key)
            place.write(f"{CATALOG}{older}.pruned-{aged}", b"")

    def _marks(self, place: Place, kind: str) -> list[str]:
        return [key for key in place.keys(CATALOG) if f".{kind}-" in key]

    def _aged(self, place: Place) -> list[str]:
        limit = _stamp(timedelta(days=1))
        return [one for one in self._marks(place, "pruned") if one.rpartition("pruned-")[2] < limit]


def _id_of(key: str) -> str:
    return key.rpartition("/")[2].partition(".")[0]


def _stamp(ago: timedelta) -> str:
    return (datetime.now(timezone.utc) - ago).strftime("%Y%m%dT%H%M%SZ")
