"""Settling the ledger where no job waits for it any more: calls of canceled jobs, and calls that came to light late.

What still runs is stopped, and what became of it is written down, so that what was charged is known.
"""

from contextlib import suppress

from mediagen.db.engine import Connection, now_ms
from mediagen.errors import LeaseLost, PredictionGone, ProviderError
from mediagen.jobs import calls, repository, spending, wishes
from mediagen.jobs.calls import Acceptance
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import Call, Dedupe, Prediction, Provider
from mediagen.worker import endings
from mediagen.worker.ports import Ports
from mediagen.worker.reconciling import unowned
from mediagen.worker.turns import call_for

_AT_A_TIME = 20
_LEAST_MS, _MOST_MS = 1_000, 60_000
_OPEN = "Whether it was charged was not found out as long as the provider could tell"


async def end_canceled(ports: Ports) -> None:
    """End jobs whose provider has not stopped in time, so that nobody who cancels waits for it."""
    after_ms = int(ports.timing.cancel_s * 1000)
    if await ports.db.read(lambda c: wishes.has_canceled(c, after_ms)):
        await ports.db.transact(lambda c: wishes.end_canceled(c, after_ms))


async def settle_due(ports: Ports) -> int:
    """Look at calls that are due to be settled; return how many."""
    if not await ports.db.read(spending.is_due):
        return 0
    names = [provider.name for provider in ports.providers]
    taken = await ports.db.transact(lambda c: spending.take_due(c, names, _AT_A_TIME))
    for record in taken:
        provider = ports.providers.get(record.provider)
        if provider is not None:
            await _settle(ports, provider, record)
    return len(taken)


async def _settle(ports: Ports, provider: Provider, record: CallRecord) -> None:
    job = await ports.db.read(lambda c: repository.get(c, record.job_id))
    if job is not None and await ports.db.transact(lambda c: _left_to_its_job(c, job, record)):
        return
    given = {} if job is None else provider.input_of(job.prompt, job.parameters)
    call = call_for(ports, record, given)
    if record.provider_ref is None:
        await _find(ports, provider, record, call, job)
    else:
        await _follow(ports, provider, record, call)


def _left_to_its_job(connection: Connection, job: Job, record: CallRecord) -> bool:
    """Tell whether the job itself sees to the call: it is at work on it, or may still use it."""
    if job.finished:
        return False
    if record.state is not CallState.ORPHAN:
        spending.look_later(connection, record, None, record.seen)
        return True
    if job.state is JobState.QUEUED:
        wishes.ring(connection, job.id, came_late=True)
        spending.look_later(connection, record, now_ms(connection) + _MOST_MS, record.seen)
        return True
    live = calls.live(connection, job.id)
    # What the job bought instead is not known to be taken, or was bought before this one, so that it came to nothing.
    undecided = live is not None and (live.provider_ref is None or live.seq < record.seq)
    if undecided:
        spending.look_later(connection, record, now_ms(connection) + _LEAST_MS, record.seen)
    return undecided


# ---------------------------------------------------------------------------------------------- taken, or not


async def _find(ports: Ports, provider: Provider, record: CallRecord, call: Call, job: Job | None) -> None:
    if provider.capabilities.dedupe is not Dedupe.RECONCILE:
        await ports.db.transact(lambda c: spending.look_later(c, record, None, record.seen or _OPEN))
        return
    try:
        findings = await provider.find(call)
    except ProviderError as error:
        seen = str(error)
        await ports.db.transact(lambda c: _look_later(c, ports, provider, record, seen))
        return
    ours = findings.ours
    if ours is not None and job is not None and job.error_code == "outcome_unknown":
        seen = f"It is {ours.ref} at the provider, {ours.status}. Adopt it to keep its output"
        await ports.db.transact(lambda c: spending.look_later(c, record, None, seen))
        return
    if ours is not None:
        await ports.db.transact(lambda c: _found(c, ports, provider, record, ours))
        return
    may_be_it = await ports.db.read(lambda c: unowned(c, record.provider, findings))
    nothing = findings.whole and not may_be_it.alike and not may_be_it.doubtful
    if not nothing:
        ports.first_looks.pop(record.id, None)
    if nothing and await _is_second_look(ports, record):
        with suppress(LeaseLost):
            await ports.db.transact(
                lambda c: calls.settle(c, record.id, CallState.ABSENT, error=record.error)
            )
        return
    await ports.db.transact(lambda c: _look_later(c, ports, provider, record, findings.seen))


