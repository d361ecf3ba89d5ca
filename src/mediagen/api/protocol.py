"""HTTP/1.1 on a socket, with bounds on what a request may weigh before there is one and how long it may come.

uvicorn's parser takes heads and trailers of any size: 200 MB of headers took 4 GB of memory (uvicorn 0.54). It waits
for ever for the rest of a request, and at its own end answers such a one with a 500. And it writes the head and the
body of an answer with a system call each, a tenth of what an accept costs: here they are joined.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of trailers. Proxies take 8 to 32 KB."""

ARRIVES_WITHIN_S = 60.0
"""Of a request, from its first byte to its last; also of the first byte on a new connection."""


def _refusal(status: str, why: bytes, *headers: bytes) -> bytes:
    head = [
        f"HTTP/1.1 {status}".encode(),
        b"content-type: text/plain; charset=utf-8",
        f"content-length: {len(why)}".encode(),
        b"connection: close",
        *headers,
    ]
    return b"\r\n".join([*head, b"", why])


_TOO_LONG = _refusal("431 Request Header Fields Too Large", b"The request line and the headers are too long")
_TOO_SLOW = _refusal("408 Request Timeout", b"The request did not come whole in time; send it again")
_STOPPING = _refusal(
    "503 Service Unavailable", b"The server is stopping; send the request again", b"retry-after: 2"
)

_HELD_BYTES = 8 * 1024
"""Heads of answers are smaller; larger parts gain nothing by waiting."""


class JoinedTransport:
    """A transport that holds a small write until the next one, or until this turn of the event loop ends."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif 0 < len(data) <= _HELD_BYTES:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose bytes lead for too long neither to a request nor to a part of a body.

    `end_if_late` is to be called now and then: a timer for each request would cost each of them.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # whatever uvicorn gives
        self._fruitless_bytes = 0
        self._coming_since: float | None = self.loop.time()  # None between requests

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedTransport(transport, self.loop))  # type: ignore[arg-type]  # as much of one as it uses

    def data_received(self, data: bytes) -> None:
        if self._coming_since is None:
            self._coming_since = self.loop.time()
        self._fruitless_bytes += len(data)
        super().data_received(data)
        if self._fruitless_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LONG)

    def on_headers_complete(self) -> None:
        self._fruitless_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._fruitless_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._fruitless_bytes = 0
        self._coming_since = None
        super().on_message_complete()

    def end_if_late(self) -> None:
        """Refuse a request that has begun to come long ago and is not whole yet; end a connection without any."""
        late = self._coming_since is not None and self.loop.time() - self._coming_since > ARRIVES_WITHIN_S
        if late and not self.transport.is_closing():
            self._refuse(_TOO_SLOW)

    def shutdown(self) -> None:
        """Let what came whole be answered; nothing was done yet of what did not."""
        if self._waits_for_body:
            self._refuse(_STOPPING)
        else:
            super().shutdown()

    def _refuse(self, answer: bytes) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if (answered and self._fruitless_bytes) or self._waits_for_body:  # else another answer is on its way
            self.transport.write(answer)
        self.transport.close()

    @property
    def _waits_for_body(self) -> bool:
        cycle = self.cycle
        begun = cycle is not None and not cycle.response_started and not self.pipeline
        return begun and cycle.more_body

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing of what a client wants to speak instead of HTTP: it is told in the answer."""
