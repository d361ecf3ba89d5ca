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

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.errors import FetchError, LeaseLost, PredictionGone, ProviderError, Unavailable
from mediagen.jobs import calls, events, gates
from mediagen.jobs.calls import SEND_WITHIN_MS
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import demand_held, transition
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Accepted,
    Call,
    Dedupe,
    Outcome,
    Output,
    Prediction,
    Provider,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.worker import endings
from mediagen.worker.ports import Ports, insist
from mediagen.worker.store import store


@dataclass(frozen=True, kw_only=True)
class Next:
    """The job goes on at once under the same lease; `prediction` spares asking for it again."""

    job: Job
    prediction: Prediction | None = None


Step = Callable[[Ports, Job, Prediction | None], Awaitable[Next | None]]

POISON_CLAIMS = 10
"""Claims in a row without a durable step forward after which a job is taken to kill its workers."""

_STORAGE_PAUSE_S = 5.0

POISONED = "The job brought its worker down again and again; nothing more is tried"


async def run(ports: Ports, job: Job) -> None:
    """Run the step that the job's state asks for, and those that follow at once."""
    if job.claims > POISON_CLAIMS:
        await ports.db.transact(lambda c: endings.fail(c, job, "poisoned", POISONED))
        return
    upcoming: Next | None = Next(job=job)
    while upcoming is not None:
        upcoming = await STEPS[upcoming.job.state](ports, upcoming.job, upcoming.prediction)


# ---------------------------------------------------------------------------------------------- queued


