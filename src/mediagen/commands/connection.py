"""How a command reaches an installation: over HTTP where a server runs, else inside this process.

Jobs come as the JSON of the native API either way, so that commands need not know which one it is. What runs
inside this process is in `embedded.py`: it costs most of a second to import, which a running server spares.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, urlsplit

import aiohttp

from mediagen.clock import Clock, SystemClock
from mediagen.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    MediagenError,
    NotFound,
    StorageFull,
    TooLarge,
    Unavailable,
    UnknownModel,
)
from mediagen.settings import Settings

Json: TypeAlias = dict[str, Any]

PROBE_S = 1.0
NEWEST = 100
"""Among so many of the newest jobs a part of an id is looked for."""

ENDED = frozenset({"completed", "failed", "canceled"})

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LEAST_PART = 6
_PATIENCE_S = 60.0  # a server that is restarted is back by then
_CHUNK_BYTES = 1024**2
_USUAL = aiohttp.ClientTimeout(total=30, sock_connect=5)
_STREAM = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=45)  # comments come every 15 s
_ERRORS = {
    kind.code: kind
    for kind in (
        Conflict,
        Forbidden,
        InvalidRequest,
        NotFound,
        StorageFull,
        TooLarge,
        Unavailable,
        UnknownModel,
    )
}


class NoDatabase(NotFound):
    """Nothing was ever submitted here."""


Purpose: TypeAlias = Literal["look", "change", "queue", "work"]
"""What an installation is reached for, which matters where no server runs.

To look or to change, no database is made where there is none. What is queued or changed waits for the next
worker; only to work a worker runs in this process.
"""


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which jobs to list, newest first; None means any."""

    status: str | None = None
    model: str | None = None
    text: str | None = None
    limit: int = 20  # 1..100


class Installation(ABC):
    """Jobs, their events and their files, wherever they are."""

    where: str
    """Words for people: the server's address, or the folder."""

    goes_on: bool
    """Whether jobs go on when this command ends."""

    @abstractmethod
    async def submit(self, request: Mapping[str, Any]) -> Json:
        """Submit a job; `request` is the body of `POST /generate`. Raises `InvalidRequest` kinds."""

    @abstractmethod
    def follow(self, job_id: str) -> AsyncGenerator[Json, None]:
        """Yield the job at every change, last when it has ended. Raises `NotFound`."""

    @abstractmethod
    def fetch(self, artifact: Json) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of one of a job's `artifacts`."""

    @abstractmethod
    async def list(self, query: Query) -> "list[Json]":
        """Return jobs, newest first."""

    @abstractmethod
    async def get(self, job_id: str) -> Json:
        """Return the job with its timeline, attempts and cost. Raises `NotFound`."""

    @abstractmethod
    async def cancel(self, job_id: str) -> Json:
        """Ask for the job to be stopped. Raises `NotFound`, or `Conflict` for a finished one."""

    @abstractmethod
    async def retry(self, job_id: str) -> Json:
        """Submit the same request again and return the new job. Raises `NotFound` or `Conflict`."""

    @abstractmethod
    async def settle(self, job_id: str, ref: str | None) -> Json:
        """Settle the job's lost call: absent, or the prediction `ref`, whose output a new job then keeps."""

    @abstractmethod
    async def delete(self, job_id: str) -> None:
        """Remove the job and its files. Raises `NotFound` or `Conflict`."""

    async def resolve(self, part: str) -> str:
        """Return the id that starts or ends with `part`, which has 6 characters at least."""
        part = part.strip().lower()
        if _UUID.fullmatch(part):
            return part
        if len(part) < _LEAST_PART:
            raise InvalidRequest(
                f"{part!r} is too short for a job's id; give 6 of its last characters or more"
            )
        ids = [str(job["id"]) for job in await self.list(Query(limit=NEWEST))]
        found = [job_id for job_id in ids if job_id.startswith(part) or job_id.endswith(part)]
        if not found:
            raise NotFound(
                f"None of the {NEWEST} newest jobs has the id {part!r}; `mediagen jobs` lists them"
            )
        if len(found) > 1:
            raise InvalidRequest(
                f"{part!r} fits {len(found)} jobs; give more of the id: {', '.join(found[:5])}"
            )
        return found[0]


