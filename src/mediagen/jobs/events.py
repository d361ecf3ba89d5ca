"""SQL on the events of jobs: append, read after an id."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, insert, select

from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import job_events
from mediagen.jobs.model import EventType, JobEvent

_INSERT = Prepared(insert(job_events))


def append(connection: Connection, job_id: str, type_: EventType, data: Mapping[str, Any]) -> None:
    """Record a fact of a job's life, in the transaction that makes it true."""
    append_many(connection, [(job_id, type_, data)])


def append_many(connection: Connection, facts: Sequence[tuple[str, EventType, Mapping[str, Any]]]) -> None:
    """Record facts of several jobs."""
    at = now_ms(connection)
    rows = [
        {"job_id": job_id, "type": type_.value, "at": at, "data": dict(data)} for job_id, type_, data in facts
    ]
    dialect.last(connection, _INSERT.insert, rows)


def after(connection: Connection, event_id: int, *, limit: int, job_id: str | None = None) -> list[JobEvent]:
    """Return up to `limit` events with an id above `event_id`, oldest first, of one job or of all."""
    query = select(job_events).where(job_events.c.id > event_id).order_by(job_events.c.id).limit(limit)
    if job_id is not None:
        query = query.where(job_events.c.job_id == job_id)
    return [_event(row) for row in connection.execute(query)]


_LAST_ID = Prepared(select(func.coalesce(func.max(job_events.c.id), 0)))


def last_id(connection: Connection) -> int:
    """Return the id of the newest event, 0 when there is none."""
    [newest] = _LAST_ID.scalars(connection, {})
    return int(newest)


def _event(row: Row[Any]) -> JobEvent:
    return JobEvent(id=row.id, job_id=row.job_id, type=row.type, at=row.at, data=row.data)
