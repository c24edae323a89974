#!/usr/bin/python3
"""An application that keeps its data its own way, and can write it out and read it back.

notes.py dump > FILE, load < FILE, clear, count
"""

import json
import pathlib
import sys

HOME = pathlib.Path("/srv/notes/kept")


def kept():
    return {path.name: path.read_text() for path in sorted(HOME.glob("*"))}


asked = sys.argv[1]
if asked == "dump":
    json.dump(kept(), sys.stdout)
elif asked == "load":
    for name, text in json.load(sys.stdin).items():
        (HOME / name).write_text(text)
elif asked == "clear":
    for path in HOME.glob("*"):
        path.unlink()
elif asked == "count":
    json.dump({"kind": "shelf", "name": "notes", "notes": len(kept())}, sys.stdout)
else:
    sys.exit(f"notes.py: {asked}?")
