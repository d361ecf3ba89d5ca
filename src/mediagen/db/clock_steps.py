"""Moves what is stored when the database's clock was set, so that nothing waits or ends for time that did not pass.

A step ahead cannot be told from a pause of this machine in which its monotonic clock stood still. So nothing that
falls due is moved further into the future than a moment: what was a pause delays nothing by much.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, case, delete, insert, select, text, update

from mediagen.db.tables import (
    jobs,
    pauses,
    provider_calls,
    provider_gates,
    provider_traits,
    webhook_outbox,
    workers,
)
from mediagen.db.timeline import STEP_MS, Reading

_SOON_MS = 30_000

_WHOSE, _WHAT = "", "clock_moved_ms"  # a trait of this installation: by how much it was moved in all
_IS_IT = (provider_traits.c.provider == _WHOSE, provider_traits.c.trait == _WHAT)
_TOTAL = f"SELECT value FROM provider_traits WHERE provider = '{_WHOSE}' AND trait = '{_WHAT}'"  # noqa: S608
_NEWEST = "SELECT max(updated_at) FROM jobs WHERE finished_at IS NULL"
_LOCK = 7_231_003


def follow(connection: Connection, reading: Reading, moved_ms: int | None) -> int:
    """Move what is stored by the step of the reading, less what other processes moved it by since `moved_ms`.

    For a process that writes for the first time (None) there is no step, but what is stored may be newer than the
    clock. In a transaction of its own. Returns by how much it was moved in all.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    total_ms = _moved(connection)
    by_ms = -_ahead_ms(connection, reading) if moved_ms is None else reading.step_ms - (total_ms - moved_ms)
    if abs(by_ms) <= STEP_MS:
        return total_ms
    move(connection, by_ms, reading.shown_ms)
    _note(connection, total_ms + by_ms, reading.shown_ms)
    return total_ms + by_ms


def _moved(connection: Connection) -> int:
    return int(connection.exec_driver_sql(_TOTAL).scalars().first() or 0)


def _ahead_ms(connection: Connection, reading: Reading) -> int:
    """Return how much newer than the clock what is stored is: that was set back while nobody looked."""
    return max(0, (connection.exec_driver_sql(_NEWEST).scalar_one() or 0) - reading.shown_ms)


def move(connection: Connection, by_ms: int, now: int) -> None:
    """Move all that is still to come, and since when what is under way is; `now` is by the clock as it is set now."""

    def at_most(column: ColumnElement[int], most: int) -> ColumnElement[int]:
        if by_ms < 0:
            return column + by_ms
        return case((column >= most, column), (column + by_ms >= most, most), else_=column + by_ms)

    def past(*columns: ColumnElement[int]) -> dict[Any, Any]:
        return {column: at_most(column, now) for column in columns}

    def due(*columns: ColumnElement[int]) -> dict[Any, Any]:
        return {column: at_most(column, now + _SOON_MS) for column in columns}

    at_work = select(jobs.c.id).where(jobs.c.finished_at.is_(None))
    call, job = provider_calls.c, jobs.c
    connection.execute(
        update(provider_calls)
        .where(call.job_id.in_(at_work) | call.due_at.is_not(None))
        .values(
            {
                **past(call.created_at, call.begun_at, call.missing_since, call.finished_at),
                **due(call.send_by, call.due_at),
                call.deadline_at: call.deadline_at + by_ms,
            }
        )
    )
    connection.execute(
        update(jobs)
        .where(job.finished_at.is_(None))
        .values(
            {
                **past(job.started_at, job.cancel_requested_at, job.updated_at),
                **due(job.run_at),
                job.expires_at: job.expires_at + by_ms,
                # Steps under way hold what they read before: their writes are refused, and they are taken again.
                job.lease_epoch: case(
                    (job.lease_owner.is_not(None), job.lease_epoch + 1), else_=job.lease_epoch
                ),
                job.lease_owner: None,
                job.lease_until: None,
            }
        )
    )
    connection.execute(update(provider_gates).values(due(provider_gates.c.next_free_at)))
    connection.execute(update(pauses).values(due(pauses.c.until)))
    outbox = webhook_outbox.c
    connection.execute(update(webhook_outbox).where(outbox.state == "pending").values(due(outbox.next_at)))
    connection.execute(update(workers).values(past(workers.c.started_at, workers.c.seen_at)))


def _note(connection: Connection, total_ms: int, now: int) -> None:
    connection.execute(delete(provider_traits).where(*_IS_IT))
    row = {"provider": _WHOSE, "trait": _WHAT, "value": str(total_ms), "at": now}
    connection.execute(insert(provider_traits), [row])
