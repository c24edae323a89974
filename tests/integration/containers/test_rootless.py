# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own podman: reached by root as that user, and by the user without root. Podman in podman."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

from .conftest import IMAGE, ROOT, Container, packed, podman, tiny_root, wait_for

USER = ("--user", "wiki", "-e", "HOME=/home/wiki", "-e", "XDG_RUNTIME_DIR=/run/user/1000")
INIT = 'chmod 666 /dev/fuse; mount --make-rshared /; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'
CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = """
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
"""
RUN_AS_ROOT = """
import sys; sys.path.insert(0, {root!r})
import importlib.util
spec = importlib.util.spec_from_file_location("lifeboat", {engine!r} + "/__init__.py",
    submodule_search_locations=[{engine!r}])
sys.modules["lifeboat"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from lifeboat.errors import LifeboatError
from lifeboat.model import Command
from lifeboat.pipeline import Pipeline
from lifeboat.placement import Placement
from lifeboat.process import run
place = Placement("podman", "wiki", owner={owner!r}, source="db")
try:
    {body}
except LifeboatError as exc:
    print(type(exc).__name__, exc, exc.hint)
"""


class Outer:
    """A host of its own, in a container, with a user `wiki` who has a podman and a container."""

    def __init__(self, container: Container, shared: Path) -> None:
        self.container, self.shared = container, shared

    def run(self, *argv: str, user: bool = False, stdin: bytes = b"") -> str:
        who = USER if user else ()
        return podman("exec", "-i", *who, self.container.name, *argv, stdin=stdin)

    def inside(self, script: str) -> str:
        """In the rootless container."""
        return self.run("podman", "exec", "wiki", "sh", "-c", script, user=True)

    def python(self, body: str, owner: str = "wiki") -> str:
        engine = str(ROOT / "plugins/module_utils/engine")
        code = RUN_AS_ROOT.format(root=str(ROOT), engine=engine, owner=owner, body=body)
        return self.run("python3", "-c", code)


class OuterHost(Host):
    """`lifeboat` in the outer host, as root or as `wiki`."""

    outer: Outer
    as_user = False

    def lifeboat(
        self, *words: str, before: str = "", stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        who = USER if self.as_user else ()
        argv = [
            "python3" if one == sys.executable else one for one in self.argv(*words, before=before)
        ]
        return subprocess.run(
            ["podman", "exec", "-i", *who, self.outer.container.name, *argv],
            input=stdin.decode(), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture(scope="module")
def outer(
    make_container: Callable[..., Container], tmp_path_factory: pytest.TempPathFactory
) -> Outer:
    base = tmp_path_factory.mktemp("outer")
    for one in (base, *base.parents):  # the user has to get there
        if one.stat().st_uid == 0 and str(one).startswith("/tmp/"):
            one.chmod(0o755)
    root = tiny_root(base / "root")
    (root / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nwiki:x:1000:1000::/home/wiki:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nwiki:x:1000:\n")
    for name in ("subuid", "subgid"):
        (root / "etc" / name).write_text("wiki:100000:65536\n")
    (root / "etc/containers").mkdir()
    (root / "etc/containers/containers.conf").write_text(CONTAINERS)
    (root / "etc/containers/storage.conf").write_text(STORAGE)
    (root / "etc/containers/policy.json").write_text(
        '{"default": [{"type": "insecureAcceptAnything"}]}'
    )
    for name in ("home/wiki", "run/user/1000"):
        (root / name).mkdir(parents=True, mode=0o700)
        shutil.chown(root / name, 1000, 1000)
    shared = base / "shared"
    shared.mkdir()
    podman("import", "-q", "-", "localhost/lb-outer", stdin=packed(root))
    made = Outer(
        make_container(
            "-v", f"{ROOT}:{ROOT}:ro", "-v", f"{shared}:{shared}", "--device", "/dev/fuse:rwm",
            "--cap-add", "SYS_ADMIN,NET_ADMIN,MKNOD,SYS_PTRACE,DAC_READ_SEARCH",
            "--security-opt", "unmask=ALL", image="localhost/lb-outer", command=("sh", "-c", INIT),
        ),
        shared,
    )  # fmt: skip
    made.run(
        "podman", "import", "-q", "-", IMAGE, user=True, stdin=packed(tiny_root(base / "small"))
    )
    made.run(
        "podman", "run", "-d", "--name", "wiki", "--network", "none", "-v", "/usr:/usr:ro",
        "-v", "data:/data", IMAGE, "sh", "-c", 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done',
        user=True,
    )  # fmt: skip
    return made


@pytest.fixture(params=["root", "wiki"])
def host(request: pytest.FixtureRequest, outer: Outer) -> OuterHost:
    base = outer.shared / request.param
    base.mkdir()
    made = OuterHost(base)
    made.outer, made.as_user = outer, request.param == "wiki"
    made.job["sources"] = {"files": {"type": "volume", "podman": "data"}}
    made.job["user"] = "wiki"
    made.configure()
    if made.as_user:
        subprocess.run(["chown", "-R", "1000:1000", str(base)], check=True)
    outer.inside("rm -rf /data/*; echo one >/data/one; mkdir /data/www; echo two >/data/www/two;"
                 " chown -R 33:33 /data/www; chmod 0700 /data/www")  # fmt: skip
    return made


SHOW = "cd /data; find . -printf '%p %U:%G %m\\n' | sort; cat one www/two"


def test_the_volume_of_a_rootless_podman_comes_back(host: OuterHost, outer: Outer) -> None:
    before = outer.inside(SHOW)
    id_ = host.run()
    outer.inside("rm -r /data/www; echo changed >/data/one")
    restored = host.restore(id_)
    assert restored.returncode == 0, restored.stderr
    assert outer.inside(SHOW) == before
    gate = ("--confirm", "RESTORE PRODUCTION", "--target-host", "h1")
    undone = host.lifeboat("undo", "shop", id_, *gate)
    assert undone.returncode == 0, undone.stderr
    assert outer.inside("cat /data/one; ls /data") == "changed\none"
    confirmed = host.lifeboat("confirm", "shop")
    assert confirmed.returncode == 0, confirmed.stderr
    place = outer.run("podman", "volume", "inspect", "-f", "{{.Mountpoint}}", "data", user=True)
    assert outer.run("ls", "-A", str(Path(place).parent)) == "_data"


def test_root_runs_programs_in_the_container_of_another_user(outer: Outer) -> None:
    body = 'print(run(place.wrap(Command(("sh", "-c", "id -u; echo $A"), {"A": "b"}))).decode())'
    assert outer.python(body).split() == ["0", "b"]


def test_without_the_option_user_it_is_told_whose_container_it_is(outer: Outer) -> None:
    told = outer.python('run(place.wrap(Command(("true",))))', owner="")
    assert (
        "SourceAbsent source db: there is no container wiki, as the user root sees podman" in told
    )
    assert "set `user: wiki` of the job" in told


def test_what_is_given_up_ends_in_the_container_of_another_user(outer: Outer) -> None:
    body = 'run(place.wrap(Command(("sleep", "651"))), timeout_s=2)'
    assert "gave no answer" in outer.python(body)
    listed = shlex.join(["ps", "-eo", "args"])
    assert wait_for(lambda: "sleep 651" not in outer.inside(listed))
