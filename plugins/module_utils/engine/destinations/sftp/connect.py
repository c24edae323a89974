# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a connection to an SFTP server, through its jump hosts; a host key that is not pinned ends it.

The library is loaded here. It reads no file of the user: no ssh_config, no known_hosts, no agent, no key.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ...errors import ConfigError, DestinationError, MissingDependency
from .errors import REACH_HINT, Unreachable, said
from .place import Hop, Place, login

# of the strong ciphers those that this machine's processor does itself come first
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


def library(destination: str) -> Any:
    """asyncssh; raises MissingDependency."""
    try:
        import asyncssh
    except ImportError as exc:
        raise MissingDependency(
            f"destination {destination} needs the Python library asyncssh: {exc}",
            hint="site.yml installs it with the engine; by hand: pip install 'asyncssh>=2.21'",
        ) from exc
    return asyncssh


async def connect(place: Place, connections: list[Any]) -> Any:
    """An SFTP client; each connection on the way is appended to `connections` once it stands."""
    asyncssh = library(place.destination)
    tunnel = None
    for hop in place.hops:
        tunnel = await _connect_hop(asyncssh, place, hop, tunnel)
        connections.append(tunnel)
    starting = connections[-1].start_sftp_client(path_encoding=None)
    try:
        return await asyncio.wait_for(starting, place.connect_timeout_s)
    except (asyncssh.ChannelOpenError, asyncssh.SFTPError) as exc:
        raise DestinationError(
            f"{place.told('use')}: it gives no SFTP to {place.server.user} ({said(exc)})",
            hint="allow that user the sftp subsystem on the server",
            permanent=True,
        ) from exc
    except (asyncio.TimeoutError, asyncssh.Error, OSError) as exc:
        raise _unreachable(place, place.server, exc) from exc


async def _connect_hop(asyncssh: Any, place: Place, hop: Hop, tunnel: Any) -> Any:
    kind, proof = _proof(asyncssh, place, hop)
    known = asyncssh.import_known_hosts(place.known_hosts)
    offered: list[Any] = []

    class Watcher(asyncssh.SSHClient):  # type: ignore[misc]
        def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
            offered.append(key)  # it is none of the pinned ones
            return False

    connecting = asyncssh.connect(
        hop.host,
        hop.port,
        tunnel=tunnel,
        username=hop.user,
        known_hosts=known,
        client_factory=Watcher,
        config=None,
        agent_path=None,
        gss_host=None,
        keepalive_interval=place.keepalive_s,
        keepalive_count_max=4,
        encryption_algs=_CIPHERS,
        **proof,
    )
    try:
        return await asyncio.wait_for(connecting, place.connect_timeout_s)
    except asyncssh.HostKeyNotVerifiable as exc:
        raise _wrong_host_key(place, hop, offered, said(exc)) from exc
    except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError) as exc:
        # a server that has no key of the pinned kind ends the connection, without a word
        key = await _shown(asyncssh, place, hop, tunnel)
        if key is not None and key not in known.match(hop.host, "", hop.port)[0]:
            raise _wrong_host_key(place, hop, [key], said(exc)) from exc
        if not isinstance(exc, asyncssh.KeyExchangeFailed):
            raise _unreachable(place, hop, exc) from exc
        why = f"the server and this host have no algorithm in common ({said(exc)})"
        raise _refused(place, hop, why, "its SSH server is too old: have it updated") from exc
    except asyncssh.PermissionDenied as exc:
        raise _refused_login(place, hop, kind, proof, said(exc)) from exc
    except (asyncio.TimeoutError, asyncssh.Error, OSError) as exc:
        raise _unreachable(place, hop, exc) from exc


def _proof(asyncssh: Any, place: Place, hop: Hop) -> tuple[str, dict[str, Any]]:
    """What the hop's user shows: (kind, options of asyncssh.connect). The key stays in memory."""
    where = f"destination {place.destination}"
    kind, text = login(where, hop.credential)
    if kind == "password":
        return kind, {"password": text, "client_keys": None}
    try:
        key = asyncssh.import_private_key(text.strip() + "\n")
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as exc:
        why, hint = "is no private key", "it is the whole text of the file, BEGIN and END too"
        if "passphrase" in said(exc).lower():
            why, hint = "is protected by a passphrase", "remove it: ssh-keygen -p -N '' -f FILE"
    else:
        return kind, {"client_keys": [key], "password": None}
    raise ConfigError(f"the credential {hop.credential.name!r} of {where} {why}", hint=hint)


async def _shown(asyncssh: Any, place: Place, hop: Hop, tunnel: Any) -> Any:
    """The host key that the server shows whom it likes; None if it shows none now."""
    asking = asyncssh.get_server_host_key(hop.host, hop.port, tunnel=tunnel, config=None)
    try:
        return await asyncio.wait_for(asking, place.connect_timeout_s)
    except (asyncio.TimeoutError, asyncssh.Error, OSError):
        return None


def _wrong_host_key(place: Place, hop: Hop, offered: list[Any], says: str) -> DestinationError:
    if not offered:
        why = f"its host key cannot be verified ({says})"
        return _refused(place, hop, why, "correct host_key")
    key = offered[0]
    public = key.export_public_key().decode().split()
    fingerprint = key.get_fingerprint()
    return _refused(
        place,
        hop,
        f"it shows a host key that is not pinned, {public[0]} {fingerprint}",
        f"somebody may be in between. If its administrator names this fingerprint (ssh-keygen -lf "
        f"on the server), pin it in host_key: {public[0]} {public[1]}",
    )


def _refused_login(
    place: Place, hop: Hop, kind: str, proof: dict[str, Any], says: str
) -> DestinationError:
    if kind == "password":
        hint = f"correct the credential {hop.credential.name!r}, or use a key"
        return _refused(place, hop, f"the password of {hop.user} is refused ({says})", hint)
    public = proof["client_keys"][0].export_public_key().decode().split()
    why = f"the key {proof['client_keys'][0].get_fingerprint()} of {hop.user} is refused"
    hint = f"add to that user's authorized_keys on the server: {public[0]} {public[1]}"
    return _refused(place, hop, why, hint)


def _refused(place: Place, hop: Hop, why: str, hint: str) -> DestinationError:
    return DestinationError(f"{place.told('use', str(hop))}: {why}", hint=hint, permanent=True)


def _unreachable(place: Place, hop: Hop, exc: BaseException) -> Unreachable:
    timed_out = isinstance(exc, asyncio.TimeoutError) and not str(exc).strip()
    slow = f"no answer in {place.connect_timeout_s:g} seconds"
    return Unreachable(
        f"{place.told('reach', str(hop))}: {slow if timed_out else said(exc)}", hint=REACH_HINT
    )
