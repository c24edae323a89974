# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a Redis or Valkey server: what it is, and what forbids to dump it or to restore on it. Read only."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import SourceError
from ...units import human_size
from .client import Refused, Server, keyspace, version

LOOPBACK = "127.0.0.1"
_KEY = "lifeboat-restore-0"  # such as a restore makes
# as they are asked; see docs/sources.md
_RESTORING = (
    "CONFIG GET masterauth",
    "CONFIG SET masterauth x",
    "CLIENT LIST",
    "SYNC",
    "REPLICAOF NO ONE",
    f"GET {_KEY}",
    f"DEL {_KEY}",
)
_DUMPING = {"replication": ("SYNC",), "bgsave": ("CONFIG GET dir", "BGSAVE")}


def look(server: Server) -> dict[str, str]:
    """What INFO says of a server that can be dumped; raises SourceAbsent, SourceError."""
    server.require()
    info = server.info()
    if info.get("loading") == "1":
        raise SourceError(
            f"{server.where} is loading its data", hint="wait until it has, then ask again"
        )
    if info.get("cluster_enabled") == "1":
        raise SourceError(
            f"{server.where} is a node of a cluster, which holds only a part of the data",
            hint="a cluster is not supported: the parts would be of different instants",
        )
    if info.get("redis_mode") == "sentinel":
        raise SourceError(
            f"{server.where} is a sentinel, which holds no data", hint="name the server itself"
        )
    return info


def refuse_unable(server: Server, method: str) -> None:
    """Raise SourceError where a dump by `method` would not be given."""
    told = lacking(server, *_DUMPING[method])
    if told:
        other = "bgsave" if method == "replication" else "replication"
        raise SourceError(
            f"{server.where} cannot be dumped by `method: {method}`: {'; '.join(told)}",
            hint=f"or set `method: {other}`",
        )


def facts(server: Server, info: Mapping[str, str]) -> dict[str, Any]:
    """What a restore, or a reader of the manifest, may want to know."""
    product, number = version(info)
    found: dict[str, Any] = {
        "product": product,
        "server_version": ".".join(map(str, number)),
        "role": info.get("role", ""),
        "maxmemory": int(info.get("maxmemory", 0)),
        "maxmemory_policy": info.get("maxmemory_policy", ""),
        "appendonly": info.get("aof_enabled") == "1",
        "functions": int(info.get("number_of_functions", 0)),
        "modules": modules(info, server),
    }
    try:
        found["acl_users"] = server.ask("ACL", "USERS").split("\n")
    except Refused:
        pass  # not for everybody to see
    return found


def private(server: Server) -> dict[str, Any]:
    """Users with their hashes, and settings: only as far as the user may see them, only encrypted."""
    found: dict[str, Any] = {}
    try:
        found["acl"] = server.ask("ACL", "LIST").split("\n")
    except Refused:
        pass
    try:
        lines = server.ask("CONFIG", "GET", "*").split("\n")
        found["config"] = dict(zip(lines[::2], lines[1::2]))
    except Refused:
        pass
    return found


def modules(info: Mapping[str, str], server: Server) -> list[str]:
    told = [info["module"]] if "module" in info else []  # INFO repeats the key: one proves that
    if told:  # there are some, which is when it is worth to ask
        try:
            words = server.ask("MODULE", "LIST").split("\n")
            told = [name for key, name in zip(words, words[1:]) if key == "name"]
        except Refused:
            told = [re.sub(r"name=([^,]*).*", r"\1", one) for one in told]
    return sorted(told)


def refusals(server: Server, info: Mapping[str, str], wanted: Mapping[str, Any]) -> list[str]:
    """Why the backup with the facts `wanted` cannot be restored on this server, in sentences."""
    told = []
    if info.get("role") != "master":
        told.append("the server is a replica: restore on its master")
    if int(info.get("connected_slaves", 0)):
        told.append(
            "the server has replicas, which would lose their data at the same moment and could not be"
            " put back: detach them (REPLICAOF NO ONE there), and attach them again afterwards"
        )
    told += _older(info, wanted)
    lost = sorted(set(wanted.get("modules", [])) - set(modules(info, server)))
    if lost:
        told.append(f"the server lacks the modules {', '.join(lost)}")
    limit, used = int(info.get("maxmemory", 0)), int(wanted.get("used_memory", 0))
    was = int(wanted.get("maxmemory", 0))
    if limit and used > limit and (not was or was > limit):
        told.append(
            f"the server's maxmemory is {human_size(limit)}, the data took {human_size(used)}: raise it"
        )
    return told + (lacking(server, *_RESTORING) or _rights(server, wanted))


