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
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError

from mediagen.clock import Clock
from mediagen.db.lanes import Lane, Work
from mediagen.db.lanes import T as T
from mediagen.db.lanes import Transaction as Transaction
from mediagen.db.lanes import driver_of as driver_of
from mediagen.db.timeline import LocalClock, Timeline
from mediagen.errors import SettingsError, Unavailable

STATEMENTS_KEPT = 512
"""How many statements a SQLite connection keeps compiled; the driver's own 128 are fewer than the product has."""

_READERS = 2
_BUSY_TIMEOUT_S = 5.0  # to wait for another process that writes


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

    def apart(self) -> "Database":
        """Return this database for a worker: nobody else's reads hold up those that go through it."""
        return self

    @abstractmethod
    def presence(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a sign of life that vanishes when this process dies, however it dies."""

    @abstractmethod
    async def dead(self, names: Sequence[str]) -> list[str]:
        """Return those of the names whose sign of life is gone."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was begun and close. Idempotent."""


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
    """One file, one writer thread, two reader threads, and one for the worker alone."""

    name = "sqlite"

    def __init__(self, path: Path, clock: Clock, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> None:
        """A write that another process holds up for longer than `busy_timeout_s` raises `Unavailable`."""
        super().__init__()
        self.path = path
        self._signs = path.with_name(path.name + ".workers")
        self._clock = LocalClock(Timeline(), clock.now_ms, clock.monotonic)
        self._busy_timeout_s = busy_timeout_s
        self._writes: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._workers_reads: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lanes: list[Lane] = []
        self._engines: list[Engine] = []

    async def start(self) -> None:
        if not self.path.exists():
            raise SettingsError(f"There is no database at {str(self.path)!r}; run `mediagen migrate`")
        writer, workers, *readers = await asyncio.to_thread(self._connect)
        self._lanes = [Lane(writer, self._writes, clock=self._clock)]
        self._lanes += [
            Lane(workers, self._workers_reads),
            *(Lane(reader, self._reads) for reader in readers),
        ]
        for lane in self._lanes:
            lane.start()

    def _connect(self) -> list[Connection]:
        """Return the connections of the lanes: the writer's, the worker's, those of all other readers."""
        writer, reader = (
            sqlite_engine(self.path, writes=writes, busy_timeout_s=self._busy_timeout_s)
            for writes in (True, False)
        )
        self._engines = [writer, reader]
        try:
            connections = [engine.connect() for engine in (writer, *[reader] * (1 + _READERS))]
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

    async def read_apart(self, fn: Transaction[T]) -> T:
        """Run `fn` as `read` does, in the lane that is the worker's alone."""
        return await self._put(self._workers_reads, fn)

    def apart(self) -> Database:
        return _Apart(self)

    async def _put(self, work: "queue.SimpleQueue[Work | None]", fn: Transaction[T]) -> T:
        if not self._lanes:
            raise Unavailable("The database is closed; the process is stopping")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work.put(Work(fn=fn, future=future, loop=loop))
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
        self._workers_reads.put(None)
        for _ in range(_READERS):
            self._reads.put(None)
        for lane in lanes:
            await asyncio.to_thread(lane.join)
        for engine in self._engines:
            engine.dispose()


class _Apart(Database):
    """The same database, read in a lane of its own."""

    name = SQLiteDatabase.name

    def __init__(self, whole: SQLiteDatabase) -> None:
        super().__init__()
        self._whole = whole

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._whole.on_commit(listener)

    def on_change(self, listener: Callable[[], None]) -> None:
        self._whole.on_change(listener)

    async def start(self) -> None:
        await self._whole.start()

    async def transact(self, fn: Transaction[T]) -> T:
        return await self._whole.transact(fn)

    async def read(self, fn: Transaction[T]) -> T:
        return await self._whole.read_apart(fn)

    def presence(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._whole.presence(name)

    async def dead(self, names: Sequence[str]) -> list[str]:
        return await self._whole.dead(names)

    async def close(self) -> None:
        await self._whole.close()


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
