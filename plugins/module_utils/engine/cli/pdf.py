# SPDX-License-Identifier: GPL-3.0-or-later
"""Print a page as PDF, by whatever program this host has for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..errors import LifeboatError, MissingDependency
from ..files import write
from ..model import Command
from ..process import run

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "weasyprint", "wkhtmltopdf")
_TIMEOUT_S = 180.0


def renderer() -> str:
    """The program that makes PDFs here; raises MissingDependency."""
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    raise MissingDependency(
        "no program here makes a PDF of a page",
        hint="install one of chromium, weasyprint or wkhtmltopdf; or take --html, and print that elsewhere",
    )


def put_pdf(program: str, page: str, path: Path) -> None:
    """Write `page` to `path` as PDF; raises ProcessError, LifeboatError."""
    with tempfile.TemporaryDirectory(prefix="lifeboat-report-") as folder:
        source, made = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_text(page, encoding="utf-8")
        command = Command(_argv(program, source, made), env={"HOME": folder, "TMPDIR": folder})
        run(command, timeout_s=_TIMEOUT_S)
        content = made.read_bytes() if made.is_file() else b""
    if not content.startswith(b"%PDF-"):
        raise LifeboatError(
            f"{program} made no PDF", hint="take --html, and print that page elsewhere"
        )
    try:
        write(path, content, 0o640)
    except OSError as exc:
        raise LifeboatError(
            f"the report {path} cannot be written: {exc.strerror}", hint="see that directory"
        ) from exc


def _argv(program: str, source: Path, made: Path) -> tuple[str, ...]:
    name = os.path.basename(program)
    if name.startswith(("chrom", "google")):
        # as root a browser has no sandbox; the page is ours, and holds no script
        bare = ("--no-sandbox",) if os.geteuid() == 0 else ()
        quiet = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", *bare)
        printing = ("--no-pdf-header-footer", f"--print-to-pdf={made}")
        return (program, *quiet, *printing, source.as_uri())
    return (program, str(source), str(made))
