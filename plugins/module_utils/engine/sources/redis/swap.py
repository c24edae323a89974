# SPDX-License-Identifier: GPL-3.0-or-later
"""Put other data in a live server, and back, so that a crash leaves the old or the new, and it shows which.

The server cannot rename data sets, so it is made to fetch one: we play its master for a moment. It takes
the whole file, replaces all it has in one step, rewrites its AOF, and is a master again; it runs on.

    swap  1. note on disk that we are at it, and which settings are changed for it  (LOADING)
          2. pause writes; save what is live as K; note that the server is told to load
          3. the server loads S, with one more key in it: the mark, which says "new"
          4. its AOF is rewritten; what is live is noted; it is a master again; writes go on
          5. APPLIED is made, or removed, as noted; then the mark is taken away
    back  the same with S and K exchanged, and a mark that says "old"

The mark is in the data, so it tells which data is there, also when the server died and came up again, with
an AOF or without. Where LOADING is there, `settle` ends what was cut off. APPLIED: new is live. Without a
mark what was kept must be there, key by key counted, or nothing is decided: a server without any file of
its own comes up empty, and a stranger may have been its master while we were dead.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import LifeboatError, ProcessError, SourceError
from ...files import remove, sync_directory, write
from ...model import Swap
from ...pipeline import Pipeline
from . import rdb, wait
from .client import Server, keyspace, version
from .master import Master
from .target import network_of

_NEW, _OLD = "new", "old"
_COME_S = 30.0
# Or the old data might go before the new is there; or we would have to speak TLS on this host's loopback.
_WANTED = {"repl-diskless-load": "disabled", "tls-replication": "no"}


def swap(server: Server, names: Swap) -> None:
    if not swapped(server, names):
        _replace(server, names, keep=names.kept, bring=names.side, word=_NEW)


def back(server: Server, names: Swap) -> None:
    if swapped(server, names):
        _replace(server, names, keep=names.side, bring=names.kept, word=_OLD)


def swapped(server: Server, names: Swap) -> bool:
    settle(server, names)
    return _applied(names).exists()


def discard(server: Server, names: Swap) -> None:
    settle(server, names)
    if _applied(names).exists():  # a restart may have brought the mark back, see wait.clean_file
        try:
            server.ask("DEL", _mark(names))
        except SourceError:
            pass  # a key that nobody reads; the server may be gone for good
    remove(Path(names.side).parent)


def settle(server: Server, names: Swap) -> None:
    """End whatever was cut off, and note on disk which data is live; nothing to do = nothing is asked.

    Raises SourceError, and keeps everything, where it cannot be told which.
    """
    if not _loading(names).exists():
        return
    noted = json.loads(_loading(names).read_bytes())
    info = wait.calm(server)
    if info["role"] == "slave" and _mine(info, noted):
        server.ask("REPLICAOF", "NO", "ONE")
    for name, value in noted["settings"].items():
        server.ask("CONFIG", "SET", name, value)
    wait.for_aof(server)
    if "live" not in noted:
        noted["live"] = _live(server, names, noted, info)
        write(_loading(names), json.dumps(noted).encode())
    wait.unpause(server)
    if noted["live"] == _NEW:
        write(_applied(names), b"")
    else:
        remove(_applied(names))
        sync_directory(_applied(names).parent)
    if server.ask("GET", _mark(names)):
        server.ask("DEL", _mark(names))
        if info.get("aof_enabled") == "0":
            wait.clean_file(server)
    remove(_loading(names))
    sync_directory(_loading(names).parent)


def _mine(info: Mapping[str, str], noted: Mapping[str, Any]) -> bool:
    return (info.get("master_host"), info.get("master_port")) == (noted["host"], noted["port"])


def _live(server: Server, names: Swap, noted: Mapping[str, Any], info: Mapping[str, str]) -> str:
    """Which data the server holds; `info` is of before it was made a master again."""
    mark = server.ask("GET", _mark(names))
    if mark in (_NEW, _OLD):
        return mark
    keep = str(noted["keep"])
    if noted["told"] and not _holds(keyspace(info), _counted(keep), info["role"] == "slave"):
        raise SourceError(
            f"{server.where} holds neither what was restored nor what was there before: the restore"
            " was cut off, and the server has lost its data or was given other data since",
            detail=f"keys in {keep}: {_counted(keep)}\nkeys in the server: {keyspace(info)}",
            hint=f"stop the server, start it with {keep} as its dump file and without an append-only"
            f" file; or, if what it holds is right, remove {_loading(names)}; then run `lifeboat"
            " recover`",
        )
    return _OLD if noted["word"] == _NEW else _NEW


def _holds(found: Mapping[int, int], counted: Mapping[int, tuple[int, int]], frozen: bool) -> bool:
    """Whether these may be the keys that were counted. A master lets some expire, a replica none."""
    if bool(found) != any(keys for keys, _expiring in counted.values()):
        return False
    return all(
        keys - (0 if frozen else expiring) <= found.get(number, 0) <= keys
        for number in {*found, *counted}
        for keys, expiring in [counted.get(number, (0, 0))]
    )


def _replace(server: Server, names: Swap, keep: str, bring: str, word: str) -> None:
    if not os.path.exists(bring):
        raise SourceError(f"nothing lies at {bring} to be put in place")
    settings, password = _settings(server)
    address = str(names.note["address"])
    network = network_of(server, address)
    with Master(address, password or secrets.token_hex(20), network) as master:
        noted: dict[str, Any] = {"host": address, "port": str(master.port), "settings": settings}
        noted.update(word=word, keep=keep, told=False)
        write(_loading(names), json.dumps(noted).encode())
        try:
            _load(server, names, master, noted, bring)
        except BaseException:
            with suppress(LifeboatError):  # as long as nobody else can be the master there
                settle(server, names)
            raise
        settle(server, names)


def _load(server: Server, names: Swap, master: Master, noted: dict[str, Any], bring: str) -> None:
    keep = Path(noted["keep"])
    server.ask("DEL", _mark(names))
    wait.pause(server)
    save(server, keep)
    _refuse_newer(Path(bring), keep, server)
    wait.pause(server)
    for name in noted["settings"]:
        if name == "masterauth":
            server.ask("CONFIG", "SET", name, last=master.password)
        else:
            server.ask("CONFIG", "SET", name, _WANTED[name])
    noted["told"] = True
    write(_loading(names), json.dumps(noted).encode())
    server.ask("REPLICAOF", noted["host"], noted["port"])
    size, blocks = rdb.with_key(Path(bring), _mark(names), noted["word"])
    master.hand_over(size, blocks, _COME_S)
    expected = {number: keys for number, (keys, _expiring) in _counted(bring).items()}
    expected[0] = expected.get(0, 0) + 1  # the mark
    found = wait.until_loaded(server, master)
    if found != expected:
        raise SourceError(
            f"{server.where} holds other numbers of keys than it was given",
            detail=f"given: {expected}\nfound: {found}",
        )
    wait.for_aof(server, master)
    noted["live"] = noted["word"]  # before anybody can write, or take the mark away
    write(_loading(names), json.dumps(noted).encode())


def note_counts(path: Path, found: rdb.Found) -> None:
    """Beside an RDB file, what a server that has loaded it must hold."""
    if None in found.databases.values():
        raise SourceError(f"the keys of {path} could not be counted")
    counts = {str(number): one for number, one in found.databases.items() if one}
    write(_counts(str(path)), json.dumps(counts).encode())


def _counted(path: str) -> dict[int, tuple[int, int]]:
    """{database: (keys, those that expire)} of an RDB file, as they were noted beside it."""
    counts = json.loads(_counts(path).read_bytes())
    return {int(number): (keys, expiring) for number, (keys, expiring) in counts.items()}


def save(server: Server, path: Path) -> None:
    """Write what is live to `path`, whole and synced, or leave `path` as it was."""
    part = Path(str(path) + ".part")
    remove(part)
    reader = rdb.Reader(server.checker())
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        feed = server.command("--rdb", "-")
        with (
            os.fdopen(descriptor, "wb") as out,
            Pipeline(feed, [], tap=reader.feed, surplus=rdb.surplus) as flow,
        ):
            for block in flow.blocks():
                out.write(block)
            flow.check()
            told = rdb.complaint(flow.head, flow.tail, flow.plain_bytes)
            if told:
                raise SourceError(f"{server.where} gave no whole copy of its data: {told}")
            found = reader.end()
            out.flush()
            os.fsync(out.fileno())
    except rdb.Broken as exc:
        raise SourceError(
            f"{server.where} gave no whole copy of its data", detail=str(exc)
        ) from exc
    except ProcessError as exc:
        raise server.explained(exc) from exc
    finally:
        reader.stop()
    os.rename(part, path)
    note_counts(path, found)
    sync_directory(path.parent)


def _settings(server: Server) -> tuple[dict[str, str], str]:
    """({setting: what it is now} of those to be changed, the password that the server will give)."""
    found = server.config("masterauth", *_WANTED)
    changed = {
        name: found[name] for name, value in _WANTED.items() if found.get(name, value) != value
    }
    if not found.get(
        "masterauth"
    ):  # else it is used, for it could not be put back by another process
        changed["masterauth"] = ""
    return changed, found.get("masterauth", "")


def _refuse_newer(bring: Path, keep: Path, server: Server) -> None:
    """A server that cannot read a file has emptied itself before it notices."""
    coming, own = [rdb.format_version(path.open("rb").read(9)) for path in (bring, keep)]
    product, number = version(server.info())
    if product == "valkey" and number >= (9,):  # to a client it writes what older ones read
        own = max(own, rdb.FIRST_OF_VALKEY)
    if not rdb.readable(coming, own):
        raise SourceError(
            f"{server.where} writes RDB version {own} and does not read {coming}",
            hint="restore on the product and version that the backup is from, or a newer one",
        )


def _counts(path: str) -> Path:
    return Path(path + ".keys")


def _mark(names: Swap) -> str:
    return str(names.note["mark"])


def _loading(names: Swap) -> Path:
    return Path(names.side).parent / "loading.json"


def _applied(names: Swap) -> Path:
    return Path(names.side).parent / "applied"
