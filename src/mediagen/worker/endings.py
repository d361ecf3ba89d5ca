"""How steps end: each function is one fenced transaction that sets the job's state and when it is due again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mediagen.db.engine import Connection, now_ms
from mediagen.jobs import calls, gates
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import cancel_wished, demand_held, seize, transition
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Output,
    Prediction,
    PredictionStatus,
    Provider,
    Rejected,
    RejectReason,
)
from mediagen.worker.ports import Ports

UNAUTHORIZED_PAUSE_MS = 60_000
BUSY_PAUSE_S = 1.0
LIMITED_PAUSE_S = 5.0
"""Pause after a 429 that does not say how long."""

_RUNG_LEAST_S, _RUNG_MOST_S = 5.0, 60.0
"""Pauses between looks at a call whose provider rings when it has ended."""

WAIT_REASONS = {
    RejectReason.RATE_LIMITED: "it limits how fast we may ask",
    RejectReason.BUSY: "it is busy",
    RejectReason.UNAUTHORIZED: "it refuses our token or our money",
    RejectReason.UNREACHABLE: "it can't be reached",
}


def later(connection: Connection, seconds: float) -> int:
    """Return the database's time in `seconds` from now, in milliseconds."""
    return now_ms(connection) + int(seconds * 1000)


def making(job: Job) -> str:
    """Return the note of a job that the provider works on."""
    return f"{job.provider} is making it"


def running(ref: str) -> Prediction:
    """Return what we know of a call that somebody else told us was taken."""
    return Prediction(ref=ref, status=PredictionStatus.RUNNING)


def succeeded(ref: str, outputs: list[bytes]) -> Prediction:
    """Return a prediction whose outputs lie in the spool."""
    return Prediction(
        ref=ref, status=PredictionStatus.SUCCEEDED, outputs=tuple(Output(data=data) for data in outputs)
    )


def without_output(prediction: Prediction, message: str) -> Prediction:
    """Return a prediction that was made but whose output can't be had."""
    failed = PredictionStatus.FAILED
    return replace(prediction, status=failed, outputs=(), error_code="output_lost", error_message=message)


# ---------------------------------------------------------------------------------------------- the end


def cancel(connection: Connection, job: Job) -> None:
    """End the job as canceled."""
    transition(connection, job.lease, JobState.CANCELED, event=EventType.CANCELED, note="")


def fail(connection: Connection, job: Job, code: str, message: str) -> None:
    """End the job as failed."""
    transition(
        connection,
        job.lease,
        JobState.FAILED,
        event=EventType.FAILED,
        data={"code": code, "message": message},
        error_code=code,
        error_message=message,
        note="",
    )


def lost(code: str, message: str) -> Callable[[Connection, Job, CallRecord], None]:
    """Return the ending of a job whose accepted call can't be followed any more."""

    def end(connection: Connection, job: Job, record: CallRecord) -> None:
        calls.settle(connection, record.id, CallState.ORPHAN, error=message)
        fail(connection, job, code, message)

    return end


# ---------------------------------------------------------------------------------------------- after a create


def reject(connection: Connection, ports: Ports, job: Job, record: CallRecord, outcome: Rejected) -> None:
    """Nothing was bought: end the job where the refusal is final, else queue it again, using no attempt."""
    calls.settle(connection, record.id, CallState.REJECTED, error=outcome.message)
    match outcome.reason:
        case RejectReason.INVALID:
            fail(connection, job, "rejected", outcome.message)
        case RejectReason.MODERATION:
            fail(connection, job, "moderation", outcome.message)
        case RejectReason.UNREACHABLE if _tried_long_enough(connection, ports, job):
            fail(connection, job, "provider_unreachable", outcome.message)
        case _:
            _wait_for_provider(connection, ports, job, outcome)


def _tried_long_enough(connection: Connection, ports: Ports, job: Job) -> bool:
    """An unreachable provider costs nothing: it is tried as often and as long as a paid attempt may be."""
    since_ms = now_ms(connection) - (job.started_at or now_ms(connection))
    return job.tries >= job.max_attempts - 1 and since_ms >= ports.timing.job_timeout_s * 1000