async def submit(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Buy one generation: intent, one create, the answer classified."""
    provider = _provider(ports, job)
    if job.cancel_requested_at is not None:
        await ports.db.transact(lambda c: endings.cancel(c, job))
        return None
    send_by = ports.clock.monotonic() + SEND_WITHIN_MS / 1000  # read before the commit: rather too early
    call_id = ports.clock.new_id()
    record = await ports.db.transact(lambda c: _intend(c, ports, job, call_id))
    call = call_of(ports, provider, job, record)
    outcome = await provider.create(call, send_by=send_by)
    return await _classify(ports, provider, replace(job, state=JobState.SUBMITTING), record, outcome)


def _intend(connection: Connection, ports: Ports, job: Job, call_id: str) -> CallRecord:
    transition(  # first, so that a worker that comes too late learns that, not that another call is live
        connection,
        job.lease,
        JobState.SUBMITTING,
        keep_lease=True,
        started_at=job.started_at or now_ms(connection),
        note=f"Sending to {job.provider}",
        error_code=None,
        error_message=None,
    )
    record = calls.intend(connection, job, call_id, int(ports.timing.job_timeout_s * 1000))
    events.append(connection, job.id, EventType.SUBMITTED, {"provider": job.provider, "call": record.seq})
    return record


async def _classify(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, outcome: Outcome
) -> Next | None:
    match outcome:
        case Accepted(prediction=prediction):
            return await _accepted(ports, provider, job, record, prediction)
        case Rejected():
            await insist(ports, lambda c: endings.reject(c, ports, job, record, outcome))
        case Unknown(message=message):
            await insist(ports, lambda c: _without_answer(c, ports, provider, job, message))
    return None


async def _accepted(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, prediction: Prediction
) -> Next | None:
    """Write that the call is bought. What a synchronous provider made is kept before the state says so."""
    if provider.capabilities.synchronous and prediction.outputs:
        prediction = await _spool(ports, provider, record, prediction)

    def write(connection: Connection) -> JobState | None:
        if calls.accept(connection, record.id, prediction.ref) is not calls.Acceptance.RECORDED:
            return None
        state = None
        with suppress(*lost), dialect.savepoint(connection):  # the fact stays written, the opinion does not
            state = _wait(connection, ports, provider, job, record, prediction)
        # After the job, as in a claim, so that none waits for the other.
        gates.resume(connection, job.provider)
        return state

    # A bare fact of a synchronous provider can't be followed, there is no get: all or nothing.
    lost = () if provider.capabilities.synchronous else (LeaseLost,)
    state = await insist(ports, write)
    return _on(job, state, prediction)


async def _spool(ports: Ports, provider: Provider, record: CallRecord, prediction: Prediction) -> Prediction:
    """Keep the only copy, however long the storage is away; return it as failed if an output can't be had."""
    parts: list[bytes] = []
    while True:
        try:
            if await ports.keeper.spooled(record.id) is None:
                parts = parts or [await _read(provider, output) for output in prediction.outputs]
                await ports.keeper.spool(record.id, parts)
            return prediction
        except FetchError as error:
            message = f"It was made, but its output could not be fetched: {error}"
            return endings.without_output(prediction, message)
        except Unavailable:
            await ports.clock.sleep(_STORAGE_PAUSE_S)


async def _read(provider: Provider, output: Output) -> bytes:
    async with provider.open(output) as download:
        return b"".join([chunk async for chunk in download.chunks])


def _wait(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    prediction: Prediction,
) -> JobState:
    """Move the job to waiting; if the prediction has ended already, on from there in the same transaction."""
    first_time = job.state is JobState.SUBMITTING
    transition(
        connection,
        job.lease,
        JobState.WAITING,
        run_at=endings.later(connection, endings.look_after_s(ports, provider, record, 0)),
        keep_lease=prediction.ended,
        event=EventType.ACCEPTED,
        data={"provider": job.provider, "ref": prediction.ref},
        attempt=job.attempt + 1 if first_time else job.attempt,
        tries=0,
        progress=prediction.progress,
        note=endings.making(job),
    )
    if not prediction.ended:
        return JobState.WAITING
    waiting = replace(job, state=JobState.WAITING, attempt=job.attempt + 1 if first_time else job.attempt)
    return endings.conclude(connection, ports, waiting, record, prediction)


def _on(job: Job, state: JobState | None, prediction: Prediction) -> Next | None:
    if state is not JobState.STORING:
        return None
    return Next(job=replace(job, state=state, tries=0), prediction=prediction)


# ---------------------------------------------------------------------------------------------- submitting


async def resume(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Take over from a worker that died between the intent and the answer."""
    provider = _provider(ports, job)
    message = "The worker stopped before the provider's answer came"
    await ports.db.transact(lambda c: _without_answer(c, ports, provider, job, message))
    return None


def _without_answer(connection: Connection, ports: Ports, provider: Provider, job: Job, message: str) -> None:
    """Go on after a create whose answer was lost, unless a webhook told in the meantime that it was taken."""
    record = _live(connection, job, lock=True)
    if record.provider_ref is not None:
        _wait(connection, ports, provider, job, record, endings.running(record.provider_ref))
    else:
        _to_reconciling(connection, ports, provider, job, record, message)


def _to_reconciling(
    connection: Connection, ports: Ports, provider: Provider, job: Job, record: CallRecord, message: str
) -> None:
    calls.settle(connection, record.id, CallState.UNKNOWN, error=message)
    transition(
        connection,
        job.lease,
        JobState.RECONCILING,
        run_at=_first_look_at(connection, ports, provider, record),
        event=EventType.RECONCILING,
        data={"reason": message},
        attempt=job.attempt + 1,
        tries=0,
        note=f"The answer was lost; asking {job.provider} whether it took the job",
    )


def _first_look_at(connection: Connection, ports: Ports, provider: Provider, record: CallRecord) -> int:
    """Return when nothing that was sent can still arrive. With a key there is nothing to wait for."""
    if provider.capabilities.dedupe is Dedupe.KEY:
        return endings.later(connection, 0)
    return max(endings.later(connection, 0), record.send_by + int(ports.timing.settle_s * 1000))


# ---------------------------------------------------------------------------------------------- reconciling


async def reconcile(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Find out whether a call whose answer was lost was bought: adopt it, or prove it absent."""
    provider = _provider(ports, job)
    send_by = ports.clock.monotonic() + SEND_WITHIN_MS / 1000  # read before the ledger: rather too early
    record = await ports.db.read(lambda c: _live(c, job))
    if record.provider_ref is not None:  # a webhook told in the meantime
        ports.first_looks.pop(record.id, None)
        adopted = endings.running(record.provider_ref)
        return await _accepted(ports, provider, job, record, adopted)
    if provider.capabilities.synchronous:
        try:
            kept = await ports.keeper.spooled(record.id)
        except Unavailable as error:
            message = str(error)
            await ports.db.transact(lambda c: endings.ask_again(c, ports, job, record, message))
            return None
        if kept is not None:  # its answer came, and the worker that got it could not write so
            return await _accepted(ports, provider, job, record, endings.succeeded(record.id, kept))
    match provider.capabilities.dedupe:
        case Dedupe.KEY:
            return await _join(ports, provider, job, record, send_by)
        case Dedupe.RECONCILE:
            return await _search(ports, provider, job, record)
        case _:
            await ports.db.transact(lambda c: endings.park(c, job, record))
            return None


async def _join(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, send_by: float
) -> Next | None:
    """Send the create again with the same key: it joins the first one, if there is one."""
    call = call_of(ports, provider, job, record)
    outcome = await provider.create(call, send_by=send_by)
    match outcome:
        case Accepted(prediction=prediction):
            return await _accepted(ports, provider, job, record, prediction)
        case Rejected(reason=RejectReason.INVALID | RejectReason.MODERATION):
            await ports.db.transact(lambda c: endings.reject(c, ports, job, record, outcome))
        case Rejected(message=message) | Unknown(message=message):
            await ports.db.transact(lambda c: endings.ask_again(c, ports, job, record, message))
    return None


async def _search(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> Next | None:
    """List what the provider has; adopt our call, or after two looks declare it absent."""
    call = call_of(ports, provider, job, record)
    try:
        candidates = await provider.find(call)
    except ProviderError as error:
        message = str(error)
        await ports.db.transact(lambda c: endings.ask_again(c, ports, job, record, message))
        return None
    for prediction in candidates:
        acceptance = await ports.db.transact(lambda c, ref=prediction.ref: endings.adopt(c, job, record, ref))  # type: ignore[misc]
        if acceptance is calls.Acceptance.RECORDED:
            ports.first_looks.pop(record.id, None)
            return await _accepted(ports, provider, job, record, prediction)
    await _not_found(ports, provider, job, record)
    return None


async def _not_found(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> None:
    """Declare the call absent at the second look, by this process's own clock that no jump can fool."""
    now = ports.clock.monotonic()
    remaining_s = ports.first_looks.setdefault(record.id, now) + ports.timing.grace_s - now
    if remaining_s > 0:
        await ports.db.transact(lambda c: endings.look_again(c, job, remaining_s))
        return
    ports.first_looks.pop(record.id, None)
    await ports.db.transact(lambda c: _absent(c, ports, provider, job))


def _absent(connection: Connection, ports: Ports, provider: Provider, job: Job) -> None:
    record = _live(connection, job, lock=True)
    if record.provider_ref is not None:  # a webhook told during the second look
        _wait(connection, ports, provider, job, record, endings.running(record.provider_ref))
    else:
        endings.absent(connection, ports, job, record)


# ---------------------------------------------------------------------------------------------- waiting


async def follow(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Look at the prediction: note progress, stop it when asked or overdue, move on when it has ended."""
    provider = _provider(ports, job)
    record = await ports.db.read(lambda c: _live(c, job))
    call = call_of(ports, provider, job, record)
    try:
        if await _to_be_stopped(ports, job, record):
            await provider.cancel(call)
        prediction = await ports.look(provider, call)
    except PredictionGone as error:
        lost = endings.lost("prediction_gone", str(error))
        await ports.db.transact(lambda c: lost(c, job, record))
        return None
    except ProviderError as error:
        message = str(error)
        await ports.db.transact(lambda c: endings.look_failed(c, ports, job, record, message))
        return None
    if prediction.ended:
        state = await insist(ports, lambda c: endings.conclude(c, ports, job, record, prediction))
        return _on(job, state, prediction)
    await ports.db.transact(lambda c: endings.still_running(c, ports, provider, job, record, prediction))
    return None


async def _to_be_stopped(ports: Ports, job: Job, record: CallRecord) -> bool:
    if job.cancel_requested_at is not None:
        return True
    return await ports.db.read(lambda c: endings.later(c, 0) > record.deadline_at)


# ---------------------------------------------------------------------------------------------- shared


async def _store(ports: Ports, job: Job, prediction: Prediction | None) -> Next | None:
    await store(ports, _provider(ports, job), job, prediction, call_of)
    return None


def call_of(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> Call:
    """Return the ledger's call as the provider sees it."""
    return Call(
        id=record.id,
        model=record.model,
        input=provider.input_of(job.prompt, job.parameters),
        created_at_ms=record.created_at,
        timeout_s=ports.timing.job_timeout_s,
        ref=record.provider_ref,
        webhook_url=ports.webhook_url(job.provider, record.id),
    )


def _provider(ports: Ports, job: Job) -> Provider:
    provider = ports.providers.get(job.provider)
    if provider is None:  # claim() leaves such jobs alone
        raise LeaseLost(f"The provider {job.provider!r} is not configured here")
    return provider


def _live(connection: Connection, job: Job, *, lock: bool = False) -> CallRecord:
    record = calls.live(connection, job.id, lock=lock)
    if not lock:  # it may be sent then, and whoever slept finds one that is another's to send
        demand_held(connection, job.lease)
    if record is None:
        raise LeaseLost(f"Job {job.id} has no live call any more")
    return record


STEPS: Mapping[JobState, Step] = {
    JobState.QUEUED: submit,
    JobState.SUBMITTING: resume,
    JobState.RECONCILING: reconcile,
    JobState.WAITING: follow,
    JobState.STORING: _store,
}
