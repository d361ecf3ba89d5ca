"""Looking at what was bought until it has ended: progress, a wish to cancel, and answers that deny that it exists."""

from contextlib import suppress

from mediagen.db.engine import Connection, now_ms
from mediagen.errors import PredictionGone, ProviderError
from mediagen.jobs import calls
from mediagen.jobs.model import CallRecord, Job
from mediagen.providers.base import Call, Dedupe, Prediction, Provider
from mediagen.worker import endings, patience
from mediagen.worker.ports import Ports, insist
from mediagen.worker.sending import going_on
from mediagen.worker.turns import Next, call_of, live_call, provider_of

GONE_LOOKS = 3
"""Looks that must have found nothing, besides the time that they are apart, before a prediction is gone."""

_CLOCKS_AGREE_MS = 10_000
"""Clocks that are read to the second, and drift, differ by no more."""


async def follow(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Look at the prediction: note progress, stop it when asked or overdue, move on when it has ended."""
    provider = provider_of(ports, job)
    record = await ports.db.read(lambda c: live_call(c, job))
    call = call_of(ports, provider, job, record)
    try:
        prediction = await _look(ports, provider, job, record, call)
    except PredictionGone as error:
        await _missing(ports, provider, job, record, call, error)
        return None
    except ProviderError as error:
        reason = error
        await ports.db.transact(lambda c: patience.look_failed(c, ports, provider, job, record, reason))
        return None
    if prediction.ended:
        state = await insist(ports, lambda c: endings.conclude(c, ports, job, record, prediction))
        return going_on(job, state, prediction)
    ahead_ms = await _ahead_ms(ports, provider, record)
    await ports.db.transact(
        lambda c: patience.still_running(c, ports, provider, job, record, prediction, ahead_ms=ahead_ms)
    )
    return None


async def _look(ports: Ports, provider: Provider, job: Job, record: CallRecord, call: Call) -> Prediction:
    """Look, and stop only what still runs. What a cancel is answered with proves nothing: look once more."""
    prediction = await ports.look(provider, call)
    if prediction.ended or not await _to_be_stopped(ports, provider, job, record, prediction):
        return prediction
    with suppress(ProviderError):
        await provider.cancel(call)
    with suppress(ProviderError):
        return await provider.get(call)
    return prediction


async def _to_be_stopped(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, prediction: Prediction
) -> bool:
    if job.cancel_requested_at is not None:
        return True
    ahead_ms = await _ahead_ms(ports, provider, record)

    def is_late(connection: Connection) -> bool:
        before = now_ms(connection)
        if before - ahead_ms <= patience.deadline(connection, ports, record, prediction):
            return False
        # Both as of now: a clock that was set has moved the deadline, too.
        current = calls.get(connection, record.id) or record
        now = now_ms(connection)
        if abs(now - before) > _CLOCKS_AGREE_MS:
            return False
        return now - ahead_ms > patience.deadline(connection, ports, current, prediction)

    return await ports.db.read(is_late)


async def _ahead_ms(ports: Ports, provider: Provider, record: CallRecord) -> int:
    """Return how far our clock was set ahead since the call, by its provider's clock: nothing is late for that."""
    theirs = await provider.now_ms()
    if theirs is None or record.asked_at is None:
        return 0
    ours = await ports.db.read(now_ms)
    ahead_ms = (ours - record.created_at) - (theirs - record.asked_at)
    return ahead_ms if ahead_ms > _CLOCKS_AGREE_MS else 0


async def _missing(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, call: Call, error: PredictionGone
) -> None:
    """Believe that a prediction is gone when its provider said so for long, and its list agrees."""
    gone = error.sure or await gone_for_good(ports, provider, job, record, call)
    message = str(error)

    def write(connection: Connection) -> None:
        if gone:
            endings.lost("prediction_gone", message)(connection, job, record)
        else:
            patience.missing(connection, ports, provider, job, record, message)

    await ports.db.transact(write)


async def gone_for_good(ports: Ports, provider: Provider, job: Job, record: CallRecord, call: Call) -> bool:
    """Tell whether several looks over a time found nothing, and the provider's list does not show it either."""
    since = record.missing_since
    if since is None or job.tries < GONE_LOOKS:
        return False
    if await ports.db.read(now_ms) < since + ports.timing.gone_s * 1000:
        return False
    if provider.capabilities.dedupe is not Dedupe.RECONCILE:
        return True
    with suppress(ProviderError):
        return await provider.shows(call) is False
    return False
