"""The few statements that the two databases want differently."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Column, Dialect, text

from mediagen.db.engine import Connection, driver_of

if TYPE_CHECKING:
    from mediagen.db.session import Session  # its driver costs 0.1 s to import

Act = Callable[[Connection, Sequence[Any]], None]
"""Writes rows, by statements whose answers nobody reads: `execute` or `Prepared.insert`."""

CHANNEL = "mediagen_events"
_LAST = "last"
_STATEMENTS = 64
_EVENTS_LOCK = 7_231_001

_IN_ORDER = f"SELECT pg_advisory_xact_lock({_EVENTS_LOCK}), pg_notify('{CHANNEL}', '')"

_IN_TURN = (  # in one order, so that two transactions never wait for each other
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) "
    "FROM (SELECT DISTINCT unnest(CAST(:names AS text[])) AS name ORDER BY name) AS sorted"
)


def is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def session_of(connection: Connection) -> "Session":
    """Return the session of PostgreSQL's below."""
    return cast("Session", connection.info["session"])


def execute(connection: Connection, statement: str, values: Mapping[str, Any]) -> None:
    """Run a statement with `:name` parameters whose rows, if any, nobody reads; straight by the driver.

    SQLAlchemy's way takes the interpreter 60 us more, as much as a batch of five accepts.
    """
    if is_postgres(connection):
        session_of(connection).run(_with_percents(connection.dialect, statement), values)
    else:
        driver_of(connection).execute(statement, values)


@lru_cache(_STATEMENTS)
def _with_percents(dialect: Dialect, statement: str) -> str:
    """Return the statement with the parameters of PostgreSQL's driver, `%(name)s`."""
    return str(text(statement).compile(dialect=dialect))


def last(connection: Connection, act: Act, rows: Sequence[Any]) -> None:
    """Let `act` write the rows right before the commit, all of one transaction at once; on SQLite it does so now.

    For events, whose ids must rise in the order of commits: without that a reader could see event 10, ask for
    what is above 10, and never see event 9 of a transaction that committed later. On PostgreSQL that takes a lock
    which all transactions share, so it is held as shortly as can be. SQLite has one writer.
    """
    if is_postgres(connection):
        _waiting(connection).setdefault(act, []).extend(rows)
    elif rows:
        act(connection, rows)


def write_last(connection: Connection) -> None:
    """Write what was left for the end of the transaction, and let other processes hear of the commit."""
    waiting = {act: rows for act, rows in _waiting(connection).items() if rows}  # some may be undone
    if waiting:
        execute(connection, _IN_ORDER, {})
        for act, rows in waiting.items():
            act(connection, rows)


def forget_last(connection: Connection) -> None:
    """Begin a transaction with nothing left to write at its end; an earlier one may have broken off."""
    connection.info[_LAST] = {}


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what was done inside when it raises, and what it left for the end."""
    waiting = _waiting(connection)
    before = {act: len(rows) for act, rows in waiting.items()}
    try:
        with _nested(connection):
            yield
    except BaseException:
        for act, rows in waiting.items():
            del rows[before.get(act, 0) :]
        raise


@contextmanager
def _nested(connection: Connection) -> Iterator[None]:
    if is_postgres(connection):
        with session_of(connection).savepoint():
            yield
        return
    driver = driver_of(connection)
    driver.execute("SAVEPOINT inner_one")
    try:
        yield
    except BaseException:
        if driver.in_transaction:  # on a full disk SQLite undoes the whole transaction
            driver.execute("ROLLBACK TO inner_one")
            driver.execute("RELEASE inner_one")
        raise
    driver.execute("RELEASE inner_one")


def _waiting(connection: Connection) -> dict[Act, list[Any]]:
    found: dict[Act, list[Any]] = connection.info.setdefault(_LAST, {})
    return found


def in_turn(connection: Connection, names: Iterable[str]) -> None:
    """Let transactions that share a name go one after the other, each until its end. SQLite has one writer."""
    if is_postgres(connection):
        execute(connection, _IN_TURN, {"names": list(names)})


def from_json(connection: Connection, column: Column[object], idx: int) -> str:
    """Return SQL that takes the column's value from place `idx` of the JSON array `value`."""
    if is_postgres(connection):
        return f"CAST(value->>{idx} AS {_type(connection, column)})"
    return f"json_extract(value, '$[{idx}]')"


def given(connection: Connection, column: Column[object]) -> str:
    """Return SQL for the column's value given as a parameter of its name."""
    return (
        f"CAST(:{column.name} AS {_type(connection, column)})"
        if is_postgres(connection)
        else f":{column.name}"
    )


def json_rows(connection: Connection) -> str:
    """Return SQL that gives the elements of the JSON array `:rows` as rows with one column, `value`."""
    if is_postgres(connection):
        return "json_array_elements(CAST(:rows AS json)) AS each(value)"
    return "json_each(:rows)"


def _type(connection: Connection, column: Column[object]) -> str:
    return column.type.compile(connection.dialect)
