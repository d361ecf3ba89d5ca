"""What every database must do for the events of jobs: keep those that were committed, in the order of commits."""

from contextlib import suppress

import pytest

from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.errors import LeaseLost
from mediagen.jobs import events
from mediagen.jobs.model import EventType, Job
from tests.conformance.databases import Desk


async def test_events_are_read_in_order_after_an_id_up_to_the_limit_of_one_job_or_of_all(desk: Desk) -> None:
    first, second = await desk.add(), await desk.add()
    await desk.run(events.append, first.id, EventType.PROGRESS, {"progress": 0.5})
    everything = await desk.run(events.after, 0, limit=10)
    assert [event.job_id for event in everything] == [first.id, second.id, first.id]
    assert await desk.run(events.after, everything[0].id, limit=1) == [everything[1]]
    assert await desk.run(events.after, 0, limit=10, job_id=first.id) == [everything[0], everything[2]]
    assert await desk.run(events.last_id) == everything[-1].id
    assert everything[-1].data == {"progress": 0.5}


def progress(connection: Connection, job: Job, how_far: float) -> None:
    events.append(connection, job.id, EventType.PROGRESS, {"progress": how_far})


async def test_events_of_what_was_undone_are_never_written_and_the_others_keep_their_order(
    desk: Desk,
) -> None:
    job = await desk.add()

    def write(connection: Connection) -> None:
        progress(connection, job, 0.1)
        with suppress(LeaseLost), dialect.savepoint(connection):
            progress(connection, job, 0.2)
            raise LeaseLost("others have moved on")
        with dialect.savepoint(connection):
            progress(connection, job, 0.3)
        progress(connection, job, 0.4)

    await desk.db.transact(write)
    _, *written = await desk.run(events.after, 0, limit=10)
    assert [event.data["progress"] for event in written] == [0.1, 0.3, 0.4]


async def test_events_of_a_transaction_that_failed_are_not_written_by_a_later_one(desk: Desk) -> None:
    job = await desk.add()

    def fail(connection: Connection) -> None:
        progress(connection, job, 0.1)
        raise LeaseLost("others have moved on")

    for _ in range(20):  # so that every connection of a pool has failed
        with pytest.raises(LeaseLost):
            await desk.db.transact(fail)
    await desk.run(progress, job, 0.9)
    _, *written = await desk.run(events.after, 0, limit=100)
    assert [event.data["progress"] for event in written] == [0.9]
