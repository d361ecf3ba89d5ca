"""SQL that finds the jobs that are due: a worker asks several times a second."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, literal, select

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import job_events, jobs
from mediagen.db.tables import provider_calls as calls
from mediagen.jobs.model import EventType
from mediagen.jobs.states import CallState, JobState

WORKING = (JobState.SUBMITTING, JobState.RECONCILING, JobState.WAITING, JobState.STORING)
"""States whose jobs have something bought or about to be: they go before new ones."""

_NOW = bindparam("now", type_=jobs.c.run_at.type)
_PROVIDERS = bindparam("providers", expanding=True, type_=jobs.c.provider.type)
_LIMIT = bindparam("most", type_=jobs.c.priority.type)

_UNLEASED_DUE = (
    jobs.c.finished_at.is_(None),
    jobs.c.run_at <= _NOW,
    # A lease that has run out belongs to a worker that is dead, or late and fenced off.
    (jobs.c.lease_until.is_(None)) | (jobs.c.lease_until <= _NOW),
)
_QUEUED = jobs.c.state == JobState.QUEUED.value

_WORKING = Prepared(
    select(jobs.c.id)
    .where(*_UNLEASED_DUE)
    # Literals, as a list of plain values is expanded anew every time that SQLAlchemy executes the statement.
    .where(jobs.c.state.in_([literal(state.value) for state in WORKING]), jobs.c.provider.in_(_PROVIDERS))
    .order_by(jobs.c.run_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True),  # PostgreSQL: workers claim side by side; SQLite has one writer
    lists=("providers",),
)
_CAME_LATE = Prepared(
    select(jobs.c.id)
    .where(_QUEUED, *_UNLEASED_DUE)
    .where(jobs.c.provider.in_(_PROVIDERS))
    .where(
        jobs.c.id.in_(
            select(calls.c.job_id).where(
                calls.c.due_at.is_not(None), calls.c.state == literal(CallState.ORPHAN.value)
            )
        )
    )
    .order_by(jobs.c.run_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True),
    lists=("providers",),
)
_WITH_QUEUED = Prepared(
    select(jobs.c.provider).where(_QUEUED, *_UNLEASED_DUE).where(jobs.c.provider.in_(_PROVIDERS)).distinct(),
    lists=("providers",),
)
_OF_PROVIDER = (
    select(jobs.c.id)
    .where(_QUEUED, jobs.c.provider == bindparam("provider"))
    .where(*_UNLEASED_DUE)
    .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
    .limit(_LIMIT)
)
_QUEUED_OF = Prepared(_OF_PROVIDER.with_for_update(skip_locked=True))
_IS_NEW = select(job_events.c.id).where(  # by numbers that only rise: a clock may be set back
    job_events.c.job_id == jobs.c.id,
    job_events.c.type == literal(EventType.CREATED.value),
    job_events.c.id > bindparam("after", type_=job_events.c.id.type),
)
_NEW_OF = Prepared(_OF_PROVIDER.where(_IS_NEW.exists()).with_for_update(skip_locked=True, of=jobs))
_NEXT = Prepared(
    select(func.min(jobs.c.run_at)).where(
        jobs.c.finished_at.is_(None),
        jobs.c.run_at > _NOW,
        jobs.c.lease_until.is_(None),
        jobs.c.provider.in_(_PROVIDERS),
    ),
    lists=("providers",),
)


def working(connection: Connection, providers: Sequence[str], limit: int) -> list[str]:
    """Return the ids of due jobs with something bought, those that wait longest first, locked."""
    values = {"now": now_ms(connection), "providers": providers, "most": limit}
    return _WORKING.scalars(connection, values)


def bought(connection: Connection, providers: Sequence[str], limit: int) -> list[str]:
    """Return the ids of due queued jobs that go on with what came to light late: nothing is to be bought, locked."""
    values = {"now": now_ms(connection), "providers": providers, "most": limit}
    return _CAME_LATE.scalars(connection, values) if limit > 0 else []


def providers_with_queued(connection: Connection, providers: Sequence[str]) -> list[str]:
    """Return those of the providers that have due jobs with nothing bought yet."""
    values = {"now": now_ms(connection), "providers": providers}
    return sorted(_WITH_QUEUED.scalars(connection, values))


def queued(connection: Connection, provider: str, limit: int, after: int | None = None) -> list[str]:
    """Return the ids of due jobs with nothing bought yet, by priority, then by age, locked.

    With `after`, only jobs that were accepted after that event.
    """
    if limit <= 0:
        return []
    values: dict[str, Any] = {"now": now_ms(connection), "provider": provider, "most": limit}
    if after is None:
        return _QUEUED_OF.scalars(connection, values)
    return _NEW_OF.scalars(connection, {**values, "after": after})


def next_run_at(connection: Connection, providers: Sequence[str]) -> list[int]:
    """Return when the next job falls due, if there is one."""
    values = {"now": now_ms(connection), "providers": providers}
    return [at for at in _NEXT.scalars(connection, values) if at is not None]
