# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one URL over HTTP or HTTPS, and follow nothing."""

from __future__ import annotations

from urllib.parse import SplitResult


class NoAnswer(Exception):
    """Why there was none, without the URL, which may be a secret."""


def status_of(url: SplitResult, timeout_s: float) -> int:
    """The status of the answer to a GET; certificates are checked. Raises NoAnswer."""
    import http.client  # loaded by what asks over HTTP alone: a start counts
    import ssl

    host, target = str(url.hostname), (url.path or "/") + (f"?{url.query}" if url.query else "")
    line: http.client.HTTPConnection
    try:
        if url.scheme == "https":
            context = ssl.create_default_context()
            line = http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=context)
        else:
            line = http.client.HTTPConnection(host, url.port, timeout=timeout_s)
    except ValueError as exc:  # of the port
        raise NoAnswer(str(exc)) from exc
    try:
        line.request("GET", target, headers={"User-Agent": "lifeboat"})
        return line.getresponse().status
    except OSError as exc:
        raise NoAnswer(exc.strerror or str(exc) or type(exc).__name__) from exc
    except (http.client.HTTPException, UnicodeError) as exc:  # what it says may hold the URL
        raise NoAnswer(type(exc).__name__) from exc
    finally:
        line.close()
