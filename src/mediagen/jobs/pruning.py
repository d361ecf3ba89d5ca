"""SQL that removes what nobody asks for any more, in small steps: old events and deliveries, expired keys.

Jobs, artifacts and the ledger stay. Rows are looked at in the order of their ids, which is that of time, so that no
step reads more than it may remove.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, select, tuple_

from mediagen.db.engine import Connection, now_ms
from mediagen.db.tables import idempotency_keys, job_events, jobs, webhook_outbox
from mediagen.jobs import events, search

STEP = 500
"""Rows of each kind that one step looks at."""


@dataclass(kw_only=True)
class Pruner:
    """Goes through the tables step by step. What belongs to a job at work is passed over."""

    keep_ms: int  # how long after it happened; 0 keeps events and deliveries for good
    # How far this round has come; None: it is through with them. A round ends with both.
    _event: int | None = 0
    _delivery: str | None = ""

    def step(self, connection: Connection) -> bool:
        """Remove up to `STEP` rows of each kind; tell whether there may be more."""
        more = _forget_keys(connection)
        if not self.keep_ms:
            return more
        before = now_ms(connection) - self.keep_ms
        if self._event is not None:
            self._event = _events(connection, before, self._event)
        if self._delivery is not None:
            self._delivery = _deliveries(connection, before, self._delivery)
        if self._event is None and self._delivery is None:
            self._event, self._delivery = 0, ""
            return more
        return True


def _events(connection: Connection, before: int, after: int) -> int | None:
    """Remove old ones of the next events; return the last that was looked at, None at the end."""
    query = select(job_events.c.id, job_events.c.job_id, job_events.c.at)
    found = connection.execute(_next(query, job_events.c.id, after)).all()
    # What the index has not read stays, and the newest event of all, by which readers know where they are.
    until = min(search.indexed_until(connection), events.last_id(connection) - 1)
    old = [row for row in found if row.at < before and row.id <= until]
    at_work = _at_work(connection, {row.job_id for row in old})
    ids = [row.id for row in old if row.job_id not in at_work]
    if ids:
        connection.execute(delete(job_events).where(job_events.c.id.in_(ids)))
    return found[-1].id if len(old) == STEP else None


def _deliveries(connection: Connection, before: int, after: str) -> str | None:
    """Remove old ones of the next deliveries; return the last that was looked at, None at the end."""
    outbox = webhook_outbox.c
    query = select(outbox.id, outbox.state, outbox.next_at)
    found = connection.execute(_next(query, outbox.id, after)).all()
    ids = [row.id for row in found if row.next_at < before and row.state != "pending"]
    if ids:
        connection.execute(delete(webhook_outbox).where(outbox.id.in_(ids)))
    return found[-1].id if len(found) == STEP else None  # they are not in the order of their times


def _next(query: Select[Any], column: Any, after: int | str) -> Select[Any]:
    return query.where(column > after).order_by(column).limit(STEP)


def _at_work(connection: Connection, job_ids: set[str]) -> set[str]:
    query = select(jobs.c.id).where(jobs.c.id.in_(sorted(job_ids)), jobs.c.finished_at.is_(None))
    return set(connection.execute(query).scalars()) if job_ids else set()


def _forget_keys(connection: Connection) -> bool:
    """Remove idempotency keys that have expired and whose job is not at work any more."""
    keys = idempotency_keys.c
    at_work = select(jobs.c.id).where(jobs.c.id == keys.job_id, jobs.c.finished_at.is_(None))
    expired = (
        select(keys.owner, keys.key)
        .where(keys.expires_at <= now_ms(connection), ~at_work.exists())
        .order_by(keys.expires_at)
        .limit(STEP)
    )
    found: Sequence[Any] = connection.execute(expired).all()
    if found:
        connection.execute(
            delete(idempotency_keys).where(tuple_(keys.owner, keys.key).in_([tuple(row) for row in found]))
        )
    return len(found) == STEP
