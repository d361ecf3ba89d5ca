"""The ledger of provider calls: what was, or may have been, bought. Never pay twice.

Facts and opinions. That a provider took a call (`accept`) is a fact: anybody who learns it may write it, at any
time, without a lease. That a call is unknown, absent or over is an opinion of the worker that holds the job, and
is written in the one transaction that also moves the job, under its lease.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from sqlalchemy import bindparam, case, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from mediagen.db import dialect
from mediagen.db.engine import Connection, is_conflict, now_ms
from mediagen.db.prepared import Prepared, Row
from mediagen.db.tables import provider_calls as calls
from mediagen.errors import LeaseLost
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.states import CALL_MOVES, LIVE_CALLS, CallState

SEND_WITHIN_MS = 5_000
"""The create is sent within this time of its intent, or never."""

_SETTLE_AFTER_MS = 2_000
"""Before the ledger is settled without a job: the job's own worker goes first."""

_VALUES = 1_000  # in one statement: databases bound how many it may hold


MARKER_REFUSED = "Refused because of the address that it carried; the next one carries none"
"""What is seen of a call whose provider may take no marker."""


class Acceptance(Enum):
    """What became of the fact that a provider took a call."""

    RECORDED = auto()  # the call is accepted (now, or it was already)
    TAKEN = auto()  # another call has this provider ref already
    LATE = auto()  # the call was given up as absent or refused before: its job may still use it
    OVER = auto()  # the call has ended already, or is not in the ledger


_NEWS = (Acceptance.RECORDED, Acceptance.LATE)

