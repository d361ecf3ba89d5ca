"""What every request must pass: a known host name, no cross-site posts, and safe headers on the answer.

A local server is open to every page in the user's browser: a page may post to it, and by DNS rebinding may even
read from it. The host check stops rebinding, the origin check stops cross-site posts.
"""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediagen.api.problems import problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = [  # no route sets one of these itself
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_REMEMBERED = 64


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return the first header of the lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def headers_of(scope: Scope, name: bytes) -> list[str]:
    """Return all headers of the lower-case name; an object for all headers costs more than the request."""
    return [str(value, "latin-1") for key, value in scope["headers"] if key == name]


class Guard:
    """ASGI middleware; see the module's text."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._known = lru_cache(_REMEMBERED)(self._is_known)  # clients name the same host again and again

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        answer = self._app if refusal is None else problem(403, refusal, code="forbidden")
        await answer(scope, receive, send_safely)

    def _refusal(self, scope: Scope) -> str | None:
        hosts = headers_of(scope, b"host")
        if len(hosts) != 1 or not self._known(hosts[0]):
            host = ", ".join(hosts)[:100]
            return f"This server does not answer for the host {host!r}; add it to ALLOWED_HOSTS"
        if scope["method"] in _SAFE_METHODS:
            return None
        if not {"same-origin", "none"}.issuperset(headers_of(scope, b"sec-fetch-site")):
            return "A page of another site may not change anything here"
        for origin in headers_of(scope, b"origin"):
            if not self._known(_netloc(origin)):
                return (
                    f"A page of {origin[:100]!r} may not change anything here; add its host to ALLOWED_HOSTS"
                )
        return None

    def _is_known(self, host: str) -> bool:
        return "*" in self._hosts or _name(host) in self._hosts


def _netloc(origin: str) -> str:
    """Return host and port of an origin; nothing of a malformed one."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Return the host name of a Host header, lower case, without the port."""
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit() and not (name.count(":") and not name.endswith("]")):
        host = name
    return host.lower()
