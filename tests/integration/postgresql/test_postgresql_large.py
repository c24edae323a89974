# SPDX-License-Identifier: GPL-3.0-or-later
"""One value of 1 GiB goes through the whole command, there and back, in bounded memory. With `make nightly`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

from .conftest import OS_USER, Server

MIB = 1 << 20
# VmHWM and not getrusage, which begins with the size of the process that forked.
PEAK = """
import atexit, re, sys
atexit.register(lambda: sys.stderr.write(
    "peak=" + re.search("VmHWM:\\\\s+(\\\\d+)", open("/proc/self/status").read()).group(1)))
"""
LOOK = """
SELECT count(*), sum(length(data)), bit_xor(hashtext(encode(data, 'hex')) * (pageno + 1)::bigint)
FROM pg_largeobject WHERE loid = 4711;
"""


@pytest.mark.skipif("LIFEBOAT_NIGHTLY" not in os.environ, reason="1 GiB takes minutes")
def test_a_value_of_1_gib_comes_back(server: Server, tmp_path: Path) -> None:
    server.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)")
    server.sql("CREATE DATABASE shop")
    piece = "convert_to(repeat(md5(n::text), 32768), 'utf8')"  # 1 MiB, another one each
    server.sql(
        "SELECT lo_create(4711);"
        f"SELECT lo_put(4711, n::bigint * {MIB}, {piece}) FROM generate_series(0, 1023) n \\g /dev/null",
        "shop",
    )
    before = server.sql(LOOK, "shop")
    assert str(1 << 30) in before
    host = Host(tmp_path)
    host.job["sources"] = {
        "db": {
            "type": "postgresql",
            "database": "shop",
            "host": str(server.folder),
            "port": server.port,
            **({} if OS_USER else {"user": "postgres"}),
        }
    }
    host.configure()
    done = host.lifeboat("run", "shop", before=PEAK)
    assert done.returncode == 0, done.stderr
    server.sql("DROP DATABASE shop WITH (FORCE)")

    restored = host.restore(done.stdout.strip(), before=PEAK)

    assert restored.returncode == 0, restored.stderr
    assert server.sql(LOOK, "shop") == before
    for one in (done, restored):
        peak = re.search(r"peak=(\d+)", one.stderr)
        assert peak
        assert int(peak.group(1)) * 1024 <= 150 * MIB
    server.sql("DROP DATABASE shop WITH (FORCE)")
