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

STEP = 500
"""Rows of each kind that one step looks at."""


@dataclass(kw_only=True)
class Pruner:
    """Goes through the tables step by step. What belongs to a job at work is passed over."""

    keep_ms: int  # how long after it happened; 0 keeps events and deliveries for good
    _event: int = 0
    _delivery: str = ""

    def step(self, connection: Connection) -> bool:
        """Remove up to `STEP` rows of each kind; tell whether there may be more."""
        more = _forget_keys(connection)
        if self.keep_ms:
            before = now_ms(connection) - self.keep_ms
            more |= self._events(connection, before)
            more |= self._deliveries(connection, before)
        return more

    def _events(self, connection: Connection, before: int) -> bool:
        query = select(job_events.c.id, job_events.c.job_id, job_events.c.at)
        found = connection.execute(_next(query, job_events.c.id, self._event)).all()
        old = [row for row in found if row.at < before]
        at_work = _at_work(connection, {row.job_id for row in old})
        ids = [row.id for row in old if row.job_id not in at_work]
        if ids:
            connection.execute(delete(job_events).where(job_events.c.id.in_(ids)))
        more = len(old) == STEP
        self._event = found[-1].id if more else 0
        return more

    def _deliveries(self, connection: Connection, before: int) -> bool:
        outbox = webhook_outbox.c
        query = select(outbox.id, outbox.state, outbox.next_at)
        found = connection.execute(_next(query, outbox.id, self._delivery)).all()
        old = [row for row in found if row.next_at < before]
        ids = [row.id for row in old if row.state != "pending"]
        if ids:
            connection.execute(delete(webhook_outbox).where(outbox.id.in_(ids)))
        more = len(old) == STEP
        self._delivery = found[-1].id if more else ""
        return more


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