_CHANGE = update(calls).where(calls.c.id == bindparam("call_id"))
_INSERT = Prepared(insert(calls))
_ACCEPT = Prepared(_CHANGE)
_SETTLE = Prepared(_CHANGE.where(calls.c.state.in_(bindparam("before", expanding=True))), lists=("before",))
_CAME_LATE = (calls.c.state == CallState.ORPHAN.value) & calls.c.finished_at.is_(None)
_EARLIER = Prepared(
    select(
        func.coalesce(func.max(calls.c.seq), 0).label("seq"),
        func.max(case((_CAME_LATE, calls.c.id))).label("late"),
        func.max(case((calls.c.seen == MARKER_REFUSED, 1), else_=0)).label("marker_refused"),
    ).where(calls.c.job_id == bindparam("job_id"))
)
_USE = Prepared(update(calls).where(calls.c.id == bindparam("call_id"), _CAME_LATE))


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What is about to be sent. `asked_at` is the time by the provider's clock, None when that is unknown."""

    call_id: str
    timeout_ms: int
    marked: bool
    asked_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What was asked for a job before: how many calls, and one that came late and nobody has used yet."""

    seq: int
    late: str | None
    marker_refused: bool  # one of them was refused because of the address that it carried


def earlier(connection: Connection, job_id: str) -> Earlier:
    """Return what the job has bought before."""
    [row] = _EARLIER.rows(connection, {"job_id": job_id})
    return Earlier(seq=row.seq, late=row.late, marker_refused=bool(row.marker_refused))


def use(connection: Connection, call_id: str, timeout_ms: int) -> CallRecord:
    """Let a job that has bought nothing else go on with a call that came late. Raises `LeaseLost`.

    `timeout_ms` is for calls that another copy of the database sent: nothing is known here of how long they may take.
    """
    values = {"call_id": call_id, "state": CallState.ACCEPTED.value, "due_at": None}
    if _USE.changed(connection, values) != 1:
        raise LeaseLost(f"Call {call_id} is used or settled already")
    record = get(connection, call_id)
    assert record is not None
    if record.timeout_ms is not None or record.send_by > record.created_at:
        return record
    until = now_ms(connection) + timeout_ms
    note(connection, call_id, timeout_ms=timeout_ms, deadline_at=until)
    return replace(record, timeout_ms=timeout_ms, deadline_at=until)


def intend(connection: Connection, job: Job, intent: Intent, seq: int) -> CallRecord:
    """Write the intent to buy. Nothing may be sent before this is committed."""
    now = now_ms(connection)
    row = {
        "id": intent.call_id,
        "job_id": job.id,
        "seq": seq,
        "provider": job.provider,
        "model": job.model,
        "state": CallState.INTENT.value,
        "provider_ref": None,
        "created_at": now,
        "send_by": now + SEND_WITHIN_MS,
        "deadline_at": now + SEND_WITHIN_MS + intent.timeout_ms,
        "marked": intent.marked,
        "asked_at": intent.asked_at,
        "timeout_ms": intent.timeout_ms,
    }
    _INSERT.insert(connection, [row])
    return record_of({**_NOTHING_YET, **row})


_NOTHING_YET: dict[str, Any] = {"finished_at": None, "cost_micros": None, "error": None}


UNHEARD_OF = "It was found at the provider; this copy of the database did not know of it"


def recover(
    connection: Connection,
    job: Job,
    call_id: str,
    provider_ref: str,
    *,
    why: str = UNHEARD_OF,
    marked: bool = True,
) -> bool:
    """Write down what was bought for the job by a call that this ledger may not hold. Idempotent.

    `marked` tells whether its marker said so; somebody may, too, and then it shows another marker of ours or none.
    The job goes on with it as soon as it would buy. Returns whether it was unknown until then that it was taken.
    """
    known = get(connection, call_id)
    if known is not None:
        unheard = known.provider_ref is None and known.job_id == job.id
        return unheard and accept(connection, call_id, provider_ref) in _NEWS
    if known_refs(connection, job.provider, [provider_ref]):
        return False
    now = now_ms(connection)
    row = {
        "id": call_id,
        "job_id": job.id,
        "seq": earlier(connection, job.id).seq + 1,
        "provider": job.provider,
        "model": job.model,
        "state": CallState.ORPHAN.value,
        "provider_ref": provider_ref,
        "created_at": now,
        "send_by": now,
        "deadline_at": now,
        "error": why,
        "marked": marked,
        "due_at": now + _SETTLE_AFTER_MS,
    }
    try:
        with dialect.savepoint(connection):
            _INSERT.insert(connection, [row])
    except IntegrityError:  # another process found it at the same moment, or the job buys: it is found again
        return False
    return True


def accept(connection: Connection, call_id: str, provider_ref: str) -> Acceptance:
    """Write the fact that the provider took the call and calls it `provider_ref`. Idempotent, needs no lease."""
    found = _one(connection, _CALL_LOCKED, id=call_id)
    if found is None:
        return Acceptance.OVER
    if found.provider_ref is not None:
        return Acceptance.RECORDED if found.provider_ref == provider_ref and _live(found) else Acceptance.OVER
    given_up = found.state in (CallState.ABSENT, CallState.REJECTED)
    to = CallState.ORPHAN if given_up else CallState.ACCEPTED
    taken: dict[str, Any] = {"call_id": call_id, "state": to.value, "provider_ref": provider_ref}
    if given_up or found.state is CallState.UNKNOWN:  # its job may have ended, or gone on without it
        taken |= {"finished_at": None, "due_at": now_ms(connection) + _SETTLE_AFTER_MS}
    try:
        with dialect.savepoint(connection):
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
        values |= {"finished_at": now_ms(connection), "due_at": None, "missing_since": None}
    if _SETTLE.changed(connection, values) != 1:
        raise LeaseLost(f"Call {call_id} is no longer one that may become {to}")


_OF_JOB = select(calls).where(calls.c.job_id == bindparam("job_id"))
_OF_JOB_LIVE = _OF_JOB.where(calls.c.state.in_([literal(state.value) for state in LIVE_CALLS]))
_LIVE = Prepared(_OF_JOB_LIVE)
_LIVE_LOCKED = Prepared(_OF_JOB_LIVE.with_for_update())
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


_ENDED = Prepared(
    _OF_JOB.where(calls.c.state.in_([literal(state.value) for state in CALL_MOVES[CallState.ACCEPTED]]))
)


def made(connection: Connection, job_id: str) -> CallRecord | None:
    """Return the call whose outputs a job at `storing` keeps: the one that succeeded, else its last one."""
    ended = [_record(row) for row in _ENDED.rows(connection, {"job_id": job_id})]
    return max(ended, key=lambda call: (call.state is CallState.SUCCEEDED, call.seq), default=None)


def note(connection: Connection, call_id: str, **values: Any) -> None:
    """Write down what was seen of a call; changes no state."""
    _ACCEPT.changed(connection, {"call_id": call_id, **values})


def history(connection: Connection, job_ids: Sequence[str]) -> dict[str, list[CallRecord]]:
    """Return all calls of the jobs by job id, first call first."""
    rows = connection.execute(select(calls).where(calls.c.job_id.in_(job_ids)).order_by(calls.c.seq))
    found: dict[str, list[CallRecord]] = {}
    for row in rows:
        found.setdefault(row.job_id, []).append(_record(row))
    return found


_REFS = Prepared(
    select(calls.c.provider_ref).where(
        calls.c.provider == bindparam("of"), calls.c.provider_ref.in_(bindparam("refs", expanding=True))
    ),
    lists=("refs",),
)


def known_refs(connection: Connection, provider: str, refs: Sequence[str]) -> set[str]:
    """Return those of the provider's own ids that the ledger holds."""
    found: set[str] = set()
    for start in range(0, len(refs), _VALUES):
        found.update(_REFS.scalars(connection, {"of": provider, "refs": refs[start : start + _VALUES]}))
    return found


# ---------------------------------------------------------------------------------------------- rows


def _live(call: CallRecord) -> bool:
    return call.state in LIVE_CALLS


def _one(connection: Connection, query: Prepared, **values: str) -> CallRecord | None:
    row = query.row(connection, values)
    return None if row is None else _record(row)


def _record(row: Row) -> CallRecord:
    return record_of(row._asdict())


def record_of(values: dict[str, Any]) -> CallRecord:
    """Return the call of a row."""
    return CallRecord(**{**values, "state": CallState(values["state"])})
