# SPDX-License-Identifier: GPL-3.0-or-later
"""Start real SFTP servers on loopback: OpenSSH, OpenSSH made as poor as shared hosting is, ProFTPD.

    with sftp.OpenSSH(folder) as server: server.port, server.host_key, server.key, server.user

`folder` must be a directory that the server's user may walk to. As root the login is `nobody`, so
that the server has rights to refuse; otherwise it is whoever runs the tests.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = os.geteuid() == 0
POOR = (
    "posix-rename,fsync,statvfs,fstatvfs,setstat,fsetstat,lsetstat,limits,hardlink,symlink,readlink,"
    "copy-data,expand-path,home-directory,users-groups-by-id"
)


def missing(*programs: str) -> str:
    """Why these servers cannot be started here, or nothing."""
    absent = [one for one in programs if not program(one)]
    return f"{' and '.join(absent)} not installed" if absent else ""


def program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


class Server:
    """One server; ends when the block does. Files of the login lie in `files`, which it sees as `path`."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.user = "nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
        self.files = folder / "files"
        self.path = str(self.files)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.key = make_key(folder / "login")
        make_key(folder / "host_key")
        (folder / "login.pub").chmod(0o644)  # the login itself reads it, whatever our umask is
        self.files.mkdir(exist_ok=True)
        self.files.chmod(0o755)
        if ROOT:
            shutil.chown(self.files, self.user)

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def argv(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        said = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.argv()[0]} does not listen: {said}")

    def stop(self) -> None:
        if self.process is not None:
            self.cut()
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def sessions(self) -> list[int]:
        """Processes that serve a connection, the youngest first."""
        assert self.process is not None
        return descendants(self.process.pid)

    def cut(self) -> int:
        """End every connection the hard way; how many processes were killed."""
        pids = self.sessions()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(pids)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class OpenSSH(Server):
    """`subsystem` is what the login gets; `chroot` puts it into the folder above its files.

    `limits` is an argument list that the server is started through, such as prlimit.
    """

    def __init__(
        self,
        folder: Path,
        subsystem: str = "internal-sftp",
        chroot: bool = False,
        limits: tuple[str, ...] = (),
        port: int = 0,
    ) -> None:
        super().__init__(folder, port)
        self.limits = limits
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {folder}/host_key",
            f"PidFile {folder}/pid",
            f"AuthorizedKeysFile {folder}/login.pub",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "AllowTcpForwarding yes",
            "MaxStartups 100",
            "LogLevel VERBOSE",
            f"Subsystem sftp {subsystem}",
        ]
        if chroot and ROOT:
            self.path = "/files"
            lines += [f"ChrootDirectory {folder}", f"ForceCommand {subsystem}"]
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def argv(self) -> list[str]:
        if ROOT:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # its package makes it at boot
        sshd = [program("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        return [*self.limits, *sshd]


class ProFTPD(Server):
    """Refuses to append and to run programs; its login is in a file of its own.

    `crypted`: the login's password, as crypt(3) has it.
    """

    def __init__(self, folder: Path, crypted: str = "*") -> None:
        super().__init__(folder)
        login = pwd.getpwnam(self.user)
        self.user = "client"
        self.path = "/"
        known = f"client:{crypted}:{login.pw_uid}:{login.pw_gid}::{self.files}:/bin/sh\n"
        (folder / "users").write_text(known)
        (folder / "users").chmod(0o600)
        # its own form of public key
        exported = subprocess.run(
            ["ssh-keygen", "-e", "-f", str(folder / "login.pub")], check=True, capture_output=True
        ).stdout
        (folder / "authorized").write_bytes(exported)
        (folder / "authorized").chmod(0o644)
        group = login.pw_gid
        lines = [
            "ModulePath /usr/lib/proftpd",
            "LoadModule mod_sftp.c",
            "ServerType standalone",
            f"Port {self.port}",
            "DefaultAddress 127.0.0.1",
            "UseIPv6 off",
            "UseReverseDNS off",
            "WtmpLog off",
            f"PidFile {folder}/pid",
            f"ScoreboardFile {folder}/scoreboard",
            "DelayEngine off",
            f"User {login.pw_name}",
            f"Group {_group(group)}",
            f"AuthUserFile {folder}/users",
            "AuthOrder mod_auth_file.c",
            "RequireValidShell off",
            "DefaultRoot ~",
            "MaxInstances 100",
            "SFTPEngine on",
            f"SFTPHostKey {folder}/host_key",
            f"SFTPAuthorizedUserKeys file:{folder}/authorized",
            "SFTPAuthMethods publickey password",
            f"SFTPLog {folder}/sftp.log",
        ]
        (folder / "proftpd.conf").write_text("\n".join(lines) + "\n")

    def argv(self) -> list[str]:
        return [program("proftpd"), "-n", "-q", "-c", str(self.folder / "proftpd.conf")]


def make_key(path: Path) -> str:
    """An ed25519 key pair at `path`; the private key's text."""
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
        subprocess.run(command, check=True)
    return path.read_text()


def descendants(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            child = int(path.parent.name)
            found += [*descendants(child), child]
    return found


def free_port() -> int:
    """A port that no connection is given by the system, so that it stays free until it is used."""
    for _attempt in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no port is free")


def _group(number: int) -> str:
    import grp

    return grp.getgrgid(number).gr_name
