"""SQL on what happens to jobs from outside a step: cancel, a doorbell, delete, and the passing of time."""

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import (
    artifacts,
    job_events,
    job_texts,
    jobs,
    provider_calls,
    trash,
    webhook_outbox,
)
from mediagen.jobs import calls, events, spending
from mediagen.jobs.leases import take_over
from mediagen.jobs.model import EventType, Job, Lease
from mediagen.jobs.repository import seize, transition
from mediagen.jobs.states import CallState, JobState

_OWNER = "api"
EXPIRED = "The job waited longer than JOB_EXPIRY allows; nothing more was tried"


def request_cancel(connection: Connection, job: Job) -> None:
    """Note the wish to cancel and make the job due. A queued job that nobody works on is canceled at once."""
    now = now_ms(connection)
    wish = (
        update(jobs)
        .where(jobs.c.id == job.id, jobs.c.finished_at.is_(None), jobs.c.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now, run_at=now, updated_at=now)
    )
    if connection.execute(wish).rowcount == 0:
        return
    lease = seize(connection, job.id, _OWNER)
    if lease is None:
        events.append(connection, job.id, EventType.CANCEL_REQUESTED, {})
    else:
        transition(connection, lease, JobState.CANCELED, event=EventType.CANCELED, note="")


_RUNG = (JobState.WAITING, JobState.RECONCILING)
_RING = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("of"), jobs.c.run_at > bindparam("now"))
    .where(jobs.c.state.in_(bindparam("states", expanding=True)))
    .values(run_at=bindparam("now")),
    lists=("states",),
)


def ring(connection: Connection, job_id: str, *, came_late: bool = False) -> None:
    """Make a job that waits for its provider due now. Changes nothing else: a doorbell, not a fact.

    With `came_late` also one that is queued again: it is about to buy what was bought after all.
    """
    states = [state.value for state in (*_RUNG, *((JobState.QUEUED,) if came_late else ()))]
    _RING.changed(connection, {"of": job_id, "now": now_ms(connection), "states": states})


CANCELED_UNHEARD = "Canceled. The provider did not confirm that it stopped: it may be charged"
_HELD_BY_PROVIDER = (JobState.SUBMITTING, JobState.RECONCILING, JobState.WAITING)


_UNHEARD = Prepared(
    select(jobs.c.id)
    .where(jobs.c.cancel_requested_at <= bindparam("wished_by"))
    .where(jobs.c.state.in_([state.value for state in _HELD_BY_PROVIDER]))
    .order_by(jobs.c.id)
    .limit(bindparam("most"))
)


def has_canceled(connection: Connection, after_ms: int) -> bool:
    """Tell whether `end_canceled` has anything to do."""
    return bool(_unheard(connection, after_ms, 1))


def _unheard(connection: Connection, after_ms: int, limit: int) -> list[str]:
    return _UNHEARD.scalars(connection, {"wished_by": now_ms(connection) - after_ms, "most": limit})


def end_canceled(connection: Connection, after_ms: int, limit: int = 100) -> int:
    """End jobs whose provider has not stopped so long after the wish to cancel, whoever holds them; return how many.

    What becomes of their calls is settled in the ledger alone. What is made already is kept: such jobs store.
    """
    return sum(_end_canceled(connection, job_id) for job_id in _unheard(connection, after_ms, limit))


def _end_canceled(connection: Connection, job_id: str) -> bool:
    live = calls.live(
        connection, job_id, lock=True
    )  # before its job, as steps do, so that none waits for the other
    taken = take_over(connection, job_id, _OWNER, _HELD_BY_PROVIDER)
    if taken is None:
        return False
    lease = taken.lease
    if taken.state is JobState.SUBMITTING:  # the create may be on its way
        if live is not None and live.provider_ref is None:
            calls.settle(connection, live.id, CallState.UNKNOWN, error="Canceled before the answer came")
        transition(connection, lease, JobState.RECONCILING, keep_lease=True, attempt=taken.attempt + 1)
    spending.leave_open(connection, job_id)
    transition(connection, lease, JobState.CANCELED, event=EventType.CANCELED, note=CANCELED_UNHEARD)
    return True


def put_back(connection: Connection, leases: Sequence[Lease], pause_ms: int) -> None:
    """Give claimed jobs back as if they had not been claimed, due one after another with a pause before each."""
    now = now_ms(connection)
    for number, lease in enumerate(leases, 1):
        held = (jobs.c.id == lease.job_id, jobs.c.lease_epoch == lease.epoch)
        given_back = {"lease_owner": None, "lease_until": None, "run_at": now + number * pause_ms}
        connection.execute(update(jobs).where(*held).values(**given_back, claims=jobs.c.claims - 1))


def delete_finished(connection: Connection, job_id: str) -> bool:
    """Remove a finished job with its events and artifacts; their files go to the trash. The ledger stays."""
    finished = connection.execute(
        select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.finished_at.is_not(None)).with_for_update()
    ).one_or_none()
    if finished is None:
        return False
    now = now_ms(connection)
    keys = list(connection.execute(select(artifacts.c.key).where(artifacts.c.job_id == job_id)).scalars())
    if keys:
        connection.execute(insert(trash), [{"key": key, "created_at": now} for key in keys])
    for table in (artifacts, job_events, webhook_outbox, job_texts):
        connection.execute(delete(table).where(table.c.job_id == job_id))
    connection.execute(delete(jobs).where(jobs.c.id == job_id))
    events.append(connection, job_id, EventType.DELETED, {})
    return True


def expire(connection: Connection, limit: int = 100, *, but: Collection[str] = ()) -> int:
    """Fail queued jobs whose time is over and that nobody holds; return how many.

    One for which something was bought that came to light late goes on with that. Those of the providers `but` are
    left alone: what was bought for them is still being asked.
    """
    bought = select(provider_calls.c.id).where(
        provider_calls.c.job_id == jobs.c.id,
        provider_calls.c.state == CallState.ORPHAN.value,
        provider_calls.c.finished_at.is_(None),
    )
    overdue = (
        select(jobs.c.id)
        .where(jobs.c.state == JobState.QUEUED.value, jobs.c.expires_at <= now_ms(connection))
        .where(~bought.exists(), jobs.c.provider.not_in(but))
        .limit(limit)
    )
    seized = [seize(connection, job_id, _OWNER) for job_id in connection.execute(overdue).scalars().all()]
    leases = [lease for lease in seized if lease is not None]
    for lease in leases:
        transition(
            connection,
            lease,
            JobState.FAILED,
            event=EventType.FAILED,
            data={"code": "expired", "message": EXPIRED},
            error_code="expired",
            error_message=EXPIRED,
            note="",
        )
    return len(leases)
