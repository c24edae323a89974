"""Lose a database and get it back: the real playbooks against this machine, in user scope, below .demo/."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import demo_servers as servers
import demo_timers

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
BIN = ROOT / ".venv" / "bin"
EXAMPLE = ROOT / "examples" / "demo"
KEY, LOG, DATA, DISK = DEMO / "operator.key", DEMO / "log", DEMO / "data", DEMO / "disk"
ORDERS, UPLOADS = DATA / "orders.sqlite", DATA / "uploads"
COMMAND = DEMO / "host" / "bin" / "lifeboat"
MADE = [
    "disk",
    "operator.key",
    "log",
    "host",
    "data",
    "s3",
    "variables.json",
    "ansible",
    "collections",
]
PHRASE = "RESTORE PRODUCTION"
BORROWED: dict[
    str, str
] = {}  # what leads lifeboat to the user's own systemd, where the demo may use it


class Failed(Exception):
    """The demo did not prove what it set out to prove."""


def main() -> int:
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the servers are stopped
    for name in [one for one in os.environ if one.startswith(("ANSIBLE_", "AWS_", "PG"))]:
        del os.environ[name]  # this user's own settings have no part in it
    try:
        with ExitStack() as running:
            running.enter_context(alone())
            tell_the_story(running)
    except (
        Failed,
        servers.Failed,
        demo_timers.Failed,
        OSError,
        subprocess.SubprocessError,
    ) as error:
        say(f"\nFAILED: {error}\n        the whole log is in {shown(LOG)}")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; the servers and timers of the demo are stopped")
        return 130
    say(f"\nAll of it was proved, in {time.monotonic() - started:.0f} s. The servers are stopped.")
    say(f"Left for you in {shown(DEMO)}/: disk/, s3/ (what the S3 server held), operator.key, log.")
    say(f"Try: {shown(COMMAND)} list shop --at disk")
    return 0


def tell_the_story(running: ExitStack) -> None:
    clean()
    step("Make something to lose")
    make_files()
    make_orders()
    say(f"  a SQLite database and a tree of files in {shown(DATA)}/")
    customers = start_postgresql(running)
    before = everything(customers)

    step("Start an S3 server, and make a key")
    s3 = running.enter_context(servers.s3(BIN / "moto_server", LOG))
    s3.make_bucket("lifeboat-demo")
    recipient = make_key()
    say(
        f"  moto on {s3.endpoint} (loopback) stands for the other site; its bucket is lifeboat-demo"
    )
    say(
        f"  the operator's private key is {shown(KEY)}; the host gets the public one only: {recipient[:16]}…"
    )
    write_variables(recipient, s3.endpoint, customers)

    step("Provision: playbooks/site.yml")
    systemd, why_not = borrow_systemd(running)
    told = play("site.yml")
    say(f"  engine, configuration and {shown(COMMAND)} are installed, all below .demo/host/")
    show_timers(told, systemd, why_not)
    again = play("site.yml")
    expect("changed=0" in again, "a second run of site.yml changed something")
    say("  a second run changed nothing")
    backup = newest()
    say(f"  a first backup was made: {backup['id']}")
    for name, state in sorted(backup["copies"].items()):
        say(f"    copy at {name}: {state}")
        expect(state == "intact", f"the copy at {name} is {state}, not intact")

    step("Verify every copy: playbooks/verify.yml")
    play("verify.yml")
    say("  every archive was read back from both destinations, and every hash is the manifest's")

    step("Destroy the data")
    destroy(customers)
    gone = everything(customers)
    expect(not any(gone.values()), "something survived the destruction")
    say("  the database files, the tree and what they held are gone: " + ", ".join(sorted(gone)))

    step("Ask for it back, carelessly: playbooks/restore.yml -e job=shop")
    refusal = play("restore.yml", "-e", "job=shop", refused=True)
    for wanted in ("Nothing was touched", PHRASE, "-e backup=ID"):
        expect(wanted in refusal, "the gate did not say what it wants")
    expect(not any(everything(customers).values()), "the refused restore touched something")
    say(f"  refused: this is production, so it wants the phrase {PHRASE},")
    say("  the id of the backup and the name of the host; nothing was touched")

    step("Ask properly")
    words = ["-e", "job=shop", "-e", f"backup={backup['id']}", "--limit", "localhost"]
    words += ["-e", f"restore_identity_file={shown(KEY)}", "-e", f"restore_confirm='{PHRASE}'"]
    say("  ansible-playbook playbooks/restore.yml " + " ".join(shown_words(words)))
    play("restore.yml", *words)
    after = everything(customers)
    for name in sorted(before):
        expect(after[name] == before[name], f"{name} is not what it was")
        say(f"  {name}: the same as before, {len(before[name])} {UNITS[name]}")

    step("Open an archive by hand, without lifeboat")
    archive = next(DISK.glob("archives/*/shop/*/orders.*.sqlite.zst.age"), None)
    expect(archive is not None, "there is no archive of the SQLite database on the disk")
    say(f"  age -d -i {shown(KEY)} {shown(archive)} | zstd -d > orders.sqlite")
    expect(orders_in(archive) == before["orders"], "the archive holds something else")
    say("  it holds the same rows; RESTORE.md beside it says this for every archive")
    s3.save_objects("lifeboat-demo", DEMO / "s3")
    if systemd:
        systemd.remove()
        say("  the timers of the demo are disabled and removed again; nothing of it runs on")


# -- what is protected

UNITS = {"orders": "rows", "uploads": "files and links", "customers": "rows"}


def everything(customers: servers.PostgreSQL | None) -> dict[str, list[Any]]:
    """All of the protected data as values that can be compared; empty where it is gone."""
    held = {"orders": rows(ORDERS), "uploads": tree(UPLOADS)}
    if customers:
        held["customers"] = customers.rows("customers", "SELECT * FROM customer ORDER BY id")
    return held


def rows(database: Path) -> list[Any]:
    if not database.exists():
        return []
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT * FROM orders ORDER BY id").fetchall()
    finally:
        connection.close()


def tree(folder: Path) -> list[Any]:
    return [
        (
            str(path.relative_to(folder)),
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            content(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    ]


def content(path: Path) -> str:
    if path.is_symlink():
        return "-> " + os.readlink(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def orders_in(archive: Path) -> list[Any]:
    plain = DEMO / "data" / "by-hand.sqlite"
    with open(plain, "wb") as out:
        age = subprocess.Popen(["age", "-d", "-i", KEY, archive], stdout=subprocess.PIPE)
        zstd = subprocess.run(["zstd", "-d", "-q"], stdin=age.stdout, stdout=out, check=False)
        age.stdout.close()
    expect(age.wait() == 0 and zstd.returncode == 0, "age or zstd could not open it")
    found = rows(plain)
    plain.unlink()
    return found


def make_orders() -> None:
    dice = random.Random(3)
    connection = sqlite3.connect(ORDERS)
    with connection:
        connection.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, note TEXT, paid REAL)"
        )
        connection.executemany(
            "INSERT INTO orders (customer, note, paid) VALUES (?, ?, ?)",
            [
                (
                    dice.randrange(2000),
                    f"two of no. {dice.randrange(10**9)} · déjà vu",
                    dice.random(),
                )
                for _ in range(20000)
            ],
        )
    connection.close()


def make_files() -> None:
    dice = random.Random(5)
    for number in range(40):
        path = UPLOADS / f"2026-{number % 12 + 1:02}" / f"receipt {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(dice.randrange(100_000)))
    (UPLOADS / "latest").symlink_to("2026-04/receipt 39.bin")
    (UPLOADS / "run-me").write_text("#!/bin/sh\necho bye\n")
    (UPLOADS / "run-me").chmod(0o750)


def start_postgresql(running: ExitStack) -> servers.PostgreSQL | None:
    folder = servers.postgresql_programs()
    if folder is None:
        say("  PostgreSQL's server programs are not installed, so it has no part in this")
        return None
    customers = running.enter_context(servers.postgresql(folder, LOG))
    customers.run("postgres", "CREATE DATABASE customers")
    customers.run(
        "customers",
        "CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, since timestamptz);"
        "INSERT INTO customer SELECT n, 'customer ' || n, timestamptz '2026-01-01 UTC' + n * interval '1 h'"
        " FROM generate_series(1, 5000) n; CREATE INDEX ON customer (name)",
    )
    say(
        f"  a database in PostgreSQL {customers.version}, a server of its own in {customers.folder}"
    )
    return customers


def destroy(customers: servers.PostgreSQL | None) -> None:
    ORDERS.unlink()
    shutil.rmtree(UPLOADS)
    say(f"  rm {shown(ORDERS)}; rm -r {shown(UPLOADS)}")
    if customers:
        customers.run("postgres", "DROP DATABASE customers")
        say("  DROP DATABASE customers")


# -- what is run


@contextmanager
def alone() -> Iterator[None]:
    """One demo at a time: they would remove each other's files."""
    path = ROOT / ".cache" / "demo.lock"
    path.parent.mkdir(exist_ok=True)
    with open(path, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another demo is running in this checkout; waiting for its end")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def clean() -> None:
    """Remove what an earlier demo made, and nothing else that lies there."""
    for name in MADE:
        path = DEMO / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    DATA.mkdir(parents=True)
    LOG.touch()
    collection = DEMO / "collections" / "ansible_collections" / "lifeboat" / "backup"
    collection.parent.mkdir(parents=True)
    collection.symlink_to(ROOT, target_is_directory=True)


def make_key() -> str:
    run("age-keygen", "-o", str(KEY))
    lines = KEY.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("# public key: ")).split()[-1]


