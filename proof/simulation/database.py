"""The database of a schedule: real SQLite in memory, the real migration, transactions in the scheduler's hand."""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from mediagen.clock import Clock
from mediagen.db import clock_steps
from mediagen.db.engine import STATEMENTS_KEPT, Database, Transaction
from mediagen.db.migrate import migrate_sqlite
from mediagen.db.tables import metadata
from mediagen.db.timeline import LocalClock, Timeline
from mediagen.errors import Unavailable
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Pause

T = TypeVar("T")


@cache
def template() -> bytes:
    """Return an empty database with the product's schema, triggers and all, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        migrate_sqlite(path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # bytes in memory can't have a log beside them
            return connection.serialize()


def _tables() -> list[str]:
    return [table.name for table in reversed(metadata.sorted_tables)]


class Store:
    """One connection that serves one schedule after another."""

    def __init__(self) -> None:
        self.raw = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_KEPT
        )
        self.raw.deserialize(template())
        self.raw.execute("PRAGMA foreign_keys=ON")
        self._emptying = [f"DELETE FROM {name}" for name in (*_tables(), "sqlite_sequence")]
        self._engine = create_engine(
            "sqlite://", creator=lambda: self.raw, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
        )
        self._connection = self._engine.connect()

    def reset(self, clock: Clock) -> None:
        """Start from the empty schema."""
        self.raw.execute("BEGIN")
        for statement in self._emptying:  # a new connection would compile its statements anew
            self.raw.execute(statement)
        self.raw.execute("COMMIT")
        self._wall = clock

    def write(self, fn: Transaction[T], clock: LocalClock | None = None) -> T:
        """Run `fn` in one transaction: all of it is kept, or, when it raises, nothing. `clock` is the process's."""
        self._connection.info["clock"] = clock or self._wall
        self.raw.execute("BEGIN IMMEDIATE")
        try:
            result = fn(self._connection)
        except BaseException:
            self.raw.execute("ROLLBACK")
            raise
        self.raw.execute("COMMIT")
        return result

    def read(self, fn: Transaction[T], clock: LocalClock | None = None) -> T:
        """Run `fn`; nothing that it writes is kept."""
        self._connection.info["clock"] = clock or self._wall
        self.raw.execute("BEGIN")
        try:
            return fn(self._connection)
        finally:
            self.raw.execute("ROLLBACK")

    def ask(self, sql: str, *values: Any) -> list[Any]:
        """Return rows as plain tuples, past the product's code."""
        return self.raw.execute(sql, values).fetchall()

    def copy(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows, by table."""
        return {name: self.ask(f"SELECT * FROM {name}") for name in (*_tables(), "sqlite_sequence")}

    def put_back(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        """Replace all rows by those of an older copy."""
        self.raw.execute("BEGIN")
        for statement in self._emptying:
            self.raw.execute(statement)
        names = [name for name in reversed(rows) if name != "sqlite_sequence"]  # what others refer to first
        for name in (*names, "sqlite_sequence"):
            if name == "sqlite_sequence":  # the inserts wrote it
                self.raw.execute("DELETE FROM sqlite_sequence")
            for row in rows[name]:
                self.raw.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(row))})", row)
        self.raw.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()
        self.raw.close()


class SimDatabase(Database):
    """The database as one process sees it.

    The scheduler may stop the caller before the transaction, and after the commit before the caller learns of
    it. The transaction itself is one step.
    """

    name = "simulated"

    def __init__(
        self,
        store: Store,
        faults: Faults,
        delay: Callable[[], int],
        committed: Callable[[str], None],
        who: str,
        clock: Clock,
        begins: Callable[[], None],
    ) -> None:
        super().__init__()
        self._begins = begins
        self._clock = LocalClock(Timeline(), clock.now_ms, clock.monotonic)
        self._store = store
        self._faults = faults
        self._delay = delay
        self._told = committed
        self._who = who

    async def transact(self, fn: Transaction[T]) -> T:
        await Pause(self._delay())
        self._may_be_down()
        before = self._store.raw.total_changes
        self._follow()
        result = self._store.write(fn, self._clock)
        if self._store.raw.total_changes != before:
            self._told(self._who)
        await Pause(self._delay())
        if self._faults.strikes(Fault.COMMIT_UNSEEN):
            raise Unavailable("The connection to the database was lost")
        return result

    async def read(self, fn: Transaction[T]) -> T:
        await Pause(self._delay())
        self._may_be_down()
        result = self._store.read(fn, self._clock)
        await Pause(self._delay())
        return result

    def _follow(self) -> None:
        """Move what is stored if the clock was set, as the product's databases do before they write."""
        reading = self._clock.read()
        known_ms = self._clock.moved_ms
        if known_ms is not None and not reading.step_ms:
            return
        if known_ms is None:
            self._begins()
        moved_ms = self._store.write(lambda c: clock_steps.follow(c, reading, known_ms), self._clock)
        self._clock.adopt(reading, moved_ms)
        self._told(self._who)

    def _may_be_down(self) -> None:
        if self._faults.strikes(Fault.DATABASE_DOWN):
            raise Unavailable("The database can't be used now")

    async def start(self) -> None:
        return

    @asynccontextmanager
    async def presence(self, name: str) -> AsyncIterator[None]:
        yield

    async def dead(self, names: Sequence[str]) -> list[str]:
        return []

    async def close(self) -> None:
        return
