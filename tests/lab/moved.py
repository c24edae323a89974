"""Programs of tests/lab/sid where every user can start them: the cache may be root's alone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def for_everyone(programs: str) -> Iterator[str]:
    """The directory of the same programs in a root that was copied (by links) to where all may look."""
    root, usr, rest = programs.rpartition("/usr/")
    folder = Path(tempfile.mkdtemp(prefix="lb-root-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        linked = subprocess.run(["cp", "-al", root, folder / "root"], capture_output=True)
        if linked.returncode:  # another file system
            subprocess.run(["cp", "-a", root, folder / "root"], check=True)
        yield f"{folder}/root{usr}{rest}"
    finally:
        shutil.rmtree(folder)
