"""The only client for URLs that users or providers give.

Such a URL may point at this machine, at the cloud's metadata, or at a server that sends for ever. So each hop
is parsed strictly, its name looked up once, every answer checked, and the connection made to exactly these
addresses (TLS name and Host stay those of the URL). Size, time and rate are bounded, and nothing that could
be a credential is sent: no cookies, no user names, no proxy or netrc of the environment.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mediagen.addresses import Resolver, SystemResolver, check_port, is_public, parse_url
from mediagen.codings import packings, unpacked
from mediagen.dataurl import decode_data_url, slices
from mediagen.errors import FetchBlocked, FetchError, FetchGone, FetchTooLarge
from mediagen.pace import Pace
from mediagen.ranges import Resume, goes_on, headers_of, validator_of

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WHOLE_FILE = frozenset({200, 203})  # 206 is a part, 202 and 204 are no file yet
_TRY_AGAIN = frozenset({408, 425, 429})
_MAX_INTERIM = 10  # answers of the kind 1xx before the real one; aiohttp itself would read them for ever


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file on its way in. Its bytes can be read once, inside the `async with` that opened it."""

    chunks: AsyncIterator[bytes]  # raises `FetchError` or a subclass while iterating
    size_bytes: int | None  # of the whole file as announced, and then true or an error; None when it was not
    media_type: str | None  # as claimed, lower case, without parameters; never to be trusted
    start: int = 0  # so many bytes are here from an earlier try, and the chunks go on behind them
    validator: str | None = None  # what the next try goes on by, should this one break off
    framed: bool = False  # the transfer itself says where it ends: one that is cut off raises
    here: bool = False  # the bytes are no transfer: fetching them again gives the same
    doubt: str | None = None  # what is odd about how it came


