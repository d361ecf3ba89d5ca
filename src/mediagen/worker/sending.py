"""Buying: the intent, one create, its answer classified; and going on where that was cut off."""

from contextlib import suppress
from dataclasses import dataclass, replace

from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.errors import FetchError, LeaseLost, Unavailable
from mediagen.jobs import calls, events, pauses, repository, traits
from mediagen.jobs.calls import SEND_WITHIN_MS, Acceptance, Intent
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import is_held, transition
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    MaySend,
    Outcome,
    Output,
    Prediction,
    PredictionStatus,
    Provider,
    Rejected,
    Unknown,
    always,
)
from mediagen.providers.markers import Marker
from mediagen.worker import endings, patience
from mediagen.worker.ports import Ports, insist
from mediagen.worker.turns import Next, call_of, live_call, provider_of

STORAGE_PAUSE_S = 5.0
"""Between tries to keep what a synchronous provider made, while the storage is away."""


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """What a turn begins with: a call to be sent, or one that came late and is used in place of another."""

    record: CallRecord
    late: bool = False


async def submit(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Buy one generation: intent, one create, the answer classified."""
    provider = provider_of(ports, job)
    if job.cancel_requested_at is not None:
        await ports.db.transact(lambda c: endings.cancel(c, job))
        return None
    intent = await _intent(ports, provider, job)
    send_by = ports.clock.monotonic() + SEND_WITHIN_MS / 1000  # read before the commit: rather too early
    begun = await ports.db.transact(lambda c: _begin(c, ports, provider, job, intent))
    if begun.late:
        return None
    call = call_of(ports, provider, job, begun.record)
    outcome = await provider.create(call, send_by=send_by, may_send=may_send(ports, provider, job))
    return await _classify(ports, provider, replace(job, state=JobState.SUBMITTING), begun.record, outcome)


def may_send(ports: Ports, provider: Provider, job: Job) -> MaySend:
    """Return what asks, right before the first byte, whether the job is still ours to buy.

    A machine that slept between the intent and the send finds out here that another one has taken over. Where
    the same call joins the first one that does no harm.
    """
    if provider.capabilities.dedupe is Dedupe.KEY:
        return always

    async def ask() -> bool:
        return await ports.db.read(lambda c: is_held(c, job.lease))

    return ask


async def _intent(ports: Ports, provider: Provider, job: Job) -> Intent:
    marks, call_id = ports.marks, ports.clock.new_id()
    marker = Marker(installation=marks.installation, job=job.id, call=call_id)
    takes_markers = provider.name not in marks.refused_by
    return Intent(
        call_id=call_id,
        timeout_ms=await _making_ms(ports, provider, job),
        marked=takes_markers and marks.address(provider.name, marker) is not None,
        asked_at=await provider.now_ms(),
    )


async def _making_ms(ports: Ports, provider: Provider, job: Job) -> int:
    """Return how long the making may take: as the job asks, as its model is set, or as what it makes needs."""
    if job.timeout_ms is not None:
        return job.timeout_ms
    timing = ports.timing
    set_s = timing.model_timeouts_s.get(job.model)
    if set_s is None and timing.long_timeout_s is not None and await provider.takes_long(job.model):
        set_s = timing.long_timeout_s
    return int((set_s or timing.job_timeout_s) * 1000)


def _begin(connection: Connection, ports: Ports, provider: Provider, job: Job, intent: Intent) -> _Begun:
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
    earlier = calls.earlier(connection, job.id)
    if earlier.late is not None:
        return _use(connection, ports, provider, job, earlier.late, intent.timeout_ms)
    intent = replace(intent, marked=intent.marked and not earlier.marker_refused)
    record = calls.intend(connection, job, intent, earlier.seq + 1)
    events.append(connection, job.id, EventType.SUBMITTED, {"provider": job.provider, "call": record.seq})
    return _Begun(record=record)


def _use(
    connection: Connection, ports: Ports, provider: Provider, job: Job, call_id: str, timeout_ms: int
) -> _Begun:
    """Go on with what was bought for the job before, and came to light late."""
    record = calls.use(connection, call_id, timeout_ms)
    assert record.provider_ref is not None
    was_counted = record.send_by > record.created_at  # when it was sent; what another copy sent was not, here
    before = job.attempt - 1 if was_counted else min(job.attempt, job.max_attempts - 1)
    counted = replace(job, attempt=max(0, before), state=JobState.SUBMITTING)
    wait(connection, ports, provider, counted, record, endings.running(record.provider_ref))
    return _Begun(record=record, late=True)


async def _classify(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, outcome: Outcome
) -> Next | None:
    match outcome:
        case Accepted(prediction=prediction):
            return await accepted(ports, provider, job, record, prediction)
        case Rejected():
            await insist(ports, lambda c: _rejected(c, ports, provider, job, record, outcome))
        case Unknown(message=message):
            await insist(ports, lambda c: without_answer(c, ports, provider, job, message))
    return None


def _rejected(
    connection: Connection, ports: Ports, provider: Provider, job: Job, record: CallRecord, outcome: Rejected
) -> None:
    try:
        with dialect.savepoint(connection):
            endings.reject(connection, ports, job, record, outcome)
    except LeaseLost:
        # With a key others may have sent it, too: that one was refused says nothing of those.
        if provider.capabilities.dedupe is Dedupe.KEY or not _is_over(connection, job):
            raise
        calls.settle(connection, record.id, CallState.REJECTED, error=outcome.message)


async def accepted(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, prediction: Prediction
) -> Next | None:
    """Write that the call is bought. What a synchronous provider made is kept before the state says so."""
    whole = prediction.status is PredictionStatus.SUCCEEDED
    if provider.capabilities.synchronous and whole and prediction.outputs:
        prediction = await _spool(ports, provider, record, prediction)

    def write(connection: Connection) -> JobState | None:
        return _write_accepted(connection, ports, provider, job, record, prediction)

    state = await insist(ports, write)
    if state is JobState.CANCELED and provider.capabilities.synchronous:
        await ports.keeper.unspool(record.id)
    return going_on(job, state, prediction)


def _write_accepted(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    prediction: Prediction,
) -> JobState | None:
    # A bare fact of a synchronous provider can't be followed, there is no get: all or nothing.
    lost = () if provider.capabilities.synchronous else (LeaseLost,)
    if provider.capabilities.synchronous and prediction.ended and _is_over(connection, job):
        return _only_settled(connection, record, prediction)
    acceptance = calls.accept(connection, record.id, prediction.ref)
    if acceptance is Acceptance.TAKEN:  # the answer was about another call of ours
        with suppress(*lost), dialect.savepoint(connection):
            _not_ours(connection, ports, provider, job, record, prediction.ref)
    if acceptance is not Acceptance.RECORDED:
        return None
    _learn(connection, ports, provider, record)
    state = None
    with suppress(*lost), dialect.savepoint(connection):  # the fact stays written, the opinion does not
        state = wait(connection, ports, provider, job, record, prediction)
    # After the job, as in a claim, so that none waits for the other.
    pauses.end(connection, job.provider, job.model)
    return state


def _learn(connection: Connection, ports: Ports, provider: Provider, record: CallRecord) -> None:
    """Remember what a create that was taken shows of its provider."""
    marks, name = ports.marks, provider.name
    if (
        not record.marked
        and name not in marks.refused_by
        and calls.earlier(connection, record.job_id).marker_refused
    ):
        traits.learn(connection, name, traits.REFUSES_MARKERS, calls.MARKER_REFUSED)
        marks.refused_by.add(name)
    dated = provider.dated_by_its_clock
    if dated is not None and marks.dated.get(name) is not dated:
        traits.learn(connection, name, traits.DATED_BY_ITS_CLOCK, str(dated))
        marks.dated[name] = dated


def _is_over(connection: Connection, job: Job) -> bool:
    now = repository.get(connection, job.id)
    return now is None or now.finished


def _only_settled(connection: Connection, record: CallRecord, prediction: Prediction) -> JobState:
    """Tell the ledger how a call ended whose job was canceled while the provider held the create open."""
    if calls.accept(connection, record.id, prediction.ref) is Acceptance.RECORDED:
        ended, cost = endings.ENDS[prediction.status], prediction.cost_micros
        calls.settle(connection, record.id, ended, error=prediction.error_message, cost_micros=cost)
    return JobState.CANCELED


def _not_ours(
    connection: Connection, ports: Ports, provider: Provider, job: Job, record: CallRecord, ref: str
) -> None:
    message = f"The answer was about {ref}, which another call has"
    if job.state is JobState.SUBMITTING:
        without_answer(connection, ports, provider, job, message)
    else:
        patience.ask_again(connection, ports, provider, job, record, message)


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
            await ports.clock.sleep(STORAGE_PAUSE_S)


async def _read(provider: Provider, output: Output) -> bytes:
    async with provider.open(output) as download:
        return b"".join([chunk async for chunk in download.chunks])


def wait(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    prediction: Prediction,
) -> JobState:
    """Move the job to waiting; if the prediction has ended already, on from there in the same transaction."""
    first_time = job.state is JobState.SUBMITTING
    attempt = job.attempt + 1 if first_time else job.attempt
    transition(
        connection,
        job.lease,
        JobState.WAITING,
        run_at=endings.later(connection, patience.look_after_s(ports, provider, record, 0)),
        keep_lease=prediction.ended,
        event=EventType.ACCEPTED,
        data={"provider": job.provider, "ref": prediction.ref},
        attempt=attempt,
        tries=0,
        progress=prediction.progress,
        note=endings.making(job),
    )
    if not prediction.ended:
        return JobState.WAITING
    waiting = replace(job, state=JobState.WAITING, attempt=attempt)
    return endings.conclude(connection, ports, waiting, record, prediction)


def going_on(job: Job, state: JobState | None, prediction: Prediction) -> Next | None:
    """Return how a job goes on whose prediction has ended."""
    if state is not JobState.STORING:
        return None
    return Next(job=replace(job, state=state, tries=0), prediction=prediction)


# ---------------------------------------------------------------------------------------------- submitting


async def resume(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Take over from a worker that died between the intent and the answer."""
    provider = provider_of(ports, job)
    message = "The worker stopped before the provider's answer came"
    await ports.db.transact(lambda c: without_answer(c, ports, provider, job, message))
    return None


def without_answer(connection: Connection, ports: Ports, provider: Provider, job: Job, message: str) -> None:
    """Go on after a create whose answer was lost, unless a callback told in the meantime that it was taken."""
    record = live_call(connection, job, lock=True)
    if record.provider_ref is not None:
        wait(connection, ports, provider, job, record, endings.running(record.provider_ref))
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
