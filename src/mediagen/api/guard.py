"""What every request must pass: a known host name, no cross-site posts, and safe headers on the answer.

A local server is open to every page in the user's browser: a page may post to it, and by DNS rebinding may even
read from it. The host check stops rebinding, the origin check stops cross-site posts.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediagen.api.problems import problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = [  # no route sets one of these itself
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class Guard:
    """ASGI middleware; see the module's text."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        answer = self._app if refusal is None else problem(403, refusal, code="forbidden")
        await answer(scope, receive, send_safely)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._known(hosts[0]):
            host = ", ".join(hosts)[:100]
            return f"This server does not answer for the host {host!r}; add it to ALLOWED_HOSTS"
        if method in _SAFE_METHODS:
            return None
        if not {"same-origin", "none"}.issuperset(headers.getlist("sec-fetch-site")):
            return "A page of another site may not change anything here"
        for origin in headers.getlist("origin"):
            if not self._known(_netloc(origin)):
                return (
                    f"A page of {origin[:100]!r} may not change anything here; add its host to ALLOWED_HOSTS"
                )
        return None

    def _known(self, host: str) -> bool:
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
