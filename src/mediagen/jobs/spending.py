"""SQL on the ledger as a whole: the audit, and calls whose outcome is to be settled without their jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import bindparam, func, select, update

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import jobs
from mediagen.db.tables import provider_calls as calls
from mediagen.jobs.calls import history, record_of
from mediagen.jobs.model import CallRecord
from mediagen.jobs.states import LIVE_CALLS, CallState

_RIVAL_MS = 135_000
"""Calls that differ more in age were not made in each other's window (`providers/evidence.py`)."""

_HELD_MS = 30_000
"""How long one worker has a call to itself that is to be settled."""


_CHARGED = Prepared(
    select(calls)
    .where(calls.c.provider == bindparam("of"), calls.c.created_at >= bindparam("since"))
    .where(calls.c.provider_ref.is_not(None))
    .order_by(calls.c.created_at)
)


def charged_since(connection: Connection, provider: str, since_ms: int) -> list[CallRecord]:
    """Return the provider's calls since then that it took, oldest first."""
    rows = _CHARGED.rows(connection, {"of": provider, "since": since_ms})
    return [record_of(row._asdict()) for row in rows]


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
    return [record_of(row._asdict()) for row in connection.execute(query)]


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


def unsure(connection: Connection, provider: str, since_ms: int) -> list[CallRecord]:
    """Return the provider's calls since then that may have been charged, and whose jobs ended without knowing."""
    unknown = (calls.c.state == CallState.UNKNOWN.value) & calls.c.settled_at.is_(None)
    at_work = select(jobs.c.id).where(jobs.c.id == calls.c.job_id, jobs.c.finished_at.is_(None))
    query = (
        select(calls)
        .where(calls.c.provider == provider, calls.c.created_at >= since_ms, unknown, ~at_work.exists())
        .order_by(calls.c.created_at)
    )
    return [record_of(row._asdict()) for row in connection.execute(query)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a call asked for."""

    model: str
    prompt: str
    parameters: Mapping[str, Any]


def lost_beside(connection: Connection, record: CallRecord) -> list[Asked]:
    """Return what the other calls of about that time asked for whose answers are lost: theirs may look like it."""
    lost = (CallState.INTENT.value, CallState.UNKNOWN.value)
    query = (
        select(calls.c.model, jobs.c.prompt, jobs.c.parameters)
        .join(jobs, calls.c.job_id == jobs.c.id)
        .where(calls.c.provider == record.provider, calls.c.id != record.id)
        .where(calls.c.state.in_(lost), calls.c.settled_at.is_(None))
        .where(calls.c.created_at.between(record.created_at - _RIVAL_MS, record.created_at + _RIVAL_MS))
    )
    return [
        Asked(model=row.model, prompt=row.prompt, parameters=row.parameters)
        for row in connection.execute(query)
    ]


def were_marked(connection: Connection, provider: str, refs: Sequence[str]) -> bool:
    """Tell whether one of these predictions is a call of ours that was sent with a marker."""
    query = select(calls.c.id).where(
        calls.c.provider == provider, calls.c.provider_ref.in_(refs), calls.c.marked.is_(True)
    )
    return bool(refs) and connection.execute(query.limit(1)).first() is not None


# ---------------------------------------------------------------------------------------------- to be settled


def leave_open(connection: Connection, job_id: str) -> None:
    """Let the job end, or go on, without its live call: what becomes of that is settled in the ledger alone."""
    live = [state.value for state in LIVE_CALLS]
    connection.execute(
        update(calls)
        .where(calls.c.job_id == job_id, calls.c.state.in_(live))
        .values(due_at=now_ms(connection))
    )


_IS_DUE = Prepared(select(calls.c.id).where(calls.c.due_at <= bindparam("now")).limit(1))


def is_due(connection: Connection) -> bool:
    """Tell whether there are calls to be settled now."""
    return _IS_DUE.row(connection, {"now": now_ms(connection)}) is not None


_DUE = Prepared(
    select(calls.c.id)
    .where(calls.c.due_at <= bindparam("now"), calls.c.provider.in_(bindparam("providers", expanding=True)))
    .order_by(calls.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True),
    lists=("providers",),
)


_TAKE = Prepared(
    update(calls)
    .where(calls.c.id.in_(bindparam("ids", expanding=True)))
    .values(due_at=bindparam("until"))
    .returning(calls),
    lists=("ids",),
)


def take_due(connection: Connection, providers: Sequence[str], limit: int) -> list[CallRecord]:
    """Return calls that are to be settled now; no other worker is given them for a while."""
    now = now_ms(connection)
    ids = _DUE.scalars(connection, {"now": now, "providers": providers, "most": limit})
    if not ids:
        return []
    taken = _TAKE.rows(connection, {"ids": ids, "until": now + _HELD_MS})
    return [record_of(row._asdict()) for row in taken]


def look_later(connection: Connection, taken: CallRecord, due_at: int | None, seen: str | None) -> None:
    """Set when a call that was taken to be settled is looked at again, unless others have moved on with it."""
    connection.execute(
        update(calls)
        .where(calls.c.id == taken.id, calls.c.due_at == taken.due_at)
        .values(due_at=due_at, seen=seen)
    )


def close_late(connection: Connection, call_id: str, *, cost_micros: int | None, error: str) -> None:
    """Note how a call ended that came late and that its job did not use."""
    connection.execute(
        update(calls)
        .where(calls.c.id == call_id, calls.c.state == CallState.ORPHAN.value)
        .values(finished_at=now_ms(connection), cost_micros=cost_micros, error=error, due_at=None)
    )


_NEWEST_TAKEN = Prepared(
    select(func.max(calls.c.created_at))
    .where(calls.c.provider == bindparam("of"), calls.c.provider_ref.is_not(None))
    .where(
        calls.c.send_by > calls.c.created_at
    )  # others were found at the provider: older ones may lack still
)


def newest_taken(connection: Connection, provider: str) -> int | None:
    """Return when the newest call was made that the provider took."""
    [newest] = _NEWEST_TAKEN.scalars(connection, {"of": provider})
    return cast("int | None", newest)


_OLDEST_OPEN = Prepared(
    select(func.min(jobs.c.created_at)).where(
        jobs.c.provider == bindparam("of"), jobs.c.finished_at.is_(None)
    )
)


def oldest_open(connection: Connection, provider: str) -> int | None:
    """Return when the oldest job was accepted that is still to be bought or at work."""
    [oldest] = _OLDEST_OPEN.scalars(connection, {"of": provider})
    return cast("int | None", oldest)
