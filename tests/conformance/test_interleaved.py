"""Two transactions of two processes, one in the middle of the other: what only a database with many writers shows.

`first` is open, has written and has not committed; then the second begins, and waits or goes on; then `first`
commits. On SQLite there is one writer, and none of this can happen.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.util import await_only

from mediagen.artifacts import repository as artifacts
from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.db.postgres import PostgresDatabase
from mediagen.errors import KeyReused, LeaseLost
from mediagen.jobs import calls, events, gates, wishes
from mediagen.jobs.calls import Acceptance
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.leases import release_all
from mediagen.jobs.model import EventType
from mediagen.jobs.service import Submitted, accept
from mediagen.jobs.states import CallState, JobState
from tests.conformance.databases import PROVIDER, Desk
from tests.conformance.test_wishes import artifact
from tests.fakes.clock import ManualClock
from tests.fakes.servers import database

T = TypeVar("T")

_LOOK_S = 0.005
_PATIENCE_S = 10.0
_BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A database on which two sessions work, as those of two processes do."""

    desk: Desk

    async def interleave(
        self,
        first: Callable[[Connection], Any],
        second: Callable[[Connection], T],
        before_commit: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Run `first`, begin `second` before its commit, and return what `second` returned or raise its error."""
        written, may_commit = asyncio.Event(), asyncio.Event()

        def held(connection: Connection) -> None:
            first(connection)
            dialect.write_last(connection)
            dialect.forget_last(connection)
            written.set()
            await_only(may_commit.wait())

        async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(self.desk.db.transact(held))
            await written.wait()
            other = asyncio.create_task(self.desk.db.transact(second))  # may well be refused
            await self._waits_or_ends(other)
            if before_commit is not None:
                await before_commit()
            may_commit.set()
        return await other

    async def _waits_or_ends(self, other: "asyncio.Task[Any]") -> None:
        while not other.done():
            if await self.desk.db.read(lambda c: c.execute(_BLOCKED).scalar_one()):
                return
            await asyncio.sleep(_LOOK_S)  # the server says who waits only when asked


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    clock = ManualClock()
    with database() as url:
        db = PostgresDatabase(url, clock, server_clock=False)
        await db.start()
        yield Pair(desk=Desk(db=db, clock=clock, again=_never))
        await db.close()


def _never() -> Any:
    raise AssertionError("there is one database here")


# ---------------------------------------------------------------------------------------------- submits


async def test_one_key_in_two_processes_at_once_is_one_job(pair: Pair) -> None:
    one, same = (pair.desk.new(idempotency_key="k") for _ in range(2))
    [answer] = await pair.interleave(lambda c: accept(c, [one]), lambda c: accept(c, [same]))
    assert isinstance(answer, Submitted)
    assert (answer.replayed, answer.job.id) == (True, one.id)
    assert len((await pair.desk.everything())["jobs"]) == 1


async def test_one_key_for_two_requests_at_once_is_refused_and_leaves_the_batch_alone(pair: Pair) -> None:
    one, other = pair.desk.new(idempotency_key="k"), pair.desk.new(idempotency_key="k", request_hash="else")
    refused, kept = await pair.interleave(
        lambda c: accept(c, [one]), lambda c: accept(c, [other, pair.desk.new()])
    )
    assert isinstance(refused, KeyReused)
    assert isinstance(kept, Submitted)


async def test_batches_with_the_same_keys_in_another_order_do_not_wait_for_each_other(pair: Pair) -> None:
    names = [f"key {n}" for n in range(20)]
    batches = [
        [pair.desk.new(idempotency_key=name) for name in order]
        for order in (names, names[::-1])
        for _ in "ab"
    ]
    await asyncio.gather(*(pair.desk.run(accept, batch) for batch in batches))
    assert len((await pair.desk.everything())["jobs"]) == len(names)


# ---------------------------------------------------------------------------------------------- the ledger


async def test_a_call_that_is_told_of_while_it_is_given_up_becomes_an_orphan(pair: Pair) -> None:
    call = await pair.desk.call(await pair.desk.job_in(JobState.RECONCILING), CallState.UNKNOWN)
    told = await pair.interleave(
        lambda c: calls.settle(c, call.id, CallState.ABSENT), lambda c: calls.accept(c, call.id, "ref-1")
    )
    assert told is Acceptance.LATE
    found = await pair.desk.run(calls.get, call.id)
    assert found is not None
    assert (found.state, found.provider_ref) == (CallState.ORPHAN, "ref-1")


async def test_a_call_is_not_given_up_while_it_is_told_of(pair: Pair) -> None:
    job = await pair.desk.job_in(JobState.RECONCILING)
    call = await pair.desk.call(job, CallState.UNKNOWN)
    seen = await pair.interleave(
        lambda c: calls.accept(c, call.id, "ref-1"), lambda c: calls.live(c, job.id, lock=True)
    )
    assert seen is not None
    assert (seen.state, seen.provider_ref) == (CallState.ACCEPTED, "ref-1")


async def test_an_opinion_that_comes_after_the_fact_is_refused(pair: Pair) -> None:
    call = await pair.desk.call(await pair.desk.job_in(JobState.RECONCILING), CallState.UNKNOWN)
    with pytest.raises(LeaseLost):
        await pair.interleave(
            lambda c: calls.accept(c, call.id, "ref-1"), lambda c: calls.settle(c, call.id, CallState.ABSENT)
        )


async def test_a_call_told_of_by_two_processes_at_once_is_recorded_once(pair: Pair) -> None:
    call = await pair.desk.call(await pair.desk.job_in(JobState.RECONCILING), CallState.UNKNOWN)
    tell = lambda c: calls.accept(c, call.id, "ref-1")  # noqa: E731
    assert await pair.interleave(tell, tell) is Acceptance.RECORDED


async def test_one_prediction_told_for_two_calls_at_once_belongs_to_the_first(pair: Pair) -> None:
    one, other = [
        await pair.desk.call(await pair.desk.job_in(JobState.RECONCILING), CallState.UNKNOWN) for _ in "ab"
    ]
    told = await pair.interleave(
        lambda c: calls.accept(c, one.id, "ref-1"), lambda c: calls.accept(c, other.id, "ref-1")
    )
    assert told is Acceptance.TAKEN


# ---------------------------------------------------------------------------------------------- gates


async def test_a_gate_that_is_not_there_yet_lets_one_burst_through_not_two(pair: Pair) -> None:
    policy = GatePolicy(creates_per_s=5)

    def take_all(connection: Connection) -> int:
        slots = gates.opening(connection, PROVIDER, policy).slots
        gates.take(connection, PROVIDER, slots, policy)
        return slots

    assert await pair.interleave(take_all, take_all) == 0


# ---------------------------------------------------------------------------------------------- events


async def test_a_later_event_is_not_seen_before_an_earlier_one(pair: Pair) -> None:
    job = await pair.desk.add()

    def append(connection: Connection) -> None:
        events.append(connection, job.id, EventType.PROGRESS, {})

    last = await pair.desk.run(events.last_id)

    async def nothing_is_seen() -> None:
        assert await pair.desk.run(events.after, last, limit=10) == []

    await pair.interleave(append, append, nothing_is_seen)
    assert len(await pair.desk.run(events.after, last, limit=10)) == 2


# ---------------------------------------------------------------------------------------------- the rest


async def test_an_output_kept_by_two_workers_at_once_is_one_artifact(pair: Pair) -> None:
    one = artifact(await pair.desk.job_in(JobState.STORING), 0)
    other = replace(one, key="another.jpg")
    kept = await pair.interleave(lambda c: artifacts.record(c, one), lambda c: artifacts.record(c, other))
    assert kept.key == one.key


async def test_a_job_that_is_claimed_while_it_is_canceled_is_canceled_once(pair: Pair) -> None:
    job = await pair.desk.add()
    await pair.interleave(lambda c: wishes.request_cancel(c, job), lambda c: wishes.request_cancel(c, job))
    types = [event.type for event in await pair.desk.run(events.after, 0, limit=10, job_id=job.id)]
    assert types == ["created", "canceled"]


async def test_a_job_is_expired_by_one_of_two_workers(pair: Pair) -> None:
    await pair.desk.add(expiry_s=1)
    pair.desk.clock.advance(2)
    assert await pair.interleave(wishes.expire, wishes.expire) == 0


async def test_two_processes_that_rescue_the_same_worker_free_each_job_once(pair: Pair) -> None:
    await pair.desk.add()
    await pair.desk.claimed("dead")
    assert await pair.interleave(lambda c: release_all(c, "dead"), lambda c: release_all(c, "dead")) == 0
