"""The HTTP client that providers share: `send_once` for what costs money, `read` for what is free.

A paid request is sent once or not at all, and the caller learns which: `NotSent` when certainly no byte of it
left, `Answer` when a whole HTTP answer came back, `Ambiguous` for everything between. The verdict does not
depend on which error was raised, but on whether the first byte was released to the socket.
"""

import asyncio
import io
import json as jsonlib
import re
import socket
import struct
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from mediagen import __version__
from mediagen.clock import Clock
from mediagen.errors import InvalidRequest, PredictionGone, ProviderError, Unreadable
from mediagen.providers.answers import Answer, number_of, parse_json, said_in
from mediagen.providers.base import TAKEN_OVER, MaySend, agrees, always
from mediagen.providers.clocks import ServerClock

MAX_ANSWER_BYTES = 16 * 1024**2  # of a paid request
MAX_READ_BYTES = 64 * 1024**2  # of a free one: lists with pictures in them come to tens of megabytes
LARGE_BYTES = 1024**2  # from here on JSON is parsed in a thread, and few answers at a time are read
MAX_TEXT = 500  # characters of a provider's text that are kept
MAX_RAW = 2000  # characters that are kept of an answer that can't be read
MAX_PAUSE_S = 3600.0  # the longest pause that a provider may ask for

