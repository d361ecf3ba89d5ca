"""How steps end: each function is one fenced transaction that moves the job on, or ends it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mediagen.db.engine import Connection, now_ms
from mediagen.jobs import calls, pauses, spending
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import cancel_wished, seize, transition
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
"""Between probes, until somebody gives it a token, credit or rights."""

BUSY_PAUSE_S = 1.0
LIMITED_PAUSE_S = 5.0
"""Pause after a 429 that does not say how long."""

KEEPING_PARTS = "It did not succeed; keeping what it had made"
OUTCOME_UNKNOWN = "Whether it was charged can't be known, so it was not sent again"
MAY_BE_CHARGED = "Canceled. The provider had it already: it may be charged"

ENDS = {
    PredictionStatus.SUCCEEDED: CallState.SUCCEEDED,
    PredictionStatus.FAILED: CallState.FAILED,
    PredictionStatus.CANCELED: CallState.CANCELED,
}

WAIT_REASONS = {
    RejectReason.RATE_LIMITED: "limits how fast jobs may be sent",
    RejectReason.BUSY: "is busy",
    RejectReason.UNAUTHORIZED: "refuses the token or has no credit left",
    RejectReason.FORBIDDEN: "does not let this token use the model",
    RejectReason.UNREACHABLE: "is unreachable",
}

_MOST_SAID = 300  # characters of what a provider said, in a message


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


def cancel(connection: Connection, job: Job, **changes: Any) -> None:
    """End the job as canceled."""
    transition(connection, job.lease, JobState.CANCELED, event=EventType.CANCELED, **{"note": "", **changes})


def fail(connection: Connection, job: Job, code: str, message: str, **changes: Any) -> None:
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
        **changes,
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
        case RejectReason.MARKER if record.marked:
            calls.note(connection, record.id, seen=calls.MARKER_REFUSED)
            back_to_queue(connection, job, 0, reason=f"{job.provider} takes no address to call back")
        case RejectReason.INVALID | RejectReason.MARKER:
            fail(connection, job, "rejected", outcome.message)
        case RejectReason.MODERATION:
            fail(connection, job, "moderation", outcome.message)
        case RejectReason.UNREACHABLE if _tried_long_enough(connection, job, record):
            fail(connection, job, "provider_unreachable", outcome.message)
        case _:
            _wait_for_provider(connection, ports, job, outcome)


def _tried_long_enough(connection: Connection, job: Job, record: CallRecord) -> bool:
    """An unreachable provider costs nothing: it is tried as often and as long as a paid attempt may be."""
    since_ms = now_ms(connection) - (job.started_at or now_ms(connection))
    return job.tries >= job.max_attempts - 1 and since_ms >= record.making_ms


def _wait_for_provider(connection: Connection, ports: Ports, job: Job, outcome: Rejected) -> None:
    unreachable = outcome.reason is RejectReason.UNREACHABLE
    whole = outcome.reason is RejectReason.UNAUTHORIZED
    pause_ms = min(_pause_ms(ports, job, outcome), pauses.MOST_MS)
    reason = f"{job.provider} {WAIT_REASONS[outcome.reason]}: {outcome.message[:_MOST_SAID]}"
    back_to_queue(
        connection,
        job,
        pause_ms,
        reason=reason,
        detail=outcome.message,
        tries=job.tries + 1 if unreachable else job.tries,
    )
    pauses.begin(
        connection,
        job.provider,
        pauses.EVERY_MODEL if whole else job.model,
        for_ms=pause_ms,
        reason=reason,
        job_id=job.id,
    )


def _pause_ms(ports: Ports, job: Job, outcome: Rejected) -> int:
    match outcome.reason:
        case RejectReason.UNREACHABLE:
            return ports.backoff.pause_ms(job.tries + 1, ports.clock)
        case RejectReason.UNAUTHORIZED | RejectReason.FORBIDDEN:
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


def unknown(connection: Connection, provider: Provider, job: Job, message: str) -> None:
    """End a job of which nobody can tell whether it was bought. It is not bought again."""
    call = calls.live(connection, job.id, lock=True)
    if call is not None and call.provider_ref is not None:  # a callback told in the meantime
        look_again(connection, job, 0)
        return
    spending.leave_open(connection, job.id)
    if provider.capabilities.billed:
        fail(connection, job, "outcome_unknown", f"{message}. {OUTCOME_UNKNOWN}")
    else:
        fail(connection, job, "provider_unreachable", f"{message}. It was not sent again")


# ---------------------------------------------------------------------------------------------- following


def conclude(
    connection: Connection, ports: Ports, job: Job, record: CallRecord, prediction: Prediction
) -> JobState:
    """Move on from a prediction that has ended; return the new state. The lease is kept for storing."""
    match prediction.status:
        case PredictionStatus.SUCCEEDED:
            return _succeed(connection, job, record, prediction)
        case PredictionStatus.CANCELED:
            return _stopped(connection, job, record, prediction)
        case _:
            return _failed(connection, ports, job, record, prediction)


def _succeed(connection: Connection, job: Job, record: CallRecord, prediction: Prediction) -> JobState:
    calls.settle(connection, record.id, CallState.SUCCEEDED, cost_micros=prediction.cost_micros)
    return _to_storing(connection, job, prediction, note="Keeping the output", progress=1.0)


def _to_storing(
    connection: Connection, job: Job, prediction: Prediction, *, note: str, **changes: Any
) -> JobState:
    transition(
        connection,
        job.lease,
        JobState.STORING,
        keep_lease=True,
        event=EventType.STORING,
        data={"outputs": len(prediction.outputs)},
        tries=0,
        note=note,
        output_count=len(prediction.outputs),  # of those to be kept; at the end of those that are
        output=prediction.document,
        **changes,
    )
    return JobState.STORING


def _stopped(connection: Connection, job: Job, record: CallRecord, prediction: Prediction) -> JobState:
    calls.settle(connection, record.id, CallState.CANCELED, cost_micros=prediction.cost_micros)
    if cancel_wished(connection, job.id):
        return _end_canceled(connection, job, prediction)
    if now_ms(connection) >= record.deadline_at:
        code, message = "timed_out", "The generation took longer than its timeout allows and was stopped"
    else:
        code, message = "canceled_by_provider", f"{job.provider} canceled the generation"
    return _end_badly(connection, job, prediction, code, message)


def _end_canceled(connection: Connection, job: Job, prediction: Prediction) -> JobState:
    """Cancel the job, as was asked; outputs that were made before the end are kept first."""
    if prediction.outputs:
        return _to_storing(connection, job, prediction, note=KEEPING_PARTS)
    cancel(connection, job, note=MAY_BE_CHARGED)
    return JobState.CANCELED


def _end_badly(connection: Connection, job: Job, prediction: Prediction, code: str, message: str) -> JobState:
    """Fail the job; outputs that were made before the end are paid for and kept first."""
    if prediction.outputs:
        known = {"error_code": code, "error_message": message}
        return _to_storing(connection, job, prediction, note=KEEPING_PARTS, **known)
    fail(connection, job, code, message)
    return JobState.FAILED


def _failed(
    connection: Connection, ports: Ports, job: Job, record: CallRecord, prediction: Prediction
) -> JobState:
    code = prediction.error_code or "prediction_failed"
    message = prediction.error_message or f"{job.provider} could not make it and did not say why"
    calls.settle(connection, record.id, CallState.FAILED, error=message, cost_micros=prediction.cost_micros)
    if cancel_wished(connection, job.id):
        return _end_canceled(connection, job, prediction)
    late = calls.earlier(connection, job.id).late
    if late is not None or (prediction.retryable and job.attempt < job.max_attempts):
        return _again_or_fail(connection, ports, job, code, message, for_good=not prediction.retryable)
    return _end_badly(connection, job, prediction, code, message)


def _again_or_fail(
    connection: Connection, ports: Ports, job: Job, code: str, message: str, *, for_good: bool = False
) -> JobState:
    """Try the job again if it may be. What failed for good is not bought again, whatever becomes of what came late."""
    if calls.earlier(connection, job.id).late is not None:  # it goes on with what was bought for it before
        most = job.attempt if for_good else job.max_attempts
        back_to_queue(connection, job, 0, reason=message, tries=0, max_attempts=most)
        return JobState.QUEUED
    if job.attempt >= job.max_attempts:
        fail(connection, job, code, message)
        return JobState.FAILED
    pause_ms = ports.backoff.pause_ms(job.attempt, ports.clock)
    back_to_queue(connection, job, pause_ms, reason=message, tries=0)
    return JobState.QUEUED