def write_variables(recipient: str, endpoint: str, customers: servers.PostgreSQL | None) -> None:
    found = {
        "demo_directory": str(DEMO),
        "demo_cache": str(ROOT / ".cache" / "vendor"),
        "demo_recipient": recipient,
        "demo_endpoint": endpoint,
        "demo_python": host_python(),
        "demo_postgresql": str(customers.folder) if customers else "",
        "demo_user": servers.user_name(),
    }
    (DEMO / "variables.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def host_python() -> str:
    """The machine's own Python, as on any host; the demo's, where that one is too old or has no sqlite3."""
    asked = "import sqlite3, sys; sys.exit(sys.version_info < (3, 9))"
    for python in ("/usr/bin/python3", shutil.which("python3", path=plain_path())):
        if (
            python
            and subprocess.run(
                [python, "-c", asked], stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        ):
            return python
    return sys.executable


def plain_path() -> str:
    return os.pathsep.join(one for one in os.environ["PATH"].split(os.pathsep) if Path(one) != BIN)


def play(name: str, *words: str, refused: bool = False) -> str:
    """Run one of the playbooks; its output goes to the log and is returned."""
    command = [
        str(BIN / "ansible-playbook"),
        "-i",
        str(EXAMPLE / "inventory.yml"),
    ]
    command += ["-e", f"@{DEMO / 'variables.json'}", str(ROOT / "playbooks" / name), *words]
    status, output = run_logged(command)
    if refused:
        expect(status != 0, f"{name} should have been refused")
    elif status != 0:
        say(output[-3000:])
        raise Failed(f"{name} ended with status {status}")
    return output


def environment() -> dict[str, str]:
    found = dict(os.environ)
    found.pop("DBUS_SESSION_BUS_ADDRESS", None)
    found.update(
        ANSIBLE_COLLECTIONS_PATH=str(DEMO / "collections"),
        ANSIBLE_CONFIG=str(EXAMPLE / "ansible.cfg"),
        ANSIBLE_HOME=str(DEMO / "ansible"),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_REMOTE_TEMP=str(DEMO / "ansible" / "tmp"),
        NO_PROXY="127.0.0.1,localhost",
        no_proxy="127.0.0.1,localhost",
        # no systemd has its socket there: lifeboat never meets units that this user has
        XDG_RUNTIME_DIR=str(DEMO),
        XDG_CONFIG_HOME=str(DEMO / "host" / "units"),
    )
    found.update(BORROWED)
    return found


def run_logged(command: list[str]) -> tuple[int, str]:
    with open(LOG, "a", encoding="utf-8") as log:
        log.write("\n$ " + " ".join(command) + "\n")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(done.stdout)
    return done.returncode, done.stdout


def run(*command: str) -> str:
    status, output = run_logged(list(command))
    if status != 0:
        raise Failed(f"{command[0]} ended with status {status}: {output[-500:]}")
    return output


def newest() -> dict[str, Any]:
    done = subprocess.run(
        [COMMAND, "list", "shop", "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    backups = json.loads(done.stdout)
    expect(bool(backups), "site.yml made no backup")
    return backups[0]


def borrow_systemd(running: ExitStack) -> tuple[demo_timers.UserSystemd | None, str]:
    """This user's own systemd for the demo's timers, until the demo ends; or None, and why not."""
    found, why_not = demo_timers.find(COMMAND)
    if found:
        found.remove()  # what a demo that was killed left
        running.callback(found.remove)
        BORROWED.update(found.environment)
    return found, why_not


def show_timers(told: str, systemd: demo_timers.UserSystemd | None, why_not: str) -> None:
    if systemd is None:
        expect("not enabled" in told, "timers were enabled where they should not be")
        say(f"  its timers were checked (systemd-analyze verify) and not enabled: {why_not}")
        return
    listed = systemd.listed()
    expect(len(listed) > 1, "no timer is enabled in the user's systemd")
    say("  its timers are enabled in your own systemd until the demo ends; it waits for none:")
    say(f"  systemctl --user list-timers '{demo_timers.OURS}'")
    for line in listed:
        say(f"    {line}")


# -- how it speaks


def step(title: str) -> None:
    step.number = getattr(step, "number", 0) + 1
    say(f"\n{step.number}. {title}")
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"\n======== {step.number}. {title}\n")


def say(text: str) -> None:
    print(text, flush=True)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def shown_words(words: list[str]) -> Iterator[str]:
    for word in words:
        word = word.replace(str(DEMO), shown(DEMO))
        yield f'"{word}"' if " " in word else word


def expect(held: bool, otherwise: str) -> None:
    if not held:
        raise Failed(otherwise)


if __name__ == "__main__":
    sys.exit(main())
