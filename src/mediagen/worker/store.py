"""The step that keeps what was bought: fetch each output, store it, then say that the job succeeded."""

from collections.abc import Callable
from dataclasses import replace

from mediagen.db.engine import Connection, now_ms
from mediagen.errors import FetchError, InvalidMedia, LeaseLost, MediagenError, ProviderError, Unavailable
from mediagen.jobs import calls
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import transition
from mediagen.jobs.states import JobState
from mediagen.providers.base import Call, Output, Prediction, PredictionStatus, Provider
from mediagen.worker import endings
from mediagen.worker.ports import Ports, insist

STORE_TRIES = 20
"""Failures in a row after which an output is given up; with the backoff that is more than the hour links live."""

INVALID_TRIES = 6
"""Failures in a row after which an output is given up if it arrives empty or cut off once more."""

OUTAGE_TRIES = 5
"""While the storage is away the pauses are those after so many failures; how long it lasts is not counted."""

CallOf = Callable[[Ports, Provider, Job, CallRecord], Call]


async def store(
    ports: Ports, provider: Provider, job: Job, prediction: Prediction | None, call_of: CallOf
) -> None:
    """Keep the outputs of the job's bought call. Tries are free; the generation is never bought again."""
    record = await ports.db.read(lambda c: calls.bought(c, job.id))
    if record is None:
        raise LeaseLost(f"Job {job.id} has nothing to store any more")
    try:
        outputs = await _outputs(ports, provider, call_of(ports, provider, job, record), prediction)
        for idx, output in enumerate(outputs):
            if not await ports.keeper.resume(job.id, job.secret, idx):
                begun = await ports.keeper.begun(job.secret, idx)
                async with provider.open(replace(output, resume=begun)) as download:
                    await ports.keeper.ingest(job.id, job.secret, idx, download)
    except (FetchError, InvalidMedia, ProviderError, Unavailable) as error:
        away = isinstance(error, Unavailable) or await _storage_is_away(ports, record)
        await _again_or_give_up(ports, job, error, storage_is_away=away)
        return
    await insist(ports, lambda c: _succeeded(c, job, len(outputs)))
    if provider.capabilities.synchronous:
        await ports.keeper.unspool(record.id)


async def _outputs(ports: Ports, provider: Provider, call: Call, known: Prediction | None) -> list[Output]:
    """Return what to fetch: from the spool, as just seen, or asked for again, since links die."""
    if provider.capabilities.synchronous:
        kept = await ports.keeper.spooled(call.id)
        if kept is not None:
            return [Output(data=data) for data in kept]
    if known is None or known.status is not PredictionStatus.SUCCEEDED:
        known = await provider.get(call)
    if not known.outputs:
        raise InvalidMedia(f"{provider.name} says that it succeeded but names no output")
    return list(known.outputs)


def _succeeded(connection: Connection, job: Job, outputs: int) -> None:
    transition(
        connection,
        job.lease,
        JobState.SUCCEEDED,
        event=EventType.SUCCEEDED,
        data={"outputs": outputs},
        output_count=outputs,
        progress=1.0,
        note="",
    )


async def _storage_is_away(ports: Ports, record: CallRecord) -> bool:
    """Tell whether another machine may have fetched what can't be had here, and waits for the storage with it."""
    try:
        await ports.keeper.spooled(record.id)
    except Unavailable:
        return True
    return False


async def _again_or_give_up(ports: Ports, job: Job, error: MediagenError, *, storage_is_away: bool) -> None:
    tries = job.tries if storage_is_away else job.tries + 1  # nothing of an outage is the job's fault
    is_invalid = isinstance(error, InvalidMedia)
    most = INVALID_TRIES if is_invalid else STORE_TRIES

    def write(connection: Connection) -> None:
        may_help = error.retryable or is_invalid
        if not storage_is_away and (not may_help or tries >= most):  # its age matters no more: it is paid for
            endings.fail(
                connection, job, _code(error), f"It was made, but its output could not be kept: {error}"
            )
            return
        pause_ms = ports.backoff.pause_ms(OUTAGE_TRIES if storage_is_away else tries, ports.clock)
        retry_at = now_ms(connection) + pause_ms
        transition(
            connection,
            job.lease,
            JobState.STORING,
            run_at=retry_at,
            event=EventType.RETRYING,
            data={"reason": str(error), "retry_at": retry_at, "attempt": job.attempt},
            tries=tries,
            note=f"The output could not be fetched: {error}",
        )

    await ports.db.transact(write)


def _code(error: MediagenError) -> str:
    return "output_lost" if error.retryable and not isinstance(error, InvalidMedia) else error.code
