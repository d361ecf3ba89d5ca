"""The step that keeps what was made: fetch each output, store it, then say how the job ended.

No check, header or broken line of one try is the end of what was paid for: an output is given up only by time, when
its provider has it no longer, and after several tries.
"""

from collections.abc import Sequence
from dataclasses import replace

from mediagen.artifacts import repository as artifact_rows
from mediagen.db.engine import Connection, now_ms
from mediagen.errors import (
    FetchBlocked,
    FetchError,
    InvalidMedia,
    LeaseLost,
    MediagenError,
    PredictionGone,
    ProviderError,
    Unavailable,
)
from mediagen.jobs import calls, repository
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import transition
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import Output, Prediction, Provider
from mediagen.worker import endings
from mediagen.worker.following import gone_for_good
from mediagen.worker.ports import Ports, insist
from mediagen.worker.turns import Next, call_of, provider_of

STORE_TRIES = 5
"""Tries after which an output may be given up, however long it took to get to them."""

EMPTY_TRIES = 6
"""Tries after which an output that is spooled here, and so can't change any more, is given up."""

OUTAGE_TRIES = 5
"""While the storage is away the pauses are those after so many failures; how long it lasts is not counted."""

_LEAST_PAUSE_MS, _MOST_PAUSE_MS = 250, 120_000
"""Between tries: links die, and the last try must not come much later than they do."""


async def store(ports: Ports, job: Job, prediction: Prediction | None) -> Next | None:
    """Keep the outputs of what the job bought. Tries are free; the generation is never bought again."""
    provider = provider_of(ports, job)
    record = await ports.db.read(lambda c: calls.made(c, job.id))
    if record is None:
        raise LeaseLost(f"Job {job.id} has nothing to store any more")
    try:
        outputs = await _outputs(ports, provider, job, record, prediction)
        await _keep_each(ports, provider, job, outputs)
    except (FetchError, InvalidMedia, ProviderError, Unavailable) as error:
        await _again_or_give_up(ports, provider, job, record, error)
        return None
    await insist(ports, lambda c: _kept(c, job, record, len(outputs)))
    if provider.capabilities.synchronous:
        await ports.keeper.unspool(record.id)
    return None


async def _keep_each(ports: Ports, provider: Provider, job: Job, outputs: Sequence[Output]) -> None:
    """Fetch and keep every output that can be had. Raises the first error of the others, one that may pass if any."""
    errors: list[MediagenError] = []
    for idx, output in enumerate(outputs):
        try:
            if not await ports.keeper.resume(job.id, job.secret, idx):
                begun = await ports.keeper.begun(job.secret, idx)
                async with provider.open(replace(output, resume=begun)) as download:
                    await ports.keeper.ingest(job.id, job.secret, idx, download)
        except (FetchError, InvalidMedia, ProviderError) as error:
            errors.append(error)
    if errors:
        raise next((error for error in errors if not isinstance(error, FetchBlocked)), errors[0])


async def _outputs(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, known: Prediction | None
) -> list[Output]:
    """Return what to fetch: from the spool, as just seen, or asked for again, since links die."""
    if provider.capabilities.synchronous:
        kept = await ports.keeper.spooled(record.id)
        if kept is not None:
            return [Output(data=data) for data in kept]
    if known is None or not known.ended:
        known = await provider.get(call_of(ports, provider, job, record))
    if not known.outputs:
        raise InvalidMedia(f"{provider.name} says that it is made but names no output")
    return list(known.outputs)


def _kept(connection: Connection, job: Job, record: CallRecord, outputs: int) -> None:
    """End the job with its outputs: as succeeded, or as it ended at the provider with those that it had made."""
    if record.state is not CallState.SUCCEEDED:
        _end_as_it_was(connection, job, outputs)
        return
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


def _end_as_it_was(connection: Connection, job: Job, outputs: int) -> None:
    """End the job as its row says that it ended at the provider; a step that has just seen so holds an older copy."""
    kept = repository.get(connection, job.id)
    if kept is None or kept.error_code is None:
        endings.cancel(connection, job, note=endings.MAY_BE_CHARGED, output_count=outputs)
        return
    endings.fail(connection, job, kept.error_code, kept.error_message or "", output_count=outputs)


async def _storage_is_away(ports: Ports, record: CallRecord) -> bool:
    """Tell whether another machine may have fetched what can't be had here, and waits for the storage with it."""
    try:
        await ports.keeper.spooled(record.id)
    except Unavailable:
        return True
    return False


async def _again_or_give_up(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, error: MediagenError
) -> None:
    away = isinstance(error, Unavailable) or await _storage_is_away(ports, record)
    over = not away and await _is_over(ports, provider, job, record, error)

    def write(connection: Connection) -> None:
        if over:
            _give_up(connection, job, record, error)
        else:
            _try_again(connection, ports, job, record, error, storage_is_away=away)

    await ports.db.transact(write)


async def _is_over(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, error: MediagenError
) -> bool:
    """Tell whether the output can't be had any more."""
    tries = job.tries + 1
    if isinstance(error, PredictionGone):
        call = call_of(ports, provider, job, record)
        if error.sure or await gone_for_good(ports, provider, job, record, call):
            return True
    if provider.capabilities.synchronous:  # it lies here, and will not change
        return tries >= EMPTY_TRIES
    made_at = record.finished_at or record.created_at
    until = made_at + int(provider.capabilities.retention_s * 1000)
    return tries >= STORE_TRIES and await ports.db.read(now_ms) >= until


def _give_up(connection: Connection, job: Job, record: CallRecord, error: MediagenError) -> None:
    kept = len(artifact_rows.of_jobs(connection, [job.id]).get(job.id, ()))
    if 0 < kept == job.output_count:  # all are here: a worker died before it could write so
        _kept(connection, job, record, kept)
    elif record.state is CallState.SUCCEEDED:
        what = (
            "its output"
            if job.output_count < 2
            else f"{job.output_count - kept} of its {job.output_count} outputs"
        )
        message = f"It was made and paid for, but {what} could not be kept: {error}"
        endings.fail(connection, job, _code(error), message, output_count=kept)
    else:
        _end_as_it_was(connection, job, kept)


def _try_again(
    connection: Connection,
    ports: Ports,
    job: Job,
    record: CallRecord,
    error: MediagenError,
    *,
    storage_is_away: bool,
) -> None:
    tries = job.tries if storage_is_away else job.tries + 1  # nothing of an outage is the job's fault
    if isinstance(error, PredictionGone) and record.missing_since is None:
        calls.note(connection, record.id, missing_since=now_ms(connection))
    pause_ms = ports.backoff.pause_ms(OUTAGE_TRIES if storage_is_away else tries, ports.clock)
    retry_at = now_ms(connection) + min(max(pause_ms, _LEAST_PAUSE_MS), _MOST_PAUSE_MS)
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


def _code(error: MediagenError) -> str:
    return "output_lost" if error.retryable and not isinstance(error, InvalidMedia) else error.code
