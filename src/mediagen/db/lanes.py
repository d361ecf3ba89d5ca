"""Lanes of SQLite: threads with a connection each, which run what waits for them in groups, one transaction a group."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from mediagen.db import clock_steps
from mediagen.db.timeline import LocalClock
from mediagen.errors import StorageFull, Unavailable

T = TypeVar("T")
Transaction = Callable[[Connection], T]

_GROUP_MAX = 512  # functions that share one commit at most: bounds how long the first waits for the last


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """A function that waits for its turn, and who waits for what it returns."""

    fn: Transaction[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Lane(threading.Thread):
    """A thread with one connection, its own from now on, that runs whatever is waiting as one group."""

    def __init__(
        self,
        connection: Connection,
        work: "queue.SimpleQueue[Work | None]",
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

    def _group(self, first: Work) -> list[Work]:
        group = [first]
        with suppress(queue.Empty):
            while len(group) < _GROUP_MAX:
                work = self._work.get_nowait()
                if work is None:  # the sign to stop: leave it for after this group
                    self._work.put(None)
                    break
                group.append(work)
        return group

    def _run_group(self, connection: Connection, group: Sequence[Work]) -> list[Any]:
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


def _deliver(group: Sequence[Work], results: Sequence[Any]) -> None:
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
