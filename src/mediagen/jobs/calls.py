"""The ledger of provider calls: what was, or may have been, bought. Never pay twice.

Facts and opinions. That a provider took a call (`accept`) is a fact: anybody who learns it may write it, at any
time, without a lease. That a call is unknown, absent or over is an opinion of the worker that holds the job, and
is written in the one transaction that also moves the job, under its lease.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from sqlalchemy import bindparam, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from mediagen.db import dialect
from mediagen.db.engine import Connection, is_conflict, now_ms
from mediagen.db.prepared import Prepared, Row
from mediagen.db.tables import jobs
from mediagen.db.tables import provider_calls as calls
from mediagen.errors import LeaseLost
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.states import CALL_MOVES, LIVE_CALLS, CallState

SEND_WITHIN_MS = 5_000
"""The create is sent within this time of its intent, or never."""

_VALUES = 1_000  # in one statement: databases bound how many it may hold


class Acceptance(Enum):
    """What became of the fact that a provider took a call."""

    RECORDED = auto()  # the call is accepted (now, or it was already)
    TAKEN = auto()  # another call has this provider ref already
    LATE = auto()  # the call was given up as absent before: it is an orphan now
    OVER = auto()  # the call has ended already, or is not in the ledger


_CHANGE = update(calls).where(calls.c.id == bindparam("call_id"))
_INSERT = Prepared(insert(calls))
_ACCEPT = Prepared(_CHANGE)
_SETTLE = Prepared(_CHANGE.where(calls.c.state.in_(bindparam("before", expanding=True))), lists=("before",))
_LAST_SEQ = Prepared(
    select(func.coalesce(func.max(calls.c.seq), 0)).where(calls.c.job_id == bindparam("job_id"))
)


def intend(connection: Connection, job: Job, call_id: str, timeout_ms: int) -> CallRecord:
    """Write the intent to buy. Nothing may be sent before this is committed."""
    now = now_ms(connection)
    [last_seq] = _LAST_SEQ.scalars(connection, {"job_id": job.id})
    row = {
        "id": call_id,
        "job_id": job.id,
        "seq": last_seq + 1,
        "provider": job.provider,
        "model": job.model,
        "state": CallState.INTENT.value,
        "provider_ref": None,
        "created_at": now,
        "send_by": now + SEND_WITHIN_MS,
        "deadline_at": now + SEND_WITHIN_MS + timeout_ms,
        "finished_at": None,
        "cost_micros": None,
        "error": None,
    }
    _INSERT.insert(connection, [row])
    return _record_of(row)


def accept(connection: Connection, call_id: str, provider_ref: str) -> Acceptance:
    """Write the fact that the provider took the call and calls it `provider_ref`. Idempotent, needs no lease."""
    found = _one(connection, _CALL_LOCKED, id=call_id)
    if found is None:
        return Acceptance.OVER
    if found.provider_ref is not None:
        return Acceptance.RECORDED if found.provider_ref == provider_ref and _live(found) else Acceptance.OVER
    if found.state is CallState.REJECTED:
        return Acceptance.OVER
    to = CallState.ORPHAN if found.state is CallState.ABSENT else CallState.ACCEPTED
    try:
        with dialect.savepoint(connection):
            taken = {"call_id": call_id, "state": to.value, "provider_ref": provider_ref}
            _ACCEPT.changed(connection, taken)
    except IntegrityError as error:
        if is_conflict(error, "provider_ref"):
            return Acceptance.TAKEN
        raise
    return Acceptance.LATE if to is CallState.ORPHAN else Acceptance.RECORDED


def settle(
    connection: Connection,
    call_id: str,
    to: CallState,
    *,
    error: str | None = None,
    cost_micros: int | None = None,
) -> None:
    """Write an opinion on a live call: unknown, absent, rejected, or how it ended.

    Raises `LeaseLost` when the call can't become that any more: others have moved on, and the caller's whole
    transaction must not be kept.
    """
    values: dict[str, Any] = {
        "call_id": call_id,
        "state": to.value,
        "error": error,
        "cost_micros": cost_micros,
        "before": [state.value for state in LIVE_CALLS if to in (state, *CALL_MOVES[state])],
    }
    if to not in LIVE_CALLS:
        values["finished_at"] = now_ms(connection)
    if _SETTLE.changed(connection, values) != 1:
        raise LeaseLost(f"Call {call_id} is no longer one that may become {to}")


_OF_JOB = select(calls).where(calls.c.job_id == bindparam("job_id"))
_OF_JOB_LIVE = _OF_JOB.where(calls.c.state.in_([literal(state.value) for state in LIVE_CALLS]))
_LIVE = Prepared(_OF_JOB_LIVE)
_LIVE_LOCKED = Prepared(_OF_JOB_LIVE.with_for_update())
_BOUGHT = Prepared(_OF_JOB.where(calls.c.state == CallState.SUCCEEDED.value))
_OF_ID = select(calls).where(calls.c.id == bindparam("id"))
_CALL = Prepared(_OF_ID)
_CALL_LOCKED = Prepared(_OF_ID.with_for_update())


def get(connection: Connection, call_id: str) -> CallRecord | None:
    """Return a call."""
    return _one(connection, _CALL, id=call_id)


def live(connection: Connection, job_id: str, *, lock: bool = False) -> CallRecord | None:
    """Return the job's call that is on its way, lost or at work; there is at most one.

    With `lock`, no fact about it is written until the caller's transaction ends: for opinions on it.
    """
    return _one(connection, _LIVE_LOCKED if lock else _LIVE, job_id=job_id)


def bought(connection: Connection, job_id: str) -> CallRecord | None:
    """Return the job's call that succeeded; there is at most one."""
    return _one(connection, _BOUGHT, job_id=job_id)


