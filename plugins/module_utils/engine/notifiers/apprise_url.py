# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell people through the library Apprise: a URL is an email, Slack, Discord, Telegram, a webhook, ..."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

from ..errors import ConfigError, LifeboatError, MissingDependency
from ..model import Secret

_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_TYPES = {"good": "success", "warning": "warning", "critical": "failure"}
_LEAST = 4  # letters; shorter words of a URL are no secrets, and are everywhere


class AppriseUrl:
    """One URL. It is a secret, for it holds a token or password: no error and no log shows any of it."""

    kind = "apprise"

    def __init__(self, name: str, url: Secret) -> None:
        self.name, self._url = name, url

    def send(self, title: str, body: str, severity: str) -> None:
        """Deliver one message; raises LifeboatError that says why it could not be, without the URL."""
        apprise = _library()
        url = self._text()
        service = apprise.Apprise()
        heard = _Heard()
        log = logging.getLogger("apprise")
        log.addHandler(heard)
        log.propagate, before = False, log.propagate  # its lines may hold the URL
        try:
            if not service.add(url):
                raise ConfigError(
                    f"notify.urls.{self.name}: Apprise does not know this kind of URL",
                    hint="write it as its documentation has it, such as slack://TOKEN/TOKEN/TOKEN",
                )
            sent = service.notify(title=title, body=body, notify_type=_TYPES[severity])
        finally:
            log.removeHandler(heard)
            log.propagate = before
        if not sent:
            raise LifeboatError(
                f"the notification to {self.name} was not delivered",
                detail=hidden("\n".join(heard.lines[-3:]), url),
                hint=f"try it with: lifeboat notify --test --to {self.name}",
            )

    def _text(self) -> str:
        url = self._url.reveal()
        if not isinstance(url, str) or "://" not in url:
            raise ConfigError(f"notify.urls.{self.name}: the credential is no URL")
        return url.strip()


def hidden(text: str, url: str) -> str:
    """`text` without any part of a URL that may be secret."""
    words: set[str] = set()
    for part in re.split(r"[/:@?&=#,\s]+", url):
        plain = unquote_plus(part)  # a service tells what it decoded, whole or a word of it
        words |= {part, unquote(part), plain, *re.split(r"[/:@?&=#,%\s]+", f"{part} {plain}")}
    words = {one for one in words if len(one) >= _LEAST}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***")
    return text


class _Heard(logging.Handler):
    """What the library says of a failure."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _library() -> Any:
    if _AUTHORITIES.is_file():  # those that the administrator trusts, not only those of certifi
        os.environ.setdefault("REQUESTS_CA_BUNDLE", str(_AUTHORITIES))
    try:
        import apprise
    except ImportError:
        raise MissingDependency(
            "notifications need the Python library apprise",
            hint="run site.yml: it brings the libraries; or install apprise>=2.2 for this Python",
        ) from None
    return apprise
