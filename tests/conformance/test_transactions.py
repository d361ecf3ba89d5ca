"""What a transaction keeps and what it undoes, alike on every database."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.db.prepared import Prepared
from mediagen.db.tables import trash
from mediagen.errors import LeaseLost
from mediagen.jobs import events
from mediagen.jobs.model import EventType
from tests.conformance.databases import Desk

_ADD = Prepared(insert(trash))


def add(connection: Connection, *keys: str) -> None:
    _ADD.insert(connection, [{"key": key, "created_at": 1} for key in keys])


def add_last(connection: Connection, *keys: str) -> None:
    """Add them right before the commit, where the database wants that."""
    dialect.last(connection, _ADD.insert, [{"key": key, "created_at": 1} for key in keys])


def kept(connection: Connection) -> list[str]:
    return list(connection.execute(select(trash.c.key).order_by(trash.c.key)).scalars())


@pytest.mark.parametrize("fill", [add, add_last])
@pytest.mark.parametrize("keys", [["c", "a"], ["a"], ["b", "a", "c", "d"]])
async def test_what_is_refused_takes_the_whole_transaction_with_it(
    desk: Desk, fill: Callable[..., None], keys: Sequence[str]
) -> None:
    await desk.run(add, "a")

    def write(connection: Connection) -> None:
        add(connection, "before")
        fill(connection, *keys)

    with pytest.raises(IntegrityError):
        await desk.db.transact(write)
    assert await desk.db.read(kept) == ["a"]
    await desk.run(add_last, "z")  # it goes on
    assert await desk.db.read(kept) == ["a", "z"]


HOSTILE = (
    "'; DELETE FROM trash; --",
    "\\'; x",
    "%s %(key)s %%",
    '"$1"',
    "$$",
    "\u2028é\U0001f98a",
    "E'\\n'",
    "a\nb",
)


async def test_texts_that_look_like_sql_are_kept_as_they_are(desk: Desk) -> None:
    await desk.run(add_last, *HOSTILE)
    assert sorted(await desk.db.read(kept)) == sorted(HOSTILE)
    job = await desk.add("\n".join(HOSTILE))
    await desk.run(events.append, job.id, EventType.PROGRESS, {"note": list(HOSTILE)})
    assert (await desk.run(events.after, 0, limit=10))[-1].data == {"note": list(HOSTILE)}


async def test_nothing_is_read_at_the_end(desk: Desk) -> None:
    """On PostgreSQL it would come before what is written there; SQLite has no such end."""
    select_all = Prepared(select(trash))

    def read(connection: Connection, _: Sequence[str]) -> None:
        select_all.rows(connection, {})

    def write(connection: Connection) -> None:
        dialect.last(connection, read, ["a row"])

    if desk.db.name == "sqlite":
        await desk.db.transact(write)
    else:
        with pytest.raises(RuntimeError, match="nothing is read at the end"):
            await desk.db.transact(write)
    await desk.run(add_last, "it goes on")
    assert await desk.db.read(kept) == ["it goes on"]


async def test_an_inner_undo_leaves_what_stood_before_and_comes_after(desk: Desk) -> None:
    def write(connection: Connection) -> None:
        add(connection, "before")
        with dialect.savepoint(connection):
            add(connection, "kept")
        with suppress(LeaseLost), dialect.savepoint(connection):
            add(connection, "undone")
            with dialect.savepoint(connection):
                add(connection, "inner, kept, but for the outer")
            with suppress(IntegrityError), dialect.savepoint(connection):
                add(connection, "before")
            add(connection, "undone, too")
            raise LeaseLost("late")
        add(connection, "after")

    await desk.db.transact(write)
    assert await desk.db.read(kept) == ["after", "before", "kept"]
