# SPDX-License-Identifier: GPL-3.0-or-later
"""Call a watcher outside, who misses us when we are silent: its URL when all is well, URL/fail when not."""

from __future__ import annotations

import time
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError, LifeboatError
from ..model import Secret
from ..web import NoAnswer, status_of

_TIMEOUT_S = 10.0
_ATTEMPTS = 3
_PAUSE_S = 1.0


class Ping:
    """One URL, as healthchecks.io and its like give it. It is a secret: who has it can say that all is well."""

    kind = "ping"

    def __init__(self, url: Secret) -> None:
        self._url = url

    def send(self, good: bool) -> None:
        """Raises LifeboatError, without the URL, when nobody took the call."""
        url = self._parts()
        if not good:
            url = url._replace(path=url.path.rstrip("/") + "/fail")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                status = status_of(url, _TIMEOUT_S)
            except NoAnswer as exc:
                why = str(exc)
            else:
                if 200 <= status < 300:
                    return
                why = f"it answered with status {status}"
            if attempt < _ATTEMPTS:
                time.sleep(_PAUSE_S)
        raise LifeboatError(
            f"notify.ping was not taken: {why}",
            hint="see that its URL is right, and can be reached",
        )

    def _parts(self) -> SplitResult:
        text = self._url.reveal()
        try:
            url = urlsplit(text.strip() if isinstance(text, str) else "")
            if url.scheme in ("http", "https") and url.hostname and url.port != 0:
                return url
        except ValueError:
            pass
        raise ConfigError("notify.ping: the credential is no http or https URL")