def history(connection: Connection, job_ids: Sequence[str]) -> dict[str, list[CallRecord]]:
    """Return all calls of the jobs by job id, first call first."""
    rows = connection.execute(select(calls).where(calls.c.job_id.in_(job_ids)).order_by(calls.c.seq))
    found: dict[str, list[CallRecord]] = {}
    for row in rows:
        found.setdefault(row.job_id, []).append(_record(row))
    return found


# ---------------------------------------------------------------------------------------------- the audit


def charged_since(connection: Connection, provider: str, since_ms: int) -> list[CallRecord]:
    """Return the provider's calls since then that it took, oldest first."""
    query = select(calls).where(
        calls.c.provider == provider, calls.c.created_at >= since_ms, calls.c.provider_ref.is_not(None)
    )
    return [_record(row) for row in connection.execute(query.order_by(calls.c.created_at))]


def unanswered(connection: Connection, provider: str) -> list[CallRecord]:
    """Return the provider's calls of which jobs at work still have to learn whether it took them, oldest first."""
    states = [state.value for state in LIVE_CALLS]
    query = (
        select(calls)
        .join(jobs, jobs.c.id == calls.c.job_id)
        .where(jobs.c.finished_at.is_(None))
        .where(calls.c.provider == provider, calls.c.state.in_(states), calls.c.provider_ref.is_(None))
        .order_by(calls.c.created_at)
    )
    return [_record(row) for row in connection.execute(query)]


def known_refs(connection: Connection, provider: str, refs: Sequence[str]) -> set[str]:
    """Return those of the provider's own ids that the ledger holds."""
    found: set[str] = set()
    for start in range(0, len(refs), _VALUES):
        some = calls.c.provider_ref.in_(refs[start : start + _VALUES])
        query = select(calls.c.provider_ref).where(calls.c.provider == provider, some)
        found.update(connection.execute(query).scalars())
    return found


def bought_twice(connection: Connection, provider: str, since_ms: int) -> list[list[CallRecord]]:
    """Return, job by job, the calls of jobs that were bought again since then although one had not failed."""
    again, before = calls.alias("again"), calls.alias("before")
    query = (
        select(again.c.job_id)
        .distinct()
        .join(before, (before.c.job_id == again.c.job_id) & (before.c.seq < again.c.seq))
        .where(again.c.provider == provider, again.c.created_at >= since_ms)
        .where(again.c.provider_ref.is_not(None), before.c.provider_ref.is_not(None))
        .where(before.c.state != CallState.FAILED.value)
    )
    job_ids = list(connection.execute(query).scalars())
    return list(history(connection, job_ids).values())


# ---------------------------------------------------------------------------------------------- rows


def _live(call: CallRecord) -> bool:
    return call.state in LIVE_CALLS


def _one(connection: Connection, query: Prepared, **values: str) -> CallRecord | None:
    row = query.row(connection, values)
    return None if row is None else _record(row)


def _record(row: Row) -> CallRecord:
    return _record_of(row._asdict())


def _record_of(values: dict[str, Any]) -> CallRecord:
    return CallRecord(**{**values, "state": CallState(values["state"])})