# ---------------------------------------------------------------------------------------------- over HTTP


class Remote(Installation):
    """A running server. Lost connections while following are made again, for a minute."""

    goes_on = True

    def __init__(self, session: aiohttp.ClientSession, url: str, prefix: str, clock: Clock) -> None:
        self.where = _without_user(url)
        self._session = session
        self._api = f"{url}{prefix}"
        self._clock = clock

    async def answers(self) -> bool:
        """Tell whether a mediagen server answers there, within a second. Raises `Forbidden` when it refuses us."""
        timeout = aiohttp.ClientTimeout(total=PROBE_S)
        try:
            return (await self._json("GET", "/health/live", timeout=timeout)).get("name") == "mediagen"
        except Forbidden:
            raise
        except MediagenError:
            return False

    async def health(self) -> Json:
        """Return the health of every part, also when one fails."""
        async with self._request("GET", "/health", accepts=(200, 503)) as response:
            return await _object(response)

    async def submit(self, request: Mapping[str, Any]) -> Json:
        # With the key a second send after a lost answer gives the first job, never another one.
        headers = {"Idempotency-Key": self._clock.new_id()}
        patience = _Patience(self._clock, limit_s=10.0)
        while True:
            try:
                return await self._json("POST", "/generate", json=dict(request), headers=headers)
            except StorageFull:
                raise
            except Unavailable as error:
                await patience.pause(error)

    async def follow(self, job_id: str) -> AsyncGenerator[Json, None]:
        patience, reader = _Patience(self._clock), _Events(last="0")
        while True:
            problem = Unavailable(f"{self.where} ends the stream of events again and again")
            try:
                async with aclosing(self._changes(job_id, reader)) as changes:
                    async for job in changes:
                        patience.renew()
                        yield job
                        if job["status"] in ENDED:
                            return
            except Unavailable as error:
                problem = error
            await patience.pause(problem)

    async def _changes(self, job_id: str, reader: "_Events") -> AsyncGenerator[Json, None]:
        """Yield the job at each event of one connection, and when that has ended."""
        headers = {"Last-Event-ID": reader.last, "Accept": "text/event-stream"}
        path = f"/jobs/{_checked(job_id)}/events"
        async with self._request("GET", path, headers=headers, timeout=_STREAM) as response:
            async for line in response.content:
                if reader.take(line):
                    yield await self._json("GET", f"/status/{_checked(job_id)}")
        job = await self._json("GET", f"/status/{_checked(job_id)}")
        if job["status"] in ENDED:
            yield job

    async def fetch(self, artifact: Json) -> AsyncGenerator[bytes, None]:
        path = f"/media/{quote(artifact['key'], safe='')}"
        async with self._request("GET", path, timeout=_STREAM) as response:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk

    async def list(self, query: Query) -> "list[Json]":
        wanted = {"status": query.status, "model": query.model, "q": query.text, "limit": str(query.limit)}
        params = {name: value for name, value in wanted.items() if value is not None}
        items: list[Json] = (await self._json("GET", "/jobs", params=params))["items"]
        return items

    async def get(self, job_id: str) -> Json:
        return await self._json("GET", f"/jobs/{_checked(job_id)}")

    async def cancel(self, job_id: str) -> Json:
        return await self._json("POST", f"/jobs/{_checked(job_id)}/cancel")

    async def retry(self, job_id: str) -> Json:
        return await self._json("POST", f"/jobs/{_checked(job_id)}/retry")

    async def settle(self, job_id: str, ref: str | None) -> Json:
        asked = {"outcome": "absent"} if ref is None else {"outcome": "adopt", "ref": ref}
        return await self._json("POST", f"/jobs/{_checked(job_id)}/settle", json=asked)

    async def delete(self, job_id: str) -> None:
        async with self._request("DELETE", f"/jobs/{_checked(job_id)}"):
            return

    async def _json(self, method: str, path: str, **options: Any) -> Json:
        async with self._request(method, path, **options) as response:
            return await _object(response)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        accepts: tuple[int, ...] = (200, 202, 204),
        timeout: aiohttp.ClientTimeout = _USUAL,  # noqa: ASYNC109  it is aiohttp's own
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method, self._api + path, timeout=timeout, **options
            ) as response:
                if response.status not in accepts:
                    raise await _problem(response, self.where)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self.where} does not answer ({_reason(error)})") from error


