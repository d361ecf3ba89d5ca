"""PostgreSQL as the job store: the same functions, many writers, and a wire on which every commit is heard.

A commit that appended events also notifies (`LISTEN`/`NOTIFY`), so that readers and workers in other processes
know within a millisecond. A lost notification loses nothing: everybody also looks now and then.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from mediagen.clock import Clock
from mediagen.db import clock_steps, dialect
from mediagen.db.dialect import CHANNEL
from mediagen.db.engine import Connection, Database, Transaction
from mediagen.db.session import Session
from mediagen.db.timeline import Reading, Timeline
from mediagen.errors import SettingsError, StorageFull, Unavailable

T = TypeVar("T")

_POOL = 16
_POOL_WAIT_S = 5.0
# For a transaction: longer than the server's own limit, for a server that says nothing at all
_ANSWER_S = 20.0
_TRIES = 3  # of a transaction that the server refused because of another one
_APART_S = 0.1  # before it is tried again, or up to half less: the other one ends meanwhile
_RECONNECT_S = 0.2
_SIGN_S = 10.0
# After a sign of life was missed: what ended that session may have ended ours, and we see it later
_DOUBT_S = 0.2
_SETTLE_S = 2.0  # after a break of our own sign of life, until those of others are back, too
_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": "15s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
        "synchronous_commit": "on",
        "default_transaction_isolation": "read\\ committed",
        "timezone": "UTC",
    }.items()
)
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "application_name": "mediagen",
    "keepalives_idle": 10,  # a server that is gone without a word is noticed within 25 s, not 2 hours
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # nor does it help while data is on its way: that would be sent for 15 minutes
}
_COLLISIONS = frozenset({"40001", "40P01"})  # serialization failure, deadlock: nothing was kept, try again
_FULL = frozenset({"53100"})  # disk full
_UNAVAILABLE = ("08", "25", "53", "55", "57", "58")  # connection, state, resources, lock, operator, system


class _ServerClock:
    """The server's clock within one transaction: told at its begin, then counted on."""

    def __init__(self, begun_ms: int, clock: Clock) -> None:
        self._begun_ms = begun_ms
        self._clock = clock
        self._since = clock.monotonic()

    def now_ms(self) -> int:
        return self._begun_ms + int((self._clock.monotonic() - self._since) * 1000)