class _Answer(aiohttp.ClientResponse):
    """An answer that must begin after a few interim ones."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        assert protocol is not None
        read, heads = protocol.read, 0

        async def counted() -> Any:
            nonlocal heads
            heads += 1
            if heads > _MAX_INTERIM + 1:
                raise aiohttp.ClientPayloadError("interim answers without an end")
            return await read()

        protocol.read = counted  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            protocol.read = read  # type: ignore[method-assign]


def _never(_url: str) -> bool:
    return False


def _any_address(_address: str) -> bool:
    return True


class Fetcher:
    """Fetch files from, and post webhooks to, URLs that nobody vouches for. One per process and event loop.

    `permits` is the address policy and `resolver` the source of addresses; both are replaced in tests only.
    `tls` holds the certificates to trust; None takes the system's. Raises `FetchError` and its subclasses for
    all that the network and the other side can do.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        answer_timeout_s: float = 120,
        connect_timeout_s: float = 5,
        min_bytes_per_s: int = 1024,
        stall_s: float = 10,
        resolver: Resolver | None = None,
        permits: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Set the bounds of every fetch; the rate is checked over each `stall_s` seconds of waiting.

        There is no bound on the whole time: a slow line is no reason to lose a file that was paid for.
        """
        self._max_bytes = max_bytes
        self._answer_timeout_s = answer_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._min_bytes_per_s = min_bytes_per_s
        self._stall_s = stall_s
        self._system = SystemResolver()
        self._resolver = resolver or self._system
        self._permits = permits
        self._tls = tls
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    @asynccontextmanager
    async def open(
        self, url: str, *, trusts: Callable[[str], bool] = _never, resume: Resume | None = None
    ) -> AsyncIterator[Download]:
        """Open the file at an http, https or data URL for reading, from where `resume` says an earlier try got to.

        A hop whose URL `trusts` accepts may go to any port and address; nothing else is relaxed for it.
        The file is sent from its beginning unless the server proves that it is the one that was begun: look
        at the `start` of the answer. Raises `FetchBlocked` before anything is sent to a forbidden address,
        `FetchGone` for a dead link, `FetchTooLarge`, else `FetchError`.
        """
        if url[:5].lower() == "data:":
            data, media_type = await asyncio.to_thread(decode_data_url, url, self._max_bytes)
            async with self._whole(data, media_type) as download:
                yield download
            return
        response, start = await self._answered(url, trusts, resume)
        try:
            as_sent = resume is not None and resume.as_sent
            async with aclosing(self._chunks(response, start, as_sent=as_sent)) as chunks:
                yield _described(response, chunks, resume if start else None, as_sent=as_sent)
        finally:
            response.close()

    @asynccontextmanager
    async def inline(self, data: bytes) -> AsyncIterator[Download]:
        """Open bytes that are here already, under the same byte cap. Raises `FetchTooLarge`."""
        async with self._whole(data, None) as download:
            yield download

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        allow_private: bool = False,
        timeout_s: float = 15,
    ) -> int:
        """Send a webhook once and return the status of the answer, whatever it is; follow no redirects.

        Only https to a public address, unless `allow_private`: then http, any port and any address too.
        What the receiver says in its body is not waited for. Raises `FetchBlocked` or `FetchError`.
        """
        target = parse_url(url)
        if not allow_private:
            check_port(target)
            if target.scheme != "https":
                raise FetchBlocked(f"a webhook to {target.host!r} must use https")
        deadline = asyncio.get_running_loop().time() + timeout_s
        response = await self._request(
            "POST",
            target,
            trusted=allow_private,
            deadline=deadline,
            data=body,
            headers=headers,
        )
        response.close()
        return response.status

    async def close(self) -> None:
        """Close all connections. Idempotent; the fetcher can't be used afterwards."""
        for session in self._sessions.values():
            await session.close()
        self._system.close()

    async def _answered(
        self, url: str, trusts: Callable[[str], bool], resume: Resume | None
    ) -> tuple[aiohttp.ClientResponse, int]:
        """Return the answer that holds the file, and where in it that begins."""
        if resume is not None and resume.offset:
            response = await self._follow(url, trusts, headers_of(resume))
            if goes_on(response, resume):
                self._check_size(resume.size_bytes)
                return response, resume.offset
            if response.status not in (206, 416):
                return self._checked(response), 0
            response.close()  # another file, or no such part of it
        return self._checked(await self._follow(url, trusts, {})), 0

    async def _follow(
        self, url: str, trusts: Callable[[str], bool], headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        deadline = asyncio.get_running_loop().time() + self._answer_timeout_s
        for _ in range(_MAX_REDIRECTS + 1):
            target = parse_url(url)
            trusted = trusts(str(target))
            if not trusted:
                check_port(target)
            response = await self._request("GET", target, trusted=trusted, deadline=deadline, headers=headers)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            url = _redirected(target, response.headers.get("Location", ""))
        raise FetchBlocked(f"{target.host!r} redirects again after {_MAX_REDIRECTS} redirects")

    async def _request(
        self, method: str, target: URL, *, trusted: bool, deadline: float, **options: Any
    ) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout_at(deadline):
                session = self._session(trusted)
                return await session.request(method, target, allow_redirects=False, **options)
        except TimeoutError as error:
            raise FetchError(f"{target.host!r} gave no answer in time; try again later") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _broken(target, error) from error

    def _session(self, trusted: bool) -> aiohttp.ClientSession:
        """Return the session for trusted or other URLs: one must never reuse a connection of the other."""
        if trusted not in self._sessions:
            guard = _Guard(self._resolver, _any_address if trusted else self._permits)
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=guard,
                    socket_factory=guard.socket,
                    use_dns_cache=False,
                    ssl=self._tls or True,
                    limit=0,  # the worker bounds how much runs at a time; waiting here would eat the deadline
                ),
                response_class=_Answer,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "User-Agent": "mediagen"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                auto_decompress=False,
                trust_env=False,
            )
        return self._sessions[trusted]

    def _checked(self, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        try:
            self._check(response)
        except FetchError:
            response.close()
            raise
        return response

    def _check(self, response: aiohttp.ClientResponse) -> None:
        host, status = response.url.host, response.status
        if 400 <= status < 500 and status not in _TRY_AGAIN:
            raise FetchGone(f"{host!r} answered {status}; the link is dead, ask for a new one")
        if status not in _WHOLE_FILE:
            raise FetchError(f"{host!r} answered {status} in place of a file; try again later")
        self._check_size(response.content_length or 0)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise FetchTooLarge(f"the file is larger than the {self._max_bytes} bytes allowed")

    def _chunks(
        self, response: aiohttp.ClientResponse, start: int, *, as_sent: bool
    ) -> AsyncGenerator[bytes, None]:
        received = self._read(response, start)
        names = [] if as_sent else _packed(response)
        return unpacked(received, names, self._max_bytes) if names else received

    async def _read(self, response: aiohttp.ClientResponse, start: int) -> AsyncGenerator[bytes, None]:
        time = asyncio.get_running_loop().time
        pace = Pace(self._min_bytes_per_s, self._stall_s)
        total = start
        while True:
            begun = time()
            chunk = await _receive(response, until=begun + pace.left_s)
            if chunk == b"":
                return
            total += len(chunk or b"")
            self._check_size(total)
            pace.count(len(chunk or b""), time() - begun)
            if chunk:
                yield chunk

    @asynccontextmanager
    async def _whole(self, data: bytes, media_type: str | None) -> AsyncIterator[Download]:
        self._check_size(len(data))
        async with aclosing(slices(data)) as chunks:
            yield Download(chunks=chunks, size_bytes=len(data), media_type=media_type, framed=True, here=True)


class _Guard(AbstractResolver):
    """Let a connector reach permitted addresses only, those of a name and those that stand in a URL."""

    def __init__(self, resolver: Resolver, permits: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._permits = permits

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises `FetchBlocked` when any of them is forbidden."""
        answers = await self._resolver(host, port)
        if not answers:
            raise OSError(f"{host!r} has no address")
        for address, _ in answers:
            self._check(address, host)
        return [_answer(host, address, at_port) for address, at_port in answers]

    def socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for the address that is about to be connected to: no way leads past here.

        The connector doesn't resolve addresses that stand in the URL, so this is where those are judged.
        """
        family, kind, protocol, _, (address, *_) = info
        self._check(str(address), str(address))
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Do nothing: the resolver is the fetcher's."""

    def _check(self, address: str, host: str) -> None:
        if not self._permits(address):
            raise FetchBlocked(f"{host!r} is not at a public address; give a URL that anybody can reach")


def _answer(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


async def _receive(response: aiohttp.ClientResponse, *, until: float) -> bytes | None:
    """Return the next bytes, b"" at the end of the body, or None when nothing came in time."""
    try:
        async with asyncio.timeout_at(until):
            return await response.content.readany()
    except TimeoutError:
        return None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _broken(response.url, error) from error


def _described(
    response: aiohttp.ClientResponse, chunks: AsyncIterator[bytes], rest_of: Resume | None, *, as_sent: bool
) -> Download:
    length, names = response.content_length, _packed(response)
    plain = not names or as_sent
    size, validator = (length, validator_of(response)) if plain and length is not None else (None, None)
    if rest_of is not None:
        size, validator = rest_of.size_bytes, rest_of.validator
    return Download(
        chunks=chunks,
        size_bytes=size,
        media_type=_essence(response.headers.get("Content-Type", "")),
        start=0 if rest_of is None else rest_of.offset,
        validator=None if names else validator,
        framed=length is not None or "chunked" in response.headers.get("Transfer-Encoding", "").lower(),
        doubt=f"It came packed as {', '.join(names)}, which could not be undone"
        if names and as_sent
        else None,
    )


def _packed(response: aiohttp.ClientResponse) -> list[str]:
    return packings(response.headers.getall("Content-Encoding", ()))


def _broken(url: URL, error: Exception) -> FetchError:
    # Only the kind of the error: its text may hold the whole URL, and that may be signed.
    return FetchError(f"the connection to {url.host!r} failed ({type(error).__name__}); try again later")


def _redirected(url: URL, location: str) -> str:
    if not location:
        raise FetchError(f"{url.host!r} redirects without saying where; try again later")
    try:
        return urljoin(str(url), location)
    except ValueError as error:
        raise FetchBlocked(f"{url.host!r} redirects to a malformed URL") from error


def _essence(content_type: str) -> str | None:
    return content_type.partition(";")[0].strip().lower() or None
