# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill prunes alone, of many signed backups at once, in one round of theirs or in many small ones."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from lifeboat.manifest import decode, encode
from lifeboat.model import Secret
from lifeboat.naming import backup_id, mended_key
from lifeboat.signing import sign

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket

from .campaign import Ground
from .upkeep import ARCHIVES, CATALOG, Place, Upkeep, _id_of, _stamp

# Each round of a prune marks and deletes what there is no time for in this one.
HASTY = """
import lifeboat.operations.upkeep.pruning as pruning
pruning._MARKING_S = pruning._ROUND_S = 0.0
pruning._BATCH = 2
"""
APPLY = ("prune", "shop", "--apply", "--no-limit")
KEPT = 3


class Prunes(Upkeep):
    """What is to go is made of one real backup, dated earlier and earlier."""

    def __init__(self, host: Host, ground: Ground, bucket: Bucket, seed: int) -> None:
        super().__init__(host, ground, bucket, seed)
        private = host.base / "signing"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(private)]
        subprocess.run(argv, check=True)
        secret = host.root / "config" / "credentials" / "signing"
        secret.write_text(json.dumps(private.read_text()))
        secret.chmod(0o600)
        self.signing = Secret.of(private.read_text())
        host.configuration["signing"] = {"key": {"credential": "signing"}}
        host.configuration["signers"] = [private.with_suffix(".pub").read_text().strip()]
        host.job["keep"] = {"last": KEPT}
        host.configure()
        self.before = ""
        self.made = 0
        argv_of = host.argv
        host.argv = self._argv_of(argv_of)  # type: ignore[method-assign]

    def _argv_of(self, real: Any) -> Any:
        def argv(*words: str, before: str = "") -> list[str]:
            made: list[str] = real(*words, before=self.before if words == APPLY else before)
            return made

        return argv

    def run(self, rounds: int) -> Counter[str]:
        self.ground.new()
        self.new = self.old = self.ground.look()
        self._well("run", "shop")
        self._well("verify", "shop")
        self.before = ""
        self._add(4)
        self._well(*APPLY)  # how long one takes
        for _round in range(rounds):
            self._kill_a_prune()
            self._all_is_well()
        self._well("audit")
        return self.counts

    def _kill_a_prune(self) -> None:
        for place in self.places:
            self._age(place)
        aged = {place: {_id_of(mark) for mark in self._aged(place)} for place in self.places}
        ids = self._add(self.random.randrange(3, 12))
        pinned = {self.random.choice(ids)} if self.random.random() < 0.5 else set()
        for id_ in pinned:
            self._well("pin", id_)
        self.before = HASTY if self.random.random() < 0.5 else ""
        newest = self._newest()
        self._killed(*APPLY)
        self._judge(ids, pinned | newest)
        self._recover()
        left = sorted(set(ids).intersection(*map(self._committed, self.places)) - pinned)
        if left and self.random.random() < 0.5:  # somebody wants one that may be marked by now
            wanted = self.random.choice(left)
            said = self.host.lifeboat("pin", wanted)
            assert said.returncode == 0 or "prunes it just now" in said.stderr, said.stderr
            pinned.add(wanted)
        newest = self._newest()
        self._well(*APPLY)
        self._judge(ids, pinned | newest)
        for place in self.places:
            there = set(self._committed(place))
            assert there == set(sorted(there)[-KEPT:]) | pinned, (place, there, pinned)
            archived = {key.split("/")[3] for key in place.keys(ARCHIVES)}
            left_over = archived & aged[place]
            assert not left_over, (place, left_over, "archives of what was pruned two days ago")
            for id_ in self._gone(place):
                assert place.keys(f"{CATALOG}{id_}.json") == [], "left of what was pruned"
            for id_ in pinned:
                self._forget(place, id_)

    def _newest(self) -> set[str]:
        return set(self._committed(self.places[0])[-KEPT:])

    def _judge(self, ids: list[str], stay: set[str]) -> None:
        """What has to stay is there; what is gone says so; of neither is an archive missing."""
        for place in self.places:
            there = self._committed(place)
            assert stay <= set(there), (place, stay, there)
            gone = self._gone(place)
            for id_ in ids:
                assert id_ in there or id_ in gone, (place, id_, "is gone, and nothing says so")
                names = {key.split("/")[4] for key in place.keys(f"{ARCHIVES}{id_}/")}
                assert names == self.archives, (place, id_, names)
        status = self.host.lifeboat("list", "shop", "--json")
        assert status.returncode == 0, status.stderr

    def _gone(self, place: Place) -> set[str]:
        """The ids that are marked as pruned, and have no manifest."""
        marked = {_id_of(mark) for mark in self._marks(place, "pruned")}
        return marked - set(self._committed(place))

    def _add(self, count: int) -> list[str]:
        """Backups that look as if they were made hours before the newest, everywhere."""
        source = self.places[0]
        newest = self._committed(source)[-1]
        first = decode(source.read(f"{CATALOG}{newest}.json"), newest)
        contents = {key: source.read(key) for key in source.keys(f"{ARCHIVES}{newest}/")}
        self.archives = {key.split("/")[4] for key in contents}
        added = []
        for _backup in range(count):
            self.made += 1
            at = first.taken_at - timedelta(hours=self.made)
            id_ = backup_id(at, "hourly", "%04x" % self.made)
            made = replace(first, id=id_, type="hourly", taken_at=at, finished_at=at)
            document = encode(made)
            signature = sign(document, self.signing)
            mended = self.random.random() < 0.2
            for place in self.places:
                for archive, content in contents.items():
                    place.write(archive.replace(newest, id_), content)
                key = f"{CATALOG}{id_}.json"
                place.write(f"{CATALOG}{id_}.intact-{_stamp(timedelta())}", b"")
                place.write(f"{key}.sig", signature)
                place.write(key, document)
                if mended:
                    place.write(mended_key(key, at), document)
                    place.write(f"{CATALOG}{id_}.mended-{_stamp(timedelta())}", b"")
            added.append(id_)
        return added
