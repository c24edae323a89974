"""Store a growing archive of so many MiB, and print the peak memory of this process in bytes.

store_in_parts.py ENDPOINT BUCKET SPOOL MIB SIZE_HINT; the key in KEY and WORD.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "plugins" / "module_utils"))

from engine.destinations.s3.destination import S3  # noqa: E402
from engine.model import Secret  # noqa: E402
from engine.spool import Spool  # noqa: E402


def main() -> None:
    endpoint, bucket, path, mebibytes, size_hint = sys.argv[1:]
    key = {"access_key_id": os.environ["KEY"], "secret_access_key": os.environ["WORD"]}
    place = S3(name="offsite", bucket=bucket, endpoint=endpoint, credential=Secret.of(key))
    spool = Spool(Path(path), size_hint=int(size_hint))
    storing = threading.Thread(target=place.store, args=("archives/h/j/x", spool))
    storing.start()
    block = os.urandom(1 << 20)
    for _number in range(int(mebibytes)):
        spool.write(block)
    spool.commit()
    storing.join()
    (stored,) = place.list("archives/")
    assert stored.size_bytes == spool.size_bytes
    # not getrusage: its maximum begins with that of the process that started this one
    status = Path("/proc/self/status").read_text()
    (peak_kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    print(int(peak_kib) * 1024)


if __name__ == "__main__":
    main()