def _wait_for_provider(connection: Connection, ports: Ports, job: Job, outcome: Rejected) -> None:
    unreachable = outcome.reason is RejectReason.UNREACHABLE
    pause_ms = _pause_ms(ports, job, outcome)
    back_to_queue(
        connection,
        job,
        pause_ms,
        reason=f"{job.provider}: {WAIT_REASONS[outcome.reason]}",
        detail=outcome.message,
        tries=job.tries + 1 if unreachable else job.tries,
    )
    gates.pause(connection, job.provider, for_ms=pause_ms, reason=outcome.message)


def _pause_ms(ports: Ports, job: Job, outcome: Rejected) -> int:
    match outcome.reason:
        case RejectReason.UNREACHABLE:
            return ports.backoff.pause_ms(job.tries + 1, ports.clock)
        case RejectReason.UNAUTHORIZED:
            return UNAUTHORIZED_PAUSE_MS
        case RejectReason.BUSY:
            return int((outcome.retry_after_s or BUSY_PAUSE_S) * 1000)
        case _:
            return int((outcome.retry_after_s or LIMITED_PAUSE_S) * 1000)


def back_to_queue(
    connection: Connection, job: Job, pause_ms: int, *, reason: str, detail: str = "", **changes: Any
) -> None:
    """Queue the job again, due after a pause, and say why."""
    retry_at = now_ms(connection) + pause_ms
    transition(
        connection,
        job.lease,
        JobState.QUEUED,
        run_at=retry_at,
        event=EventType.RETRYING,
        data={"reason": reason, "detail": detail, "retry_at": retry_at, "attempt": job.attempt},
        note=reason,
        progress=None,
        **changes,
    )
    if (
        cancel_wished(connection, job.id)
        and (lease := seize(connection, job.id, job.lease.owner)) is not None
    ):
        transition(connection, lease, JobState.CANCELED, event=EventType.CANCELED, note="")


# ---------------------------------------------------------------------------------------------- reconciling


def adopt(connection: Connection, job: Job, record: CallRecord, ref: str) -> calls.Acceptance:
    """Write that the call was taken, as one like it was found: an opinion, for it may be another call's by now."""
    demand_held(connection, job.lease)
    return calls.accept(connection, record.id, ref)


def ask_again(connection: Connection, ports: Ports, job: Job, record: CallRecord, message: str) -> None:
    """The provider could not be asked: ask later, for as long as the job may live."""
    if now_ms(connection) >= job.expires_at:
        unknown(connection, job, message)
        return
    pause_ms = ports.backoff.pause_ms(job.tries + 1, ports.clock)
    transition(
        connection, job.lease, JobState.RECONCILING, run_at=now_ms(connection) + pause_ms, tries=job.tries + 1
    )


def look_again(connection: Connection, job: Job, seconds: float) -> None:
    """The provider shows no such call yet: look a second time after the grace."""
    transition(connection, job.lease, JobState.RECONCILING, run_at=later(connection, seconds))


def absent(connection: Connection, ports: Ports, job: Job, record: CallRecord) -> None:
    """The call was never taken: nothing was bought, so that the job may be tried again."""
    calls.settle(connection, record.id, CallState.ABSENT, error=record.error)
    if cancel_wished(connection, job.id):
        cancel(connection, job)
        return
    _again_or_fail(
        connection, ports, job, "provider_error", record.error or "The provider never took the call"
    )


def park(connection: Connection, job: Job, record: CallRecord) -> None:
    """The provider can't be asked: wait for its webhook until it can't come any more, then say so."""
    if now_ms(connection) < record.deadline_at:
        transition(connection, job.lease, JobState.RECONCILING, run_at=record.deadline_at)
        return
    unknown(connection, job, record.error or "The provider's answer was lost")


def unknown(connection: Connection, job: Job, message: str) -> None:
    """End a job of which nobody can tell whether it was bought. It is not bought again."""
    call = calls.live(connection, job.id, lock=True)
    if call is not None and call.provider_ref is not None:  # a webhook told in the meantime
        look_again(connection, job, 0)
        return
    fail(
        connection,
        job,
        "outcome_unknown",
        f"{message}. Whether it was charged can't be known, so it was not sent again",
    )


# ---------------------------------------------------------------------------------------------- following


def conclude(
    connection: Connection, ports: Ports, job: Job, record: CallRecord, prediction: Prediction
) -> JobState:
    """Move on from a prediction that has ended; return the new state. The lease is kept for storing."""
    match prediction.status:
        case PredictionStatus.SUCCEEDED:
            return _succeed(connection, job, record, prediction)
        case PredictionStatus.CANCELED:
            return _stopped(connection, job, record)
        case _:
            return _failed(connection, ports, job, record, prediction)