def _checked(job_id: str) -> str:
    """Return the id; what is none can't lead to another address."""
    if not _UUID.fullmatch(job_id):
        raise NotFound("Job not found")
    return job_id


@dataclass
class _Events:
    """How far a stream of events was read, over all its connections."""

    last: str

    def take(self, line: bytes) -> bool:
        """Read a line; tell whether it says that something happened."""
        if not line.startswith(b"id:"):
            return False
        self.last = line[3:].decode().strip()
        return True


class _Patience:
    """Pauses that grow, until they have taken too long in all."""

    def __init__(self, clock: Clock, limit_s: float = _PATIENCE_S) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self.renew()

    def renew(self) -> None:
        self._begun = self._clock.monotonic()
        self._next_s = 0.25

    async def pause(self, problem: MediagenError) -> None:
        """Wait, or raise the problem when that has lasted too long."""
        if self._clock.monotonic() - self._begun > self._limit_s:
            raise problem
        await self._clock.sleep(self._next_s)
        self._next_s = min(2.0, self._next_s * 2)


async def _object(response: aiohttp.ClientResponse) -> Json:
    try:
        body = json.loads(await response.read())
    except ValueError as error:
        raise MediagenError(f"{response.url.host} answers no JSON; is it a mediagen server?") from error
    if not isinstance(body, dict):
        raise MediagenError(f"{response.url.host} answers no object; is it a mediagen server?")
    return body


async def _problem(response: aiohttp.ClientResponse, where: str) -> MediagenError:
    """Return the server's problem document as the error that it was there."""
    try:
        body = json.loads(await response.read())
    except ValueError:
        body = None
    if not isinstance(body, dict) or "detail" not in body:
        kind = Unavailable if response.status in (502, 503, 504) else MediagenError
        return kind(f"{where} answers {response.status} {response.reason}; is it a mediagen server?")
    return _ERRORS.get(str(body.get("code")), MediagenError)(str(body["detail"]))


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    cause = error.__cause__ or error
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__


# ---------------------------------------------------------------------------------------------- which one


@asynccontextmanager
async def reach(
    settings: Settings, purpose: Purpose, server: str | None = None
) -> AsyncIterator[Installation]:
    """Open the server at `server`, else the one that runs where the settings say, else what they describe.

    Raises `Unavailable` when `server` is given and does not answer.
    """
    async with aiohttp.ClientSession() as session:
        remote = await running_server(session, settings, server)
        if remote is not None:
            yield remote
            return
    from mediagen.commands.embedded import opened

    async with opened(settings, purpose) as embedded:
        yield embedded


async def running_server(
    session: aiohttp.ClientSession, settings: Settings, server: str | None = None
) -> Remote | None:
    """Return the server at `server`, or the one that runs where the settings say, if any."""
    prefix = settings.api_v1_prefix
    url = server_url(server, prefix) if server else settings.own_url
    remote = Remote(session, url, prefix, SystemClock())
    if (server or settings.port) and await remote.answers():
        return remote
    if server:
        raise Unavailable(
            f"No mediagen server answers at {remote.where}{prefix}; start one with `mediagen serve`, "
            "or leave --server and MEDIAGEN_URL out to work without one"
        )
    return None


def server_url(text: str, prefix: str) -> str:
    """Return the address that a user wrote, without the API's path. Raises `InvalidRequest`."""
    url = (text if "://" in text else f"http://{text}").rstrip("/").removesuffix(prefix)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidRequest(f"{_without_user(text)!r} is no server's address; write http://host:port")
    return url


def _without_user(url: str) -> str:
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