def _found(
    connection: Connection, ports: Ports, provider: Provider, record: CallRecord, ours: Prediction
) -> None:
    if calls.accept(connection, record.id, ours.ref) is Acceptance.RECORDED:
        calls.note(connection, record.id, due_at=now_ms(connection))
        return
    _look_later(
        connection, ports, provider, record, f"{ours.ref} carries its marker, and another call has it"
    )


async def _is_second_look(ports: Ports, record: CallRecord) -> bool:
    """Tell whether the first look that found nothing was a grace ago, by this process's own clock."""
    now = ports.clock.monotonic()
    arrived = record.send_by + ports.timing.settle_s * 1000 < await ports.db.read(now_ms)
    if not arrived:
        return False
    first = ports.first_looks.setdefault(record.id, now)
    if now - first < ports.timing.grace_s:
        return False
    ports.first_looks.pop(record.id, None)
    return True


# ---------------------------------------------------------------------------------------------- how it ended


async def _follow(ports: Ports, provider: Provider, record: CallRecord, call: Call) -> None:
    try:
        prediction = await provider.get(call)
        if not prediction.ended:
            with suppress(ProviderError):
                await provider.cancel(call)
            prediction = await provider.get(call)
    except PredictionGone as error:
        seen, gone = str(error), error.sure
        await ports.db.transact(lambda c: _unseen(c, ports, provider, record, seen, gone=gone))
    except ProviderError as error:
        seen = str(error)
        await ports.db.transact(lambda c: _look_later(c, ports, provider, record, seen))
    else:
        await ports.db.transact(lambda c: _looked(c, ports, provider, record, prediction))


def _unseen(
    connection: Connection, ports: Ports, provider: Provider, record: CallRecord, seen: str, *, gone: bool
) -> None:
    if gone:
        _lost(connection, record, seen)
    else:
        _look_later(connection, ports, provider, record, seen)


def _looked(
    connection: Connection, ports: Ports, provider: Provider, record: CallRecord, prediction: Prediction
) -> None:
    if prediction.ended:
        _ended(connection, record, prediction)
    else:
        _look_later(connection, ports, provider, record, "It runs on although it was told to stop")


def _ended(connection: Connection, record: CallRecord, prediction: Prediction) -> None:
    if record.state is CallState.ORPHAN:
        error = f"It came to light too late for its job, and {prediction.status}"
        spending.close_late(connection, record.id, cost_micros=prediction.cost_micros, error=error)
        return
    with suppress(LeaseLost):
        calls.settle(
            connection,
            record.id,
            endings.ENDS[prediction.status],
            error=prediction.error_message,
            cost_micros=prediction.cost_micros,
        )


def _lost(connection: Connection, record: CallRecord, seen: str) -> None:
    if record.state is CallState.ORPHAN:
        spending.close_late(connection, record.id, cost_micros=None, error=seen)
        return
    with suppress(LeaseLost):
        calls.settle(connection, record.id, CallState.ORPHAN, error=seen)


def _look_later(
    connection: Connection, ports: Ports, provider: Provider, record: CallRecord, seen: str
) -> None:
    """Look again after a while, as long as the provider can tell."""
    now, age_ms = now_ms(connection), now_ms(connection) - record.created_at
    most_s = record.making_ms / 1000 + ports.timing.queue_s + provider.capabilities.retention_s
    if age_ms > most_s * 1000:
        _give_up(connection, record, seen)
        return
    pause_ms = min(_MOST_MS, max(_LEAST_MS, abs(age_ms) // 10))
    spending.look_later(connection, record, now + pause_ms, seen or record.seen)


def _give_up(connection: Connection, record: CallRecord, seen: str) -> None:
    if record.provider_ref is None:  # it stays unknown: the audit names it
        spending.look_later(connection, record, None, seen or record.seen or _OPEN)
    else:
        _lost(connection, record, seen or _OPEN)
