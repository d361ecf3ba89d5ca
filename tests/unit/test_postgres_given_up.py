"""A PostgreSQL transaction that is given up, or whose session is killed, at each moment of its life."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from sqlalchemy import insert, select, text

from mediagen.clock import SystemClock
from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.db.postgres import PostgresDatabase
from mediagen.db.prepared import Prepared
from mediagen.db.tables import trash
from mediagen.errors import Unavailable
from tests.fakes.line import Line
from tests.fakes.servers import database

_ADD = Prepared(insert(trash))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    with database() as url:
        async with Line(url) as line:
            yield line


@pytest.fixture
async def db(line: Line) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(line.url, SystemClock())
    await db.start()
    yield db
    await db.close()


def rows(*keys: str) -> list[dict[str, object]]:
    return [{"key": key, "created_at": 1} for key in keys]


def add(connection: Connection) -> None:
    """Write a row by a statement, and one right before the commit, as events are."""
    _ADD.insert(connection, rows("at once"))
    dialect.last(connection, _ADD.insert, rows("at the end"))


def kept(connection: Connection) -> list[str]:
    return list(connection.execute(select(trash.c.key).order_by(trash.c.key)).scalars())


def sessions(connection: Connection) -> Sequence[str]:
    """Return what the sessions of the database do, but for this one and one that listens."""
    others = "datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE 'LISTEN%'"
    return list(connection.execute(text(f"SELECT state FROM pg_stat_activity WHERE {others}")).scalars())


async def until_none_is_left_open(db: PostgresDatabase) -> None:
    async with asyncio.timeout(10):
        while set(await db.read(sessions)) - {"idle"}:  # noqa: ASYNC110 - the server tells nobody of an end
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("words", "may_be_kept"),
    [(b"BEGIN", False), (b"INSERT INTO trash", False), (b"COMMIT", True)],
    ids=["at its begin", "at a statement", "at its commit"],
)
async def test_what_is_given_up_is_kept_whole_or_not_at_all_and_leaves_no_session_open(
    line: Line, db: PostgresDatabase, words: bytes, may_be_kept: bool
) -> None:
    caught = asyncio.create_task(line.until_cut_at(words))
    await asyncio.sleep(0)
    writing = asyncio.create_task(db.transact(add))
    await caught
    writing.cancel()
    line.mend()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await until_none_is_left_open(db)
    whole = [["at once", "at the end"]] if may_be_kept else []
    assert await db.read(kept) in [[], *whole]


async def test_a_session_that_is_killed_before_its_commit_keeps_nothing(
    line: Line, db: PostgresDatabase
) -> None:
    def write(connection: Connection) -> None:
        add(connection)
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(line.direct, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    with pytest.raises(Unavailable):
        await db.transact(write)
    assert await db.read(kept) == []
    await db.transact(add)
    assert await db.read(kept) == ["at once", "at the end"]