_CONTROL = re.compile(  # control characters, lone surrogates, invisible and direction-changing characters
    r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+"
)
_RESETS_IN = re.compile(r"resets? in ~?\s*(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s|m|h)?", re.ASCII | re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FAILURES = (aiohttp.ClientError, OSError, ValueError)  # asyncio's timeouts are OSErrors


@dataclass(frozen=True, kw_only=True)
class NotSent:
    """No byte of the request left this machine: nothing can have been bought."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Ambiguous:
    """The request may have arrived, but no whole answer came back."""

    message: str


class _Stopped(Exception):
    """Ends a send from inside aiohttp, by a name that its retry loop does not know."""


class _TooLong(ValueError):
    """The answer is over the cap."""

    def __init__(self, most: int, beginning: bytes) -> None:
        super().__init__(f"the answer has more than {most} bytes")
        self.beginning = beginning


class _Sending:
    """One paid request on its way: decides at the last moment whether it leaves, and remembers it."""

    def __init__(self, clock: Clock, send_by: float, may_send: MaySend) -> None:
        self._clock = clock
        self._send_by = send_by
        self._may_send = may_send
        self._refusal = ""
        self._over = False
        self.released = False
        self.sent_at = clock.monotonic()

    @property
    def time_left_s(self) -> float:
        return self._send_by - self._clock.monotonic()

    async def once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # aiohttp sends idempotent methods (PUT, DELETE) again after a lost connection, even a new one.
        try:
            return await handler(request)
        except _FAILURES as error:
            raise _Stopped(_why(error)) from error

    async def release(self) -> None:
        """Let the first byte go, or raise. Later chunks of the same body pass."""
        if self.released and not self._over:
            return
        if not self._over and not await self._is_ours():
            self._refusal = TAKEN_OVER
            raise _Stopped(TAKEN_OVER)
        if self._over or self.time_left_s < 0:  # last of all: to ask took time
            raise _Stopped("too late")
        self.released, self.sent_at = True, self._clock.monotonic()

    async def _is_ours(self) -> bool:
        try:
            async with asyncio.timeout(max(0.0, self.time_left_s)):
                return await agrees(self._may_send)
        except TimeoutError as error:
            raise _Stopped("too late") from error

    def end(self, why: str) -> NotSent | Ambiguous:
        self._over = True
        if self.released:
            return Ambiguous(message=why)
        late = "it was too late" if self.time_left_s < 0 else why
        return NotSent(message=f"not sent: {self._refusal or late}")


async def _before_chunk(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestChunkSentParams
) -> None:
    # Runs when the connection stands and before headers and body, which are written together, go out.
    await context.trace_request_ctx.release()


def paid_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket whose unsent bytes die with its process.

    Without these options the kernel delivers a POST seconds after its process was killed, when a broken
    network heals (seen on Linux), and so after another worker has bought the same thing.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # on, 0 s: close() resets
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)  # ms for unacknowledged bytes
    return made


class ProviderHTTP:
    """One provider's HTTP address. Never uses a proxy, follows no redirect, keeps no cookie.

    `headers` go with every request; each word of them that is long enough to be a token is cut out of all
    texts that come back. Connections open at the first request and belong to that event loop. `server_clock`
    listens to every answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_read_bytes: int = MAX_READ_BYTES,
        connect_timeout_s: float = 10.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._headers = dict(headers or {})
        self._secrets = [word for value in self._headers.values() for word in value.split() if len(word) >= 8]
        self._max_answer_bytes = max_answer_bytes
        self._max_read_bytes = max_read_bytes
        self._large = asyncio.Semaphore(2)  # bounds the memory that large answers take
        self.server_clock = ServerClock(clock)
        self._connect_timeout_s = connect_timeout_s
        self._paid: aiohttp.ClientSession | None = None
        self._free: aiohttp.ClientSession | None = None

    async def send_once(
        self,
        method: str,
        path: str,
        json: Any,
        *,
        headers: Mapping[str, str] | None = None,
        send_by: float,
        timeout_s: float,
        may_send: MaySend = always,
    ) -> Answer | NotSent | Ambiguous:
        """Send one paid request on a connection of its own, at most once, and say what is known of it.

        When the connection stands, right before the first byte, `may_send` is asked and then the clock is read:
        without its yes, and after `send_by` (by `Clock.monotonic`), nothing is sent. `timeout_s` bounds all of it.
        Raises only `InvalidRequest`, when `json` can't be written as JSON.
        """
        body = io.BytesIO(_encode(json))  # aiohttp writes large bytes in one go, a file in pieces
        sending = _Sending(self._clock, send_by, may_send)
        if sending.time_left_s <= 0:
            return sending.end("too late")
        self._paid = self._paid or self._new_session(paid=True)
        try:
            async with self._paid.request(
                method,
                self._url(path),
                data=body,
                headers={"Content-Type": "application/json", **(headers or {})},
                timeout=aiohttp.ClientTimeout(
                    total=timeout_s, connect=min(self._connect_timeout_s, sending.time_left_s)
                ),
                allow_redirects=False,
                middlewares=(sending.once,),
                trace_request_ctx=sending,
            ) as response:
                self._hear(response, sending.sent_at)
                return await self._answer(response, self._max_answer_bytes, paid=True)
        except (*_FAILURES, _Stopped) as error:
            return sending.end(self.clean(_why(error)))

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Send one free request and return the whole answer, whatever its status.

        Raises `ProviderError` when none came, and `Unreadable` for one over the cap.
        """
        body = None if json is None else io.BytesIO(_encode(json))
        self._free = self._free or self._new_session(paid=False)
        sent_at = self._clock.monotonic()
        try:
            async with self._free.request(
                method,
                self._url(path, params),
                data=body,
                headers={**({"Content-Type": "application/json"} if body else {}), **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=self._connect_timeout_s),
                allow_redirects=False,
            ) as response:
                self._hear(response, sent_at)
                return await self._answer(response, self._max_read_bytes)
        except _TooLong as error:
            raise self.unreadable(f"{method} {path}: {error}", error.beginning) from error
        except _FAILURES as error:
            raise ProviderError(self.clean(f"{method} {path}: {_why(error)}")) from error

    async def read(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Any:
        """Send one free request and return the JSON of its 2xx answer; None for an empty one.

        Raises `PredictionGone` for 410 and for a 404 in the provider's own words, `Unreadable` for a 2xx answer
        that is no JSON, and `ProviderError` (with the pause that the provider asked for) for every other status
        and a lost connection.
        """
        answer = await self.exchange(
            method, path, params=params, json=json, headers=headers, timeout_s=timeout_s
        )
        if not answer.ok:
            raise self.refused(f"{method} {path}", answer)
        if answer.body and answer.json is None:
            raise self.unreadable(f"{method} {path}: the answer is no JSON", answer.body)
        return answer.json

    def refused(self, what: str, answer: Answer) -> ProviderError:
        """Return the error that says why the provider did not do `what`."""
        message = self.clean(f"{what}: HTTP {answer.status}: {self.problem(answer)}")
        if answer.status == 410 or (answer.status == 404 and answer.own):
            return PredictionGone(message, sure=answer.status == 410)
        return ProviderError(message, retry_after_s=self.retry_after_s(answer))

    def unreadable(self, what: str, body: bytes) -> Unreadable:
        """Return the error that says that an answer can't be read, with its beginning."""
        return Unreadable(
            self.clean(what), raw=self._line(body[: 4 * MAX_RAW].decode(errors="replace"), MAX_RAW)
        )

    def problem(self, answer: Answer) -> str:
        """Return the provider's own words on what is wrong, cleaned; empty when it has none."""
        said = said_in(answer.json)
        return self.clean(said if said is not None else answer.body[:4096].decode(errors="replace"))

    def retry_after_s(self, answer: Answer) -> float | None:
        """Return the seconds that the provider asks to wait, 0 to 3600, or None when it asks for none.

        Read from `Retry-After` (seconds or an HTTP date), the body's `retry_after`, or "resets in ~30s".
        """
        pause = self._retry_after_header(answer.headers.get("Retry-After", "").strip())
        if pause is None and isinstance(answer.json, dict):
            pause = number_of(answer.json.get("retry_after"))
        if pause is None and (found := _RESETS_IN.search(self.problem(answer))):
            pause = float(found[1]) * _UNITS_S[(found[2] or "s").lower()]
        return None if pause is None else min(max(pause, 0.0), MAX_PAUSE_S)

    def _retry_after_header(self, value: str) -> float | None:
        if _SECONDS.fullmatch(value):
            return float(value)
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp() - self._clock.now_ms() / 1000

    def clean(self, text: str) -> str:
        """Return a provider's text fit for logs and people: one line, 500 characters, without our token."""
        return self._line(text, MAX_TEXT)

    def _line(self, text: str, most: int) -> str:
        text = text[: 8 * most]
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = _CONTROL.sub(" ", text).strip()
        return text if len(text) <= most else text[: most - 1] + "…"

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        sessions, self._paid, self._free = (self._paid, self._free), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    def _url(self, path: str, params: Mapping[str, str] | None = None) -> URL:
        return URL(self.base_url + path + (f"?{urlencode(params)}" if params else ""), encoded=True)

    def _new_session(self, *, paid: bool) -> aiohttp.ClientSession:
        traces = []
        if paid:
            connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=paid_socket)
            traces.append(aiohttp.TraceConfig())
            traces[0].on_request_chunk_sent.append(_before_chunk)
        else:
            connector = aiohttp.TCPConnector(limit=128)
        return aiohttp.ClientSession(
            connector=connector,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # so that the byte cap holds for what is kept, too
                "User-Agent": f"mediagen/{__version__}",
                **self._headers,
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            trace_configs=traces,
        )

    def _hear(self, response: aiohttp.ClientResponse, sent_at: float) -> None:
        if response.headers.get("Age", "0") == "0":  # what a cache has kept tells the time of then
            self.server_clock.heard(response.headers.get("Date", ""), sent_at, self._clock.monotonic())

    async def _answer(self, response: aiohttp.ClientResponse, most: int, *, paid: bool = False) -> Answer:
        body = bytearray()
        async with AsyncExitStack() as stack:
            async for chunk in response.content.iter_any():
                was_large = len(body) > LARGE_BYTES
                body += chunk
                if len(body) > most:
                    raise _TooLong(most, bytes(body[: 4 * MAX_RAW]))
                if not paid and not was_large and len(body) > LARGE_BYTES:
                    await stack.enter_async_context(self._large)
            whole = bytes(body)
            said = (
                await asyncio.to_thread(parse_json, whole) if len(whole) > LARGE_BYTES else parse_json(whole)
            )
        return Answer(status=response.status, headers=response.headers, body=whole, json=said)


def path_of(*segments: str) -> str:
    """Return the path of these segments, quoted so that none of them can reach another path."""
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} is no part of a path")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def _encode(value: Any) -> bytes:
    try:
        return jsonlib.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the input can't be written as JSON: {error}") from error


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if not isinstance(error, _Stopped) else str(error)
