"""Prepared statements give what SQLAlchemy gives for the same statement, on every database."""

from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from mediagen.db.engine import Connection
from mediagen.db.prepared import Prepared
from mediagen.db.tables import job_events, jobs, trash
from tests.conformance.databases import Desk

KEYS = ("a", "b", "c")
_ADD = Prepared(insert(trash))
_OF_KEYS = select(trash).where(trash.c.key.in_(bindparam("keys", expanding=True))).order_by(trash.c.key)
_SOME = Prepared(_OF_KEYS, lists=("keys",))
_CHANGE = Prepared(update(trash).where(trash.c.key == bindparam("of")))


def _filled(connection: Connection) -> None:
    _ADD.insert(connection, [{"key": key, "created_at": number} for number, key in enumerate(KEYS)])


@pytest.mark.parametrize("keys", [[], ["b"], ["c", "a"], ["a", "b", "c", "nobody's"]])
async def test_lists_of_any_length_find_what_sqlalchemy_finds(desk: Desk, keys: list[str]) -> None:
    await desk.db.transact(_filled)
    expected = await desk.db.read(lambda c: [tuple(row) for row in c.execute(_OF_KEYS, {"keys": keys})])
    assert await desk.db.read(lambda c: [tuple(row) for row in _SOME.rows(c, {"keys": keys})]) == expected
    assert await desk.db.read(lambda c: _SOME.scalars(c, {"keys": keys})) == sorted(set(keys) & set(KEYS))


async def test_columns_are_attributes(desk: Desk) -> None:
    await desk.db.transact(_filled)
    row = await desk.db.read(lambda c: _SOME.row(c, {"keys": ["b"]}))
    assert row is not None
    assert (row.key, row.created_at, row._asdict()) == ("b", 1, {"key": "b", "created_at": 1})
    assert await desk.db.read(lambda c: _SOME.row(c, {"keys": ["z"]})) is None


async def test_more_than_one_row_is_none_of_one(desk: Desk) -> None:
    await desk.db.transact(_filled)
    with pytest.raises(ValueError, match="too many"):
        await desk.db.read(lambda c: _SOME.row(c, {"keys": ["a", "b"]}))


async def test_an_update_sets_the_columns_that_it_is_given(desk: Desk) -> None:
    await desk.db.transact(_filled)
    assert await desk.db.transact(lambda c: _CHANGE.changed(c, {"of": "a", "created_at": 7})) == 1
    assert await desk.db.transact(lambda c: _CHANGE.changed(c, {"of": "b", "key": "B", "created_at": 8})) == 1
    assert await desk.db.transact(lambda c: _CHANGE.changed(c, {"of": "z", "created_at": 9})) == 0
    found = await desk.db.read(lambda c: _SOME.rows(c, {"keys": ["a", "B", "c"]}))
    assert {row.key: row.created_at for row in found} == {"a": 7, "B": 8, "c": 2}


async def test_json_goes_in_and_comes_out(desk: Desk) -> None:
    data = {"text": "ü\u2028'\"", "list": [1, None, {"deep": True}]}
    event = {"job_id": (await desk.add()).id, "type": "progress", "at": 5, "data": data}
    newest = Prepared(select(job_events.c.data).order_by(job_events.c.id))

    def write(connection: Connection) -> Any:
        Prepared(insert(job_events)).insert(connection, [event, event | {"data": {}}])
        return newest.scalars(connection, {})[-2:]

    assert await desk.db.transact(write) == [data, {}]


async def test_what_an_update_returns_is_read_as_it_is_selected(desk: Desk) -> None:
    job_id = (await desk.add()).id
    note = Prepared(update(jobs).where(jobs.c.id == bindparam("of")).returning(*jobs.c))
    returned = await desk.db.transact(lambda c: note.rows(c, {"of": job_id, "note": "x"}))
    [selected] = await desk.db.read(lambda c: c.execute(select(jobs).where(jobs.c.id == job_id)).all())
    assert [row._asdict() for row in returned] == [selected._asdict()]


async def test_a_refused_row_is_sqlalchemys_error_and_says_no_values(desk: Desk) -> None:
    await desk.db.transact(_filled)
    with pytest.raises(IntegrityError) as refused:
        await desk.db.transact(lambda c: _ADD.insert(c, [{"key": "a", "created_at": 4_711}]))
    assert "4711" not in str(refused.value)
    with pytest.raises(IntegrityError):
        await desk.db.transact(lambda c: _CHANGE.changed(c, {"of": "a", "key": "b"}))
