# SPDX-License-Identifier: GPL-3.0-or-later
"""A named volume of docker or podman: its tree as one tar, with the containers that use it at rest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import ownership
from ..anchor import anchored
from ..containers import Engine
from ..errors import ConfigError, SourceAbsent, SourceError, VerifyError
from ..inventory import InventoryWriter
from ..model import Command, Inventory, Needs, Option, SourceRecord, Stream, Swap, Target, Workspace
from ..pipeline import Pipeline
from ..placement import HERE, Placement
from ..ports import Plain
from ..stopped import start, stopped
from . import tree_swap, tree_tar, tree_target, tree_unpack
from .files import Files, TreeDump
from .tree_listing import Listing
from .tree_swap import Tree

_TREE = {"path": "/", "part": "tree"}  # the tree of a volume is all of it, wherever it lies
_DATABASES = ("PG_VERSION", "ibdata1", "WiredTiger", "mysql.ibd")  # their files, copied, are torn
_BY_HAND = (
    "# into a volume that no running container uses\n"
    'cd "$(docker volume inspect --format {{.Mountpoint}} VOLUME)"\n' + tree_tar.BY_HAND_HERE
)


class Volume:
    """`docker` or `podman`: the volume's name.

    `running`: what becomes of running containers that use it. "stop": they are stopped, and started
    again; "refuse": the run fails; "copy": they go on, and write while they are read (a restore stops
    them all the same).
    """

    kind = "volume"
    options = (
        Option("docker"),
        Option("podman"),
        Option("running", default="stop", choices=("stop", "refuse", "copy")),
        Option("exclude", "texts", default=()),
    )

    def __init__(
        self,
        *,
        name: str,
        docker: str | None = None,
        podman: str | None = None,
        running: str = "stop",
        exclude: Sequence[str] = (),
        placement: Placement = HERE,
        optional: bool = False,
    ) -> None:
        if bool(docker) == bool(podman):
            raise ConfigError(f"source {name}: write docker: VOLUME or podman: VOLUME")
        if not placement.local:
            raise ConfigError(f"source {name}: a volume has no placement, but docker or podman")
        self.name = name
        self.optional = optional
        self._volume = docker or podman or ""
        self._engine = Engine("docker" if docker else "podman", placement.owner, f"source {name}: ")
        self._running = running
        self._exclude = tuple(exclude)
        self._trees = Files(name=name, paths=("/",))  # for what is done to trees on disk

    def needs(self) -> Needs:
        return Needs(reads_everything=True, engine=self._engine.program, stops=True)

    def prepare(self, user: str, dry_run: bool) -> list[str]:
        return []

    # -- backup

    def check(self) -> dict[str, Any]:
        place = self._place(self._volume)
        using = [_name(one) for one in self._engine.users(self._volume)]
        return {"tar": tree_tar.version(), "path": place, "used by": ", ".join(using)}

    @contextmanager
    def open(self, work: Workspace) -> Iterator[_VolumeDump]:
        place = self._place(self._volume)
        using = self._engine.users(self._volume)
        names = [_name(one) for one in using]
        if using and self._running == "refuse":
            raise SourceError(
                f"source {self.name}: volume {self._volume} is in use by {', '.join(names)}",
                hint="stop them before, or let lifeboat do it: `running: stop`",
            )
        if using and self._running == "copy":
            self._refuse_databases(place)
        with ExitStack() as held:
            if self._running == "stop":
                held.enter_context(
                    stopped(self._engine, names, work.lasting or work.bulk, self.name)
                )
            folder = held.enter_context(
                tempfile.TemporaryDirectory(prefix="volume-", dir=work.bulk)
            )
            dump = _VolumeDump(
                self.name,
                self._facts(using),
                Path(folder) / "inventory.jsonl",
                lambda _path: self._through(tree_tar.create(".", self._excluded(), place)),
                False,
            )
            dump.private = {"containers": [_public(one) for one in using]}
            held.callback(dump.abandon)
            yield dump
            began = [_name(one) for one in self._engine.users(self._volume)]
            if self._running == "stop" and began:
                raise SourceError(
                    f"source {self.name}: {', '.join(began)} was started while the volume was read",
                    hint="see what starts it: a unit of systemd, another job",
                )

    # -- verify

    def check_content(self, plains: Mapping[str, Plain], work: Workspace) -> None:
        self._trees.check_content({k: v for k, v in plains.items() if k != "facts"}, work)

    # -- restore

    def target(self, record: SourceRecord, into: str | None) -> Target:
        name = into or self._volume
        label = f"volume {name} of {self._engine.program}"
        try:
            place = self._place(name)
        except SourceAbsent:
            return Target(label, name, False)
        refusals = tree_target.forbidding(Path(place), None)
        using = [_name(one) for one in self._engine.users(name)]
        if using and self._running == "refuse":
            refusals.append(f"volume {name} is in use by {', '.join(using)}: stop them before")
        counted = {"files": 0, "size_bytes": 0}
        tree_target.add_up(place, counted)
        return Target(label, name, True, counted["size_bytes"], counted, tuple(refusals))

    def plan(self, record: SourceRecord, target: Target, token: str) -> Swap:
        if not target.exists:
            labels = record.facts.get("volume", {}).get("labels") or {}
            words = [f"--label={key}={value}" for key, value in sorted(labels.items())]
            self._engine.ask("volume", "create", *words, target.name)
        place = self._place(target.name)
        one = {**_TREE, "within": "/", "target": place, "chosen": []}
        tree = tree_target.plan(one, token)
        note = {
            "trees": [tree.as_note()],
            "made": not target.exists,
            "running": [_name(one) for one in self._engine.users(target.name)],
        }
        return Swap(self.name, target.name, tree.side, tree.kept, target.exists, note)

    def stage(
        self, swap: Swap, record: SourceRecord, plains: Mapping[str, Plain], work: Workspace
    ) -> None:
        tree_tar.version()
        if "tree" not in plains:
            raise VerifyError(f"source {self.name}: the backup has no archive tree")
        tree = _tree(swap)
        with anchored(tree.folder) as here:
            self._clear(tree)
            tree_unpack.unpack(self.name, tree.at(here), plains["tree"], self._into)
        os.sync()

    def count(self, swap: Swap, work: Workspace) -> Inventory:
        tree = _tree(swap)
        descriptor, lines = tempfile.mkstemp(prefix="volume-", suffix=".jsonl", dir=work.bulk)
        os.close(descriptor)
        writer = InventoryWriter(Path(lines))
        found_as = os.path.basename(tree.side)
        listing = Listing(writer, tree.top, found_as, owners=self._owners)
        try:
            with anchored(tree.folder) as here:
                command = self._through(tree_tar.create(found_as, (), here))
                with Pipeline(command, []) as flow:
                    for block in flow.blocks():
                        listing.tap(block)
                    flow.check()
            listing.finish()
        finally:
            listing.abandon()
        return writer.close()

    def swap(self, swap: Swap) -> None:
        running = [_name(one) for one in self._engine.users(swap.target)]
        new = sorted(set(running) - set(swap.note["running"]))
        if new:  # nobody would start it again
            raise SourceError(
                f"source {self.name}: {new[0]} has begun to use volume {swap.target} meanwhile",
                hint="stop it, or restore again",
            )
        self._at_rest(swap, partial(self._trees.swap, swap))

    def swapped(self, swap: Swap) -> bool:
        if not self._trees.swapped(swap):
            return False
        running = {_name(one) for one in self._engine.users(swap.target)}
        return running >= set(swap.note["running"])

    def back(self, swap: Swap) -> None:
        self._at_rest(swap, partial(self._trees.back, swap))

    def discard(self, swap: Swap) -> None:
        tree = _tree(swap)
        old = os.path.lexists(tree.target) and os.lstat(tree.target).st_ino == tree.inode
        if swap.note["made"] and old and not os.path.lexists(tree.kept):
            self._clear(tree)  # the volume was made for a restore that was taken back
            self._engine.ask("volume", "rm", swap.target)
            return
        if os.path.isdir(tree.folder):
            self._clear(tree)
            self._trees.discard(swap)

    # -- inside

    @property
    def _owners(self) -> bool:
        """Whether owners come back: root sets any, and so does whoever has a range of users."""
        return os.geteuid() == 0 or self._engine.rootless

    def _place(self, name: str) -> str:
        """The directory of the volume; raises SourceError unless it is a plain one of this host."""
        found = self._engine.volume(name)
        if found.get("Driver") != "local" or found.get("Options"):
            raise SourceError(
                f"source {self.name}: volume {name} is not a plain one of this host",
                hint="back up what it is mounted from, as `files`",
            )
        return str(found["Mountpoint"])

    def _facts(self, using: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        found = self._engine.volume(self._volume)
        return {
            "tar": tree_tar.version(),
            "trees": [dict(_TREE)],
            "volume": {
                "engine": self._engine.program,
                "name": self._volume,
                "labels": dict(found.get("Labels") or {}),
                "at_rest": self._running != "copy" or not using,
            },
            "containers": [self._engine.image(_name(one)) for one in using],
        }

    def _excluded(self) -> list[str]:
        words = ["--one-file-system"]
        for pattern in self._exclude:
            words.append("--anchored" if pattern.startswith("/") else "--no-anchored")
            words.append(
                "--exclude=" + ("." if pattern.startswith("/") else "") + pattern.rstrip("/")
            )
        return words

    def _refuse_databases(self, place: str) -> None:
        for one in _DATABASES:
            if os.path.lexists(os.path.join(place, one)):
                raise SourceError(
                    f"source {self.name}: volume {self._volume} holds a database's files ({one}), and"
                    " would be read while it writes",
                    hint="back the database up by its own kind of source, or say `running: stop`",
                )

    def _through(self, command: Command) -> Command:
        """`command` with the users of a rootless podman, as its containers see them."""
        if not self._engine.rootless:
            return command
        inside = self._engine.command("unshare", *command.argv)
        env = {**command.env, **inside.env}
        return replace(command, argv=inside.argv, env=env, user=inside.user)

    def _into(self, command: Command, opened: int) -> Command:
        through = self._through(command)
        if through.user:
            owner = ownership.known(through.user)
            os.fchown(opened, owner.pw_uid, owner.pw_gid)
        return through

    def _at_rest(self, swap: Swap, act: Any) -> None:
        """Do it while no container uses the volume; then those that the journal names run again."""
        for one in self._engine.users(swap.target):
            self._engine.stop(_name(one))
        act()
        left = start(self._engine, list(reversed(swap.note["running"])))
        if left:
            raise SourceError(
                f"source {self.name}: {', '.join(left)} was stopped and does not start again",
                hint=f"see why: {self._engine.program} logs {left[0]}",
            )

    def _clear(self, tree: Tree) -> None:
        """Remove what a rootless podman's own user may not: files of the users of its containers."""
        if os.geteuid() == 0 or not self._engine.rootless:
            return
        names = (tree.target, tree.side, tree.kept)
        if all(os.path.lexists(one) for one in names) or not os.path.lexists(tree.target):
            return  # nothing may be removed then: tree_swap.discard tells why
        for one in (tree.side, tree.kept, tree.unpacked):
            tree_swap.refuse_mounts(one)
            self._engine.ask("unshare", "rm", "-rf", "--", one)


class _VolumeDump(TreeDump):
    """A tree's dump, with what is private about the containers, and how it is restored by hand."""

    private: Mapping[str, Any]

    def streams(self) -> Iterator[Stream]:
        for stream in super().streams():
            yield replace(stream, by_hand=_BY_HAND)


def _tree(swap: Swap) -> Tree:
    return tree_swap.from_notes(swap.note)[0]


def _name(container: Mapping[str, Any]) -> str:
    return str(container["Name"]).lstrip("/")


def _public(container: Mapping[str, Any]) -> dict[str, Any]:
    """What tells how a container was made, without what may hold a secret: values of variables, words
    of its command (and podman's own record of how it was called), labels.
    """
    config = container.get("Config") or {}
    kept = {key: config.get(key) for key in ("Image", "User", "WorkingDir", "StopSignal")}
    kept["Env"] = [one.partition("=")[0] for one in config.get("Env") or []]
    shown = {key: container.get(key) for key in ("Id", "Name", "Created", "Image", "Mounts")}
    return {**shown, "ImageDigest": container.get("ImageDigest"), "Config": kept}
