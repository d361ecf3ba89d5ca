"""Databases: one way to run a function in a transaction, whatever lies below.

`await db.transact(fn)` runs the synchronous `fn(connection)` in one durable write transaction, `await
db.read(fn)` in a read transaction. Functions are short, do nothing but SQL, and may run again when nothing was
committed. On SQLite one writer thread takes all waiting functions into one commit (group commit), so that a
burst of accepts costs one fsync; each has a savepoint of its own, so that one failing leaves the others alone.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from mediagen.clock import Clock
from mediagen.db import clock_steps
from mediagen.db.timeline import LocalClock, Timeline
from mediagen.errors import SettingsError, StorageFull, Unavailable

STATEMENTS_KEPT = 512
"""How many statements a SQLite connection keeps compiled; the driver's own 128 are fewer than the product has."""

T = TypeVar("T")
Transaction = Callable[[Connection], T]

_READERS = 2
_BUSY_TIMEOUT_S = 5.0  # to wait for another process that writes
_GROUP_MAX = 512  # functions that share one commit at most: bounds how long the first waits for the last


def now_ms(connection: Connection) -> int:
    """Return the database's own time: the only clock that leases and due times are measured by."""
    return cast(int, connection.info["clock"].now_ms())


class Database(ABC):
    """Where jobs live."""

    name: str

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._others: list[Callable[[], None]] = []

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit of this process, in its event loop. It must return at once."""
        self._listeners.append(listener)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when another process has committed events, where the database tells (else never)."""
        self._others.append(listener)

    def _committed(self) -> None:
        for listener in self._listeners:
            listener()

    def _heard(self) -> None:
        for listener in self._others:
            listener()

    @abstractmethod
    async def start(self) -> None:
        """Open it. The schema must be there already (see `mediagen.db.migrate`)."""

    @abstractmethod
    async def transact(self, fn: Transaction[T]) -> T:
        """Run `fn` in a write transaction and return what it returned, after the commit is durable.

        Raises what `fn` raises (then nothing of it is kept), or `Unavailable` when the database can't be used. When
        that comes of a server that was lost during the commit, all of it may be kept after all.
        """

    @abstractmethod
    async def read(self, fn: Transaction[T]) -> T:
        """Run `fn` in a read-only transaction. Raises as `transact` does."""

    @abstractmethod
    def presence(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a sign of life that vanishes when this process dies, however it dies."""

    @abstractmethod
    async def dead(self, names: Sequence[str]) -> list[str]:
        """Return those of the names whose sign of life is gone."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was begun and close. Idempotent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Work:
    fn: Transaction[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class _Lane(threading.Thread):
    """A thread with one connection, its own from now on, that runs whatever is waiting as one group."""

    def __init__(
        self,
        connection: Connection,
        work: "queue.SimpleQueue[_Work | None]",
        *,
        clock: LocalClock | None = None,
    ) -> None:
        """The one that writes also follows the `clock`; the others only read."""
        super().__init__(name="db-reader" if clock is None else "db-writer", daemon=True)
        self._connection = connection
        self._work = work
        self._clock = clock
        self._writes = clock is not None

    def run(self) -> None:
        with self._connection as connection:
            while (first := self._work.get()) is not None:
                group = self._group(first)
                _deliver(group, self._run_group(connection, group))

    def _group(self, first: _Work) -> list[_Work]:
        group = [first]
        with suppress(queue.Empty):
            while len(group) < _GROUP_MAX:
                work = self._work.get_nowait()
                if work is None:  # the sign to stop: leave it for after this group
                    self._work.put(None)
                    break
                group.append(work)
        return group

    def _run_group(self, connection: Connection, group: Sequence[_Work]) -> list[Any]:
        """Return per function its result, or the exception that it raised."""
        begin, end = ("BEGIN IMMEDIATE", "COMMIT") if self._writes else ("BEGIN", "ROLLBACK")
        try:
            if self._clock is not None:
                self._follow(self._clock, connection)
            _control(connection, begin)
            if len(group) == 1:  # the transaction is its savepoint
                results = [_attempt(connection, group[0].fn)]
                if isinstance(results[0], _Failure):
                    _roll_back(connection)
                    return results
            else:
                results = [self._run_one(connection, work.fn) for work in group]
            _control(connection, end)
        except Exception as error:  # noqa: BLE001  whatever it is, the callers must learn that nothing was kept
            _roll_back(connection)
            return [_translated(error)] * len(group)
        return results

    def _follow(self, clock: LocalClock, connection: Connection) -> None:
        """Move what is stored if the clock was set since the last write."""
        reading = clock.read()
        if clock.moved_ms is not None and not reading.step_ms:
            return
        try:
            _control(connection, "BEGIN IMMEDIATE")
            moved_ms = clock_steps.follow(connection, reading, clock.moved_ms)
            _control(connection, "COMMIT")
        except DatabaseError as error:
            if not _is_damage(error):
                raise
            _roll_back(connection)  # a bad page does not keep all else from being written
            moved_ms = clock.moved_ms or 0
        clock.adopt(reading, moved_ms)

    def _run_one(self, connection: Connection, fn: Transaction[Any]) -> Any:
        if not self._writes:
            return _attempt(connection, fn)
        _control(connection, "SAVEPOINT one")
        result = _attempt(connection, fn)
        if isinstance(result, _Failure):
            if not _in_transaction(connection):  # on a full disk SQLite undoes the whole transaction
                raise result.error
            _control(connection, "ROLLBACK TO one")
        _control(connection, "RELEASE one")
        return result


@dataclass(frozen=True)
class _Failure:
    error: BaseException


def _attempt(connection: Connection, fn: Transaction[Any]) -> Any:
    try:
        return fn(connection)
    except Exception as error:  # noqa: BLE001  carried to the caller's coroutine and raised there
        return _translated(error)


def _translated(error: Exception) -> _Failure:
    said = str(getattr(error, "orig", error))
    if isinstance(error, (OperationalError, sqlite3.OperationalError)):
        kind = StorageFull if "disk is full" in said else Unavailable
        translated: Exception = kind(f"The database can't be used now: {said}")
    elif _is_damage(error):
        translated = Unavailable(f"The database is damaged: {said}. Run `mediagen doctor`")
    else:
        return _Failure(error)
    translated.__cause__ = error
    return _Failure(translated)


def _is_damage(error: Exception) -> bool:
    """Tell a bad page from errors of ours: those, a constraint or a wrong statement, are subclasses."""
    return type(getattr(error, "orig", error)) is sqlite3.DatabaseError


def _in_transaction(connection: Connection) -> bool:
    return driver_of(connection).in_transaction


def _roll_back(connection: Connection) -> None:
    with suppress(sqlite3.DatabaseError):  # no transaction is open when BEGIN itself failed
        _control(connection, "ROLLBACK")


def _control(connection: Connection, statement: str) -> None:
    """Begin or end something; straight to the driver, which takes a tenth of the time."""
    driver_of(connection).execute(statement)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return SQLite's own connection below."""
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _deliver(group: Sequence[_Work], results: Sequence[Any]) -> None:
    """Hand the results to the waiting coroutines, with one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for work, result in zip(group, results, strict=True):
        by_loop.setdefault(work.loop, []).append((work.future, result))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in pairs:
        if future.done():
            continue
        if isinstance(result, _Failure):
            future.set_exception(result.error)
        else:
            future.set_result(result)


def sqlite_engine(path: Path, *, writes: bool, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> Engine:
    """Return an engine whose connections are durable: WAL, `synchronous=FULL`, foreign keys checked.

    FULL and not NORMAL: of 300 simulated power cuts NORMAL lost acknowledged commits in 269, FULL in none.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # prompts, which are nobody's business in a log
        connect_args={"cached_statements": STATEMENTS_KEPT},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        for pragma in (
            f"busy_timeout={int(busy_timeout_s * 1000)}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",  # else a savepoint over many rows makes a file, once a commit
            f"query_only={'OFF' if writes else 'ON'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


class SQLiteDatabase(Database):
    """One file, one writer thread, two reader threads."""

    name = "sqlite"

    def __init__(self, path: Path, clock: Clock, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> None:
        """A write that another process holds up for longer than `busy_timeout_s` raises `Unavailable`."""
        super().__init__()
        self.path = path
        self._signs = path.with_name(path.name + ".workers")
        self._clock = LocalClock(Timeline(), clock.now_ms, clock.monotonic)
        self._busy_timeout_s = busy_timeout_s
        self._writes: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lanes: list[_Lane] = []
        self._engines: list[Engine] = []

    async def start(self) -> None:
        if not self.path.exists():
            raise SettingsError(f"There is no database at {str(self.path)!r}; run `mediagen migrate`")
        writer, *readers = await asyncio.to_thread(self._connect)
        self._lanes = [_Lane(writer, self._writes, clock=self._clock)]
        self._lanes += [_Lane(reader, self._reads) for reader in readers]
        for lane in self._lanes:
            lane.start()

    def _connect(self) -> list[Connection]:
        """Return the connections of the lanes, the writer's first."""
        writer, reader = (
            sqlite_engine(self.path, writes=writes, busy_timeout_s=self._busy_timeout_s)
            for writes in (True, False)
        )
        self._engines = [writer, reader]
        try:
            connections = [engine.connect() for engine in (writer, *[reader] * _READERS)]
        except DatabaseError as error:
            raise Unavailable(f"{str(self.path)!r} can't be opened as a database: {error.orig}") from error
        for connection in connections:
            connection.info["clock"] = self._clock
        return connections

    async def transact(self, fn: Transaction[T]) -> T:
        result = await self._put(self._writes, fn)
        self._committed()
        return result

    async def read(self, fn: Transaction[T]) -> T:
        return await self._put(self._reads, fn)

    async def _put(self, work: "queue.SimpleQueue[_Work | None]", fn: Transaction[T]) -> T:
        if not self._lanes:
            raise Unavailable("The database is closed; the process is stopping")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work.put(_Work(fn=fn, future=future, loop=loop))
        return await future

    @asynccontextmanager
    async def presence(self, name: str) -> AsyncIterator[None]:
        with _holding(self._signs / name):  # the system lets go of the lock when the process dies
            yield

    async def dead(self, names: Sequence[str]) -> list[str]:
        return await asyncio.to_thread(lambda: [name for name in names if _is_free(self._signs / name)])

    async def close(self) -> None:
        lanes, self._lanes = self._lanes, []
        self._writes.put(None)
        for _ in range(_READERS):
            self._reads.put(None)
        for lane in lanes:
            await asyncio.to_thread(lane.join)
        for engine in self._engines:
            engine.dispose()


@contextmanager
def _holding(path: Path) -> Iterator[None]:
    """Hold the file; remove those that nobody holds any more, of workers that were killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        try:
            for other in set(path.parent.iterdir()) - {path}:
                _is_free(other)
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    while True:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # somebody took it for a dead one's before it was locked


def _is_free(path: Path) -> bool:
    """Tell whether nobody holds the file, and remove it then."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def is_conflict(error: IntegrityError, name: str) -> bool:
    """Tell whether the database refused a row because of the unique index or constraint `name`."""
    return name in str(error.orig)