class PostgresDatabase(Database):
    """A pool of connections to one server."""

    name = "postgresql"

    def __init__(self, url: str, clock: Clock, *, server_clock: bool = True) -> None:
        """Times are the server's own, so that machines need not agree; without `server_clock` they are `clock`'s."""
        super().__init__()
        self.url = normalized(url)
        self._clock = clock
        self._server_clock = server_clock
        self._timeline = Timeline()
        self._judges_from = 0.0  # monotonic: when signs of life may be missed
        self._engine: AsyncEngine | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._engine = create_async_engine(
            self.url,
            pool_size=_POOL,
            max_overflow=0,
            pool_timeout=_POOL_WAIT_S,
            isolation_level="AUTOCOMMIT",  # transactions are begun and ended by the session
            hide_parameters=True,  # prompts, which are nobody's business in a log
            connect_args={"options": _OPTIONS, **_CONNECT},
        )
        event.listen(self._engine.sync_engine, "connect", _connected)
        event.listen(self._engine.sync_engine, "checkout", _checked_out)
        try:
            await self.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one())
        except Unavailable as error:
            said = str(getattr(error.__cause__, "orig", error)).strip().splitlines()[-1]
            raise SettingsError(f"DATABASE_URL: {shown(self.url)} does not answer: {said}") from error
        self._listening = asyncio.create_task(self._listen(), name="database events")

    async def transact(self, fn: Transaction[T]) -> T:
        for _ in range(_TRIES - 1):
            with suppress(_Collision):
                return await self._committed_once(fn)
            await asyncio.sleep(_APART_S * (1 + self._clock.chance()) / 2)
        try:
            return await self._committed_once(fn)
        except _Collision as error:
            raise Unavailable("The database is too busy with other changes to the same job") from error

    async def _committed_once(self, fn: Transaction[T]) -> T:
        result = await self._run(fn, writes=True)
        self._committed()
        return result

    async def read(self, fn: Transaction[T]) -> T:
        return await self._run(fn, writes=False)

    async def _run(self, fn: Transaction[T], *, writes: bool) -> T:
        if self._engine is None:
            raise Unavailable("The database is closed; the process is stopping")
        try:
            async with asyncio.timeout(_ANSWER_S), self._engine.connect() as connection:
                return await connection.run_sync(self._transaction(fn, writes=writes))
        except (DBAPIError, PoolTimeout, OSError) as error:  # a timeout is an OSError
            raise _translated(error) from error

    def _transaction(self, fn: Transaction[T], *, writes: bool) -> Callable[[Connection], T]:
        def run(connection: Connection) -> T:
            with _left_idle(connection) as session:
                reading = self._begin(connection, session, writes=writes)
                if writes and (reading.step_ms or self._timeline.moved_ms is None):
                    self._follow(connection, session, reading)
                    self._begin(connection, session, writes=True)
                result = fn(connection)
                if writes:
                    session.commit(partial(dialect.write_last, connection))
                else:
                    session.end()
                return result

        return run

    def _begin(self, connection: Connection, session: Session, *, writes: bool) -> Reading:
        asked_at_s = self._clock.monotonic()
        shown_ms = session.begin(writes=writes)
        if not self._server_clock:
            shown_ms = self._clock.now_ms()
        reading = self._timeline.read(shown_ms, asked_at_s, self._clock.monotonic())
        connection.info["clock"] = _ServerClock(reading.now_ms, self._clock)
        dialect.forget_last(connection)
        return reading

    def _follow(self, connection: Connection, session: Session, reading: Reading) -> None:
        """Move what is stored if the server's clock was set since the last write, in a transaction of its own."""
        moved_ms = clock_steps.follow(connection, reading, self._timeline.moved_ms)
        session.commit(lambda: None)
        self._timeline.adopt(reading, moved_ms)

    async def _listen(self) -> None:
        """Hear the commits of other processes; after a break listen again and take it that something was missed."""
        while True:
            with suppress(psycopg.Error, OSError):
                async with await self._session() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._heard()
                    async for _ in connection.notifies():
                        self._heard()
            await asyncio.sleep(_RECONNECT_S)

    @asynccontextmanager
    async def presence(self, name: str) -> AsyncIterator[None]:
        """Hold a session's advisory lock: the server drops it with the session, within moments of a death."""
        held = asyncio.Event()
        holding = asyncio.create_task(self._hold(name, held), name="sign of life")
        try:
            try:
                async with asyncio.timeout(_SIGN_S):
                    await held.wait()  # others would take a worker without its sign for dead
            except TimeoutError as error:
                raise Unavailable("The database takes no further session, for the sign of life") from error
            yield
        finally:
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding

    async def _hold(self, name: str, held: asyncio.Event) -> None:
        while True:
            with suppress(psycopg.Error, OSError):
                async with await self._session() as connection:
                    await connection.execute("SELECT pg_advisory_lock(%s, %s)", (_SIGNS, _sign(name)))
                    if held.is_set():
                        self._judges_from = self._clock.monotonic() + _SETTLE_S
                    held.set()
                    async for _ in connection.notifies():  # none are listened to: ends with the session
                        pass
            if held.is_set():
                self._judges_from = math.inf
            await asyncio.sleep(_RECONNECT_S)

    async def _session(self) -> psycopg.AsyncConnection[TupleRow]:
        """Open a session of its own, for what lasts longer than a transaction."""
        return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, **_CONNECT)

    async def dead(self, names: Sequence[str]) -> list[str]:
        """Return those whose lock nobody holds; nobody, while a break may have cost others their locks, too."""
        missing = await self._missing(names)
        if missing:
            await asyncio.sleep(_DOUBT_S)
        return await self._missing(missing)

    async def _missing(self, names: Sequence[str]) -> list[str]:
        if not names or self._clock.monotonic() < self._judges_from:
            return []
        held = await self.read(lambda c: set(c.execute(_HELD, {"class": _SIGNS}).scalars()))
        if self._clock.monotonic() < self._judges_from:  # it broke meanwhile
            return []
        return [name for name in names if _sign(name) & 0xFFFFFFFF not in held]

    @property
    def _conninfo(self) -> str:
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()


@contextmanager
def _left_idle(connection: Connection) -> Iterator[Session]:
    """Yield its session; whatever happens, leave that outside of a transaction, or let the pool forget it."""
    session = dialect.session_of(connection)
    try:
        yield session
    except Exception:
        with suppress(DBAPIError):
            session.rollback()
        raise
    finally:
        if not session.idle:  # it is lost, or was given up while the server had not answered
            connection.invalidate()


def _connected(adapted: Any, record: ConnectionPoolEntry) -> None:
    record.info.update(session=Session(adapted.driver_connection), fresh=True)


def _checked_out(_adapted: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    if not record.info.pop("fresh", False) and not record.info["session"].is_alive():
        raise InvalidatePoolError  # another one is opened, and the others are, too, when it is their turn


_SIGNS = 7_231_002
_HELD = text(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = :class AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _sign(name: str) -> int:
    """Return the 32-bit number that stands for a worker's name; a collision only delays a rescue."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], signed=True)


class _Collision(Exception):
    """The server refused a transaction because of another one; nothing of it was kept."""


def _translated(error: Exception) -> Exception:
    """Return what callers know: try again at once, try again later, or the error itself."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    if code in _COLLISIONS:
        return _Collision()
    if code in _FULL:
        return StorageFull("The database's disk is full")
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    unreachable = isinstance(error, (PoolTimeout, OSError)) or (
        isinstance(error, OperationalError) and not code
    )
    if lost or unreachable or code.startswith(_UNAVAILABLE):
        return Unavailable("The database can't be used now; it does not answer or is restarting")
    return error


def normalized(url: str) -> URL:
    """Return the URL for the one driver we use, whatever form was pasted. Raises `SettingsError`."""
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in ("postgres", "postgresql") or not rest:
        raise SettingsError(
            f"DATABASE_URL names a {scheme!r} database; use postgresql://user:password@host/name"
        )
    return make_url(f"postgresql+psycopg://{rest}")


def shown(url: URL) -> str:
    """Return the URL without its password."""
    return url.render_as_string(hide_password=True)
