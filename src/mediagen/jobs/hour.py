"""SQL that draws the last hour: what came in and how it ended minute by minute, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select

from mediagen.db.engine import Connection, now_ms
from mediagen.db.tables import jobs, provider_calls
from mediagen.jobs.states import IN_FLIGHT, JobState

MINUTE_MS = 60_000
MINUTES = 60

_SAMPLES = 2_000  # the newest jobs of the hour, whose durations are read
_SKEW_MS = 300_000  # between the clock that makes ids and the database's own, at most


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What came in and ended within one minute."""

    at: int  # its first millisecond
    accepted: int
    begun: int  # jobs that left the queue: with their first call, or at their end when there was none
    completed: int
    failed: int
    canceled: int


@dataclass(frozen=True, kw_only=True)
class ProviderHour:
    """The paid calls to one provider."""

    calls: int  # begun in the last hour
    in_flight: int  # jobs that are with it now


@dataclass(frozen=True, kw_only=True)
class Hour:
    """The last hour of an installation."""

    minutes: Sequence[Minute]  # `MINUTES` of them, oldest first; the last is under way
    waits_ms: Sequence[int]  # submit to first call, rising
    runs_ms: Sequence[int]  # first call to end, rising
    queued: int  # now, at the end of the last minute
    in_flight: int  # now
    providers: dict[str, ProviderHour]


def collect(connection: Connection, owner: str, providers: Sequence[str]) -> Hour:
    """Read the last hour and how much those providers had to do, in one read transaction."""
    since = (now_ms(connection) // MINUTE_MS - MINUTES + 1) * MINUTE_MS
    accepted = _accepted(connection, owner, since)
    begun = _begun(connection, owner, since)
    ended = _ended(connection, owner, since)

    def minute(number: int) -> Minute:
        return Minute(
            at=since + number * MINUTE_MS,
            accepted=accepted.get(number, 0),
            begun=begun.get(number, 0),
            completed=ended.get((number, JobState.SUCCEEDED), 0),
            failed=ended.get((number, JobState.FAILED), 0),
            canceled=ended.get((number, JobState.CANCELED), 0),
        )

    waits, runs = _durations(connection, owner, since)
    unfinished = _unfinished(connection, owner)
    return Hour(
        minutes=[minute(number) for number in range(MINUTES)],
        waits_ms=waits,
        runs_ms=runs,
        queued=unfinished.get(JobState.QUEUED, 0),
        in_flight=sum(unfinished.get(state, 0) for state in IN_FLIGHT),
        providers={name: _provider(connection, owner, since, name) for name in providers},
    )


def _accepted(connection: Connection, owner: str, since: int) -> dict[int, int]:
    query = (
        select(_minute_of(jobs.c.created_at, since), func.count().label("number"))
        .where(jobs.c.owner == owner, jobs.c.id >= _first_id(since - _SKEW_MS), jobs.c.created_at >= since)
        .group_by("minute")
    )
    return {row.minute: row.number for row in connection.execute(query)}


def _begun(connection: Connection, owner: str, since: int) -> dict[int, int]:
    began_at = func.coalesce(jobs.c.started_at, jobs.c.finished_at)
    query = (
        select(_minute_of(began_at, since), func.count().label("number"))
        .where(jobs.c.owner == owner, or_(jobs.c.finished_at >= since, jobs.c.finished_at.is_(None)))
        .where(began_at >= since)
        .group_by("minute")
    )
    return {row.minute: row.number for row in connection.execute(query)}


def _ended(connection: Connection, owner: str, since: int) -> dict[tuple[int, JobState], int]:
    query = (
        select(_minute_of(jobs.c.finished_at, since), jobs.c.state, func.count())
        .where(jobs.c.owner == owner, jobs.c.finished_at >= since)
        .group_by("minute", jobs.c.state)
    )
    return {(minute, JobState(state)): count for minute, state, count in connection.execute(query)}


def _unfinished(connection: Connection, owner: str) -> dict[JobState, int]:
    states = [JobState.QUEUED.value, *(state.value for state in IN_FLIGHT)]
    query = (
        select(jobs.c.state, func.count().label("number"))
        .where(jobs.c.owner == owner, jobs.c.state.in_(states))
        .group_by(jobs.c.state)
    )
    return {JobState(row.state): row.number for row in connection.execute(query)}


def _durations(connection: Connection, owner: str, since: int) -> tuple[list[int], list[int]]:
    query = (
        select(jobs.c.started_at - jobs.c.created_at, jobs.c.finished_at - jobs.c.started_at)
        .where(jobs.c.owner == owner, jobs.c.finished_at >= since, jobs.c.state == JobState.SUCCEEDED.value)
        .order_by(jobs.c.finished_at.desc())
        .limit(_SAMPLES)
    )
    found = [(wait, run) for wait, run in connection.execute(query) if wait is not None]
    return sorted(wait for wait, _ in found), sorted(run for _, run in found)


def _provider(connection: Connection, owner: str, since: int, name: str) -> ProviderHour:
    begun = (
        select(func.count())
        .select_from(provider_calls)
        .where(provider_calls.c.provider == name, provider_calls.c.created_at >= since)
    )
    in_flight = select(func.count()).where(
        jobs.c.owner == owner, jobs.c.state.in_([state.value for state in IN_FLIGHT]), jobs.c.provider == name
    )
    return ProviderHour(
        calls=connection.execute(begun).scalar_one(), in_flight=connection.execute(in_flight).scalar_one()
    )


def _minute_of(column: ColumnElement[int], since: int) -> ColumnElement[int]:
    return ((column - since) // MINUTE_MS).label("minute")


def _first_id(at: int) -> str:
    """Return what sorts before every id made at that time or later; ids begin with their time (UUIDv7)."""
    digits = f"{max(0, at):012x}"
    return f"{digits[:8]}-{digits[8:]}"
