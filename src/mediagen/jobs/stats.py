"""SQL that counts: what the queue holds, how fast jobs end, which workers live."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from sqlalchemy import and_, delete, func, insert, or_, select, tuple_, update

from mediagen.artifacts.repository import bytes_kept
from mediagen.db.engine import Connection, now_ms
from mediagen.db.tables import jobs, workers
from mediagen.jobs import pauses
from mediagen.jobs.model import Job
from mediagen.jobs.pauses import Pause
from mediagen.jobs.states import STATUS_OF, JobState, JobStatus

WINDOW_MS = 3_600_000
ALIVE_MS = 15_000
"""A worker that was not seen for so long is taken for dead."""

_SAMPLES = 2_000
_MOST_AHEAD = 1_000
_LATELY = 500  # jobs whose durations tell what is usual


@dataclass(frozen=True, kw_only=True)
class WorkerSeen:
    """A worker process that was seen lately."""

    name: str
    started_at: int
    seen_at: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Stats:
    """The numbers of one moment. Rates, durations and errors are those of the last hour."""

    by_state: dict[JobState, int]
    by_status: dict[JobStatus, int]
    oldest_queued_ms: int | None
    completed: int
    failed: int
    durations_ms: Sequence[int]  # submit to end of completed jobs, rising
    errors: dict[str, int]  # by code
    workers: Sequence[WorkerSeen]
    pauses: Sequence[Pause]
    storage_bytes: int


def collect(connection: Connection, owner: str) -> Stats:
    """Count everything, in one read transaction."""
    now = now_ms(connection)
    by_state = _by_state(connection, owner)
    by_status: Counter[JobStatus] = Counter()
    for state, count in by_state.items():
        by_status[STATUS_OF[state]] += count
    ended = _ended_since(connection, owner, now - WINDOW_MS)
    return Stats(
        by_state=by_state,
        by_status={status: by_status[status] for status in JobStatus},
        oldest_queued_ms=_oldest_queued(connection, owner, now),
        completed=ended[JobState.SUCCEEDED],
        failed=ended[JobState.FAILED],
        durations_ms=_durations(connection, owner, now - WINDOW_MS),
        errors=_errors(connection, owner, now - WINDOW_MS),
        workers=alive(connection),
        pauses=pauses.in_force(connection),
        storage_bytes=bytes_kept(connection),
    )


def _by_state(connection: Connection, owner: str) -> dict[JobState, int]:
    query = select(jobs.c.state, func.count()).where(jobs.c.owner == owner).group_by(jobs.c.state)
    found = {JobState(state): count for state, count in connection.execute(query)}
    return {state: found.get(state, 0) for state in JobState}


def _oldest_queued(connection: Connection, owner: str, now: int) -> int | None:
    query = select(func.min(jobs.c.created_at)).where(
        jobs.c.owner == owner, jobs.c.state == JobState.QUEUED.value
    )
    oldest = connection.execute(query).scalar_one()
    return None if oldest is None else max(0, now - oldest)


def _ended_since(connection: Connection, owner: str, since: int) -> Counter[JobState]:
    query = (
        select(jobs.c.state, func.count())
        .where(jobs.c.owner == owner, jobs.c.finished_at >= since)
        .group_by(jobs.c.state)
    )
    return Counter({JobState(state): count for state, count in connection.execute(query)})


def _durations(connection: Connection, owner: str, since: int) -> list[int]:
    query = (
        select(jobs.c.finished_at - jobs.c.created_at)
        .where(jobs.c.owner == owner, jobs.c.finished_at >= since, jobs.c.state == JobState.SUCCEEDED.value)
        .order_by(jobs.c.finished_at.desc())
        .limit(_SAMPLES)
    )
    return sorted(connection.execute(query).scalars())


def ahead_of(connection: Connection, job: Job) -> int | None:
    """Count the queued jobs that the provider gets before this one, up to a bound; None unless it is queued."""
    if job.state is not JobState.QUEUED:
        return None
    earlier = or_(
        jobs.c.priority > job.priority,
        and_(jobs.c.priority == job.priority, tuple_(jobs.c.run_at, jobs.c.id) < (job.run_at, job.id)),
    )
    queued = (jobs.c.state == JobState.QUEUED.value, jobs.c.provider == job.provider)
    bounded = select(jobs.c.id).where(*queued, earlier).limit(_MOST_AHEAD).subquery()
    return int(connection.execute(select(func.count()).select_from(bounded)).scalar_one())


def typical_ms(connection: Connection, owner: str) -> dict[str, int]:
    """Return by model the median time that the last jobs took from their first call to their end."""
    query = (
        select(jobs.c.model, jobs.c.finished_at - jobs.c.started_at)
        .where(jobs.c.owner == owner, jobs.c.state == JobState.SUCCEEDED.value)
        .order_by(jobs.c.id.desc())
        .limit(_LATELY)
    )
    taken: defaultdict[str, list[int]] = defaultdict(list)
    for model, duration in connection.execute(query):
        if duration is not None:
            taken[model].append(duration)
    return {model: median_low(durations) for model, durations in taken.items()}


def _errors(connection: Connection, owner: str, since: int) -> dict[str, int]:
    query = (
        select(jobs.c.error_code, func.count())
        .where(jobs.c.owner == owner, jobs.c.finished_at >= since, jobs.c.state == JobState.FAILED.value)
        .group_by(jobs.c.error_code)
    )
    return {code or "error": count for code, count in connection.execute(query)}


def beat(connection: Connection, name: str, steps: int) -> None:
    """Note that a worker lives, and forget those that died more than an hour ago."""
    now = now_ms(connection)
    seen = update(workers).where(workers.c.name == name).values(seen_at=now, steps=steps)
    if connection.execute(seen).rowcount == 0:
        connection.execute(insert(workers).values(name=name, started_at=now, seen_at=now, steps=steps))
    connection.execute(delete(workers).where(workers.c.seen_at < now - WINDOW_MS))


def leave(connection: Connection, name: str) -> None:
    """Note that a worker has stopped."""
    connection.execute(delete(workers).where(workers.c.name == name))


def alive(connection: Connection) -> list[WorkerSeen]:
    """Return the workers that were seen lately."""
    rows = connection.execute(select(workers).where(workers.c.seen_at > now_ms(connection) - ALIVE_MS))
    return [WorkerSeen(**row._asdict()) for row in rows]


def touch(connection: Connection) -> None:
    """Read some jobs: a database can be damaged in one table alone. Raises what reading raises."""
    connection.execute(select(jobs).order_by(jobs.c.id.desc()).limit(1)).all()
