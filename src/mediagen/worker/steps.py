"""The engine: one step per state, each a short piece of work on one job under a lease.

    queued       submit     commit the intent, send the create once, classify the answer
    submitting   resume     somebody died in between: the call is unknown now
    reconciling  reconcile  ask the provider, adopt the call or prove it absent
    waiting      follow     look at the prediction, honor a wish to cancel, set the next look
    storing      store      fetch the outputs and keep them; free tries, never a new paid call

Every step ends in one fenced transaction that sets state and `run_at`. Between steps nobody holds the job, so a
crash needs no rescue. A step that learns that its lease is lost (`LeaseLost`) writes nothing more.
The protocol and its proof: docs/explanation/never-pay-twice.md.
"""

from collections.abc import Mapping

from mediagen.db.engine import Connection, now_ms
from mediagen.jobs import calls, spending
from mediagen.jobs.model import EventType, Job
from mediagen.jobs.repository import transition
from mediagen.jobs.states import JobState
from mediagen.worker import endings
from mediagen.worker.following import follow
from mediagen.worker.ports import Ports
from mediagen.worker.reconciling import reconcile
from mediagen.worker.sending import resume, submit
from mediagen.worker.store import store
from mediagen.worker.turns import Next, Step

POISON_CLAIMS = 10
"""Claims in a row without a durable step forward after which a job is taken to kill its workers."""

POISONED = "The job brought its worker down again and again; nothing more is tried"
QUARANTINED = (
    "The job brought its worker down again and again. What was bought for it is kept: tried again, seldom"
)

_REST_MS = 60_000
_MOST_REST_MS = 3_600_000
_GIVEN_UP_MS = 7 * 86_400_000


async def run(ports: Ports, job: Job) -> None:
    """Run the step that the job's state asks for, and those that follow at once."""
    if job.claims > POISON_CLAIMS and await _set_aside(ports, job):
        return
    upcoming: Next | None = Next(job=job)
    while upcoming is not None:
        upcoming = await STEPS[upcoming.job.state](ports, upcoming.job, upcoming.prediction)


async def _set_aside(ports: Ports, job: Job) -> bool:
    """End a job that kills its workers if nothing is bought for it; else let it rest, longer each time.

    Every other claim runs its step all the same: what brought the worker down may be gone.
    """
    if job.state is JobState.QUEUED:
        await ports.db.transact(lambda c: endings.fail(c, job, "poisoned", POISONED))
        return True
    if (job.claims - POISON_CLAIMS) % 2 == 0:
        return False
    await ports.db.transact(lambda c: _rest(c, ports, job))
    return True


def _rest(connection: Connection, ports: Ports, job: Job) -> None:
    now = now_ms(connection)
    bought = calls.live(connection, job.id) or calls.made(connection, job.id)
    if bought is not None and now >= (bought.finished_at or bought.created_at) + _GIVEN_UP_MS:
        spending.leave_open(connection, job.id)
        endings.fail(connection, job, "output_lost", f"{POISONED}. What was bought for it may be charged")
        return
    pause_ms = min(_MOST_REST_MS, _REST_MS * 2 ** ((job.claims - POISON_CLAIMS) // 2))
    transition(
        connection,
        job.lease,
        job.state,
        run_at=now + pause_ms,
        event=EventType.RETRYING,
        data={"reason": QUARANTINED, "retry_at": now + pause_ms, "attempt": job.attempt},
        claims=job.claims,
        note=QUARANTINED,
    )


STEPS: Mapping[JobState, Step] = {
    JobState.QUEUED: submit,
    JobState.SUBMITTING: resume,
    JobState.RECONCILING: reconcile,
    JobState.WAITING: follow,
    JobState.STORING: store,
}
