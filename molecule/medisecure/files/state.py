"""Print, as JSON, what the stores of this host hold: {store: [line, ...]}; [] = nothing is there."""

import json
import shutil
import subprocess
import sys


def lines(command):
    """What a client writes; [] when it fails, since what it asks for is gone."""
    told = subprocess.run(
        command.split(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
    )
    text = told.stdout.decode("utf-8", "backslashreplace")
    return [] if told.returncode else text.splitlines()


def patients():
    dump = lines("runuser -u postgres -- pg_dump --inserts medisecure")
    return [line for line in dump if not line.startswith(("--", "\\"))]


def records():
    """Each document as it is stored; BSON says its own length first."""
    dump = "mongodump --quiet --db=medisecure --collection=visits --out=-"
    told = subprocess.run(
        dump.split(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout
    found = []
    while told:
        length = int.from_bytes(told[:4], "little")
        found.append(told[:length].hex())
        told = told[length:]
    return sorted(found)


def billing():
    return lines("mariadb-dump --skip-comments --skip-extended-insert billing")


def sessions():
    redis = Redis("sessions-secret-of-the-lab")  # noqa: F821 (resp.py comes before)
    keys = sorted(redis.ask("KEYS", "*"))
    return [f"{key!r} {redis.ask('EXPIRETIME', key)} {redis.ask('DUMP', key)!r}" for key in keys]


ALL = [patients, billing, sessions] + ([records] if shutil.which("mongodump") else [])
json.dump({look.__name__: look() for look in ALL}, sys.stdout)