def lacking(server: Server, *commands: str) -> list[str]:
    """Which of these the server, or its rights, keep from the user, in sentences; as far as it may ask.

    None of them is run.
    """
    told = []
    for command in commands:
        name, *words = command.split(" ")
        if _renamed(server, name):
            told.append(
                f"{name} is renamed or disabled on the server: take its rename-command out of the"
                " configuration, and start the server again; ACL can keep it from all but administrators"
            )
            continue
        with suppress(Refused):  # not for everybody, and servers before 7 do not know it
            said = server.ask("ACL", "DRYRUN", server.user or "default", name, *words)
            if "no permissions" in said:
                told.append(f"{command} is not allowed to user {server.user or 'default'}: {said}")
    return list(dict.fromkeys(told))


def _renamed(server: Server, name: str) -> bool:
    try:
        return not server.ask("COMMAND", "INFO", name)
    except Refused:  # it may itself be renamed, or not for this user
        return False


def totals(info: Mapping[str, str]) -> dict[str, int]:
    counted = keyspace(info)
    return {"databases": len(counted), "keys": sum(counted.values())} if counted else {}


def address_for(server: Server, given: str) -> str:
    """The address of this host that the server can reach; SourceError where there is none."""
    if given:
        return given
    if not server.placement.local:
        if os.geteuid() != 0:
            raise SourceError(
                f"{server.where} is in a container, whose network only root can enter",
                hint="restore as root, or set `restore_address` to an address of this host that the"
                " container can reach",
            )
        return LOOPBACK
    if server.on_loopback:
        return LOOPBACK
    port = int(server.address.rpartition(":")[2])
    try:
        with socket.create_connection((server.host, port), 15.0) as probe:
            return str(probe.getsockname()[0])
    except OSError as exc:
        raise SourceError(f"{server.where} cannot be reached: {exc.strerror or exc}") from exc


def network_of(server: Server, address: str) -> str:
    """The file of the network namespace in which the server has `address`; "" = this host's own."""
    placement = server.placement
    if placement.local or address != LOOPBACK:
        return ""
    state = placement.containers.container(placement.container)["State"]
    return f"/proc/{state['Pid']}/ns/net"


def _older(info: Mapping[str, str], wanted: Mapping[str, Any]) -> list[str]:
    product, number = version(info)
    was = tuple(int(part) for part in str(wanted.get("server_version", "0")).split("."))
    if wanted.get("product", product) == product:
        if number[:2] >= was[:2]:
            return []
        text = ".".join(map(str, number))
        return [
            f"the server is {product} {text}, older than the {wanted['server_version']} that the"
            " backup is from"
        ]
    if int(wanted.get("rdb_version", 0)) <= 11:  # the last that both products write
        return []
    return [
        f"the server is {product}, and does not read what {wanted['product']}"
        f" {wanted['server_version']} writes"
    ]


def _rights(server: Server, wanted: Mapping[str, Any]) -> list[str]:
    """What the user lacks to restore; also how many databases the server has."""
    try:
        found = server.config("databases", "masterauth")
    except Refused as exc:
        return [f"CONFIG is not allowed to the user that restores ({exc.message.split(': ')[-1]})"]
    told = []
    if int(found.get("databases", 16)) <= int(wanted.get("highest_database", 0)):
        told.append(
            f"the server has {found['databases']} databases, the backup's highest is number"
            f" {wanted['highest_database']}: raise `databases`"
        )
    if "masterauth" not in found:
        told.append("the server does not know `masterauth`, which a restore sets")
    try:
        clients = server.ask("CLIENT", "LIST", "TYPE", "normal")
    except Refused:
        return [*told, "CLIENT LIST is not allowed to the user that restores"]
    if re.search(r" name=sentinel-", clients):
        told.append(
            "a sentinel watches the server, and would take the restore for a failure: stop it"
        )
    return told