def _succeed(connection: Connection, job: Job, record: CallRecord, prediction: Prediction) -> JobState:
    calls.settle(connection, record.id, CallState.SUCCEEDED, cost_micros=prediction.cost_micros)
    transition(
        connection,
        job.lease,
        JobState.STORING,
        keep_lease=True,
        event=EventType.STORING,
        data={"outputs": len(prediction.outputs)},
        tries=0,
        progress=1.0,
        note="Keeping the output",
    )
    return JobState.STORING


def _stopped(connection: Connection, job: Job, record: CallRecord) -> JobState:
    calls.settle(connection, record.id, CallState.CANCELED)
    if cancel_wished(connection, job.id):
        cancel(connection, job)
        return JobState.CANCELED
    if now_ms(connection) >= record.deadline_at:
        fail(
            connection, job, "timed_out", "The generation took longer than JOB_TIMEOUT allows and was stopped"
        )
    else:
        fail(connection, job, "canceled_by_provider", f"{job.provider} canceled the generation")
    return JobState.FAILED


def _failed(
    connection: Connection, ports: Ports, job: Job, record: CallRecord, prediction: Prediction
) -> JobState:
    code = prediction.error_code or "prediction_failed"
    message = prediction.error_message or f"{job.provider} could not make it and did not say why"
    calls.settle(connection, record.id, CallState.FAILED, error=message, cost_micros=prediction.cost_micros)
    if cancel_wished(connection, job.id):
        cancel(connection, job)
        return JobState.CANCELED
    if prediction.retryable:
        return _again_or_fail(connection, ports, job, code, message)
    fail(connection, job, code, message)
    return JobState.FAILED


def _again_or_fail(connection: Connection, ports: Ports, job: Job, code: str, message: str) -> JobState:
    if job.attempt >= job.max_attempts:
        fail(connection, job, code, message)
        return JobState.FAILED
    pause_ms = ports.backoff.pause_ms(job.attempt, ports.clock)
    back_to_queue(connection, job, pause_ms, reason=message, tries=0)
    return JobState.QUEUED


def look_after_s(ports: Ports, provider: Provider, record: CallRecord, elapsed_s: float) -> float:
    """Return the pause before the next look at a running call; where the provider rings, looks are for lost rings.

    Then they come when the time that has passed has doubled, so that a lost ring at most doubles the wait.
    """
    usual_s = provider.look_again_s(elapsed_s)
    if not provider.capabilities.rings or ports.webhook_url(provider.name, record.id) is None:
        return usual_s
    until_deadline_s = (record.deadline_at - record.created_at) / 1000 - elapsed_s
    seldom_s = min(_RUNG_MOST_S, max(_RUNG_LEAST_S, elapsed_s), max(0.0, until_deadline_s))
    return max(usual_s, seldom_s)


def still_running(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    prediction: Prediction,
) -> None:
    """Note the progress and set the next look; give a call up that does not stop long after its deadline."""
    now = now_ms(connection)
    if now > record.deadline_at + ports.timing.overdue_s * 1000:
        lost("timed_out", "The generation took longer than JOB_TIMEOUT allows and did not stop when told")(
            connection, job, record
        )
        return
    moved = prediction.progress is not None and prediction.progress != job.progress
    elapsed_s = (now - record.created_at) / 1000
    transition(
        connection,
        job.lease,
        JobState.WAITING,
        run_at=later(connection, look_after_s(ports, provider, record, elapsed_s)),
        event=EventType.PROGRESS if moved else None,
        data={"progress": prediction.progress},
        progress=prediction.progress if prediction.progress is not None else job.progress,
        tries=0,
        note=making(job),
    )


def look_failed(connection: Connection, ports: Ports, job: Job, record: CallRecord, message: str) -> None:
    """The provider could not be asked how it goes: ask later; what is paid for is not given up early."""
    if now_ms(connection) >= job.expires_at:
        lost("provider_unreachable", message)(connection, job, record)
        return
    pause_ms = ports.backoff.pause_ms(job.tries + 1, ports.clock)
    transition(
        connection,
        job.lease,
        JobState.WAITING,
        run_at=now_ms(connection) + pause_ms,
        tries=job.tries + 1,
        note=f"{job.provider} can't be asked now: {message}",
    )
