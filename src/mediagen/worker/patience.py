"""How a turn ends that ends nothing: when the job is looked at again, and when patience is over.

What is paid for is given up by time alone, and only after several looks: a single answer ends nothing.
"""

from typing import Any

from mediagen.db.engine import Connection, now_ms
from mediagen.errors import ProviderError, Unreadable
from mediagen.jobs import calls
from mediagen.jobs.model import CallRecord, EventType, Job
from mediagen.jobs.repository import transition
from mediagen.jobs.states import JobState
from mediagen.providers.base import Dedupe, Prediction, Provider
from mediagen.worker.endings import later, lost, making, unknown
from mediagen.worker.ports import Ports

_RUNG_LEAST_S, _RUNG_MOST_S = 5.0, 60.0
"""Pauses between looks at a call whose provider calls back when it has ended."""

_STOPPING_S = 1.0
"""Pause between looks at a call that was told to stop."""

_DOUBT_PAUSE_S = 60.0
"""The longest pause between looks for a call that can't be told from others, or is said to be gone."""

_UNKNOWN_LOOKS = 3
"""Looks before an outcome is unknown, however long it took to get to them."""


# ---------------------------------------------------------------------------------------------- reconciling


def ask_again(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    message: str,
    raw: str = "",
) -> None:
    """The provider could not be asked: ask later, for as long as an answer can still tell."""
    until = _told_until(provider, record)
    if raw:  # an answer that can't be read will hardly get better
        calls.note(connection, record.id, seen=raw)
        until = min(until, record.send_by + int(ports.timing.doubt_s * 1000))
    if job.tries >= _UNKNOWN_LOOKS and now_ms(connection) >= until:
        unknown(connection, provider, job, f"{record.error or 'The answer was lost'}; {message}")
        return
    pause_ms = min(ports.backoff.pause_ms(job.tries + 1, ports.clock), int(_DOUBT_PAUSE_S * 1000))
    transition(
        connection,
        job.lease,
        JobState.RECONCILING,
        run_at=now_ms(connection) + pause_ms,
        tries=job.tries + 1,
        note=f"The answer was lost, and {job.provider} can't be asked: {message}",
    )


def _told_until(provider: Provider, record: CallRecord) -> int:
    """Return until when the provider can tell what became of a lost call."""
    if provider.capabilities.dedupe is Dedupe.KEY:  # sent again and again: as long as one attempt may take
        return record.send_by + record.making_ms
    return record.send_by + int(provider.capabilities.retention_s * 1000)


def left_open(connection: Connection, ports: Ports, job: Job, record: CallRecord, seen: str) -> None:
    """Something at the provider may be the call: look again for a while, then say what was seen."""
    calls.note(connection, record.id, seen=seen)
    now = now_ms(connection)
    if job.tries >= _UNKNOWN_LOOKS and now >= record.send_by + ports.timing.doubt_s * 1000:
        provider = ports.providers.get(job.provider)
        assert provider is not None
        unknown(connection, provider, job, f"{record.error or 'The answer was lost'}; {seen}")
        return
    pause_s = min(_DOUBT_PAUSE_S, max(ports.timing.grace_s / 3, ports.timing.doubt_s / 10))
    transition(
        connection,
        job.lease,
        JobState.RECONCILING,
        run_at=later(connection, pause_s),
        tries=job.tries + 1,
        note=f"The answer was lost; {job.provider} shows what may be it: {seen}",
    )


def park(connection: Connection, provider: Provider, job: Job, record: CallRecord) -> None:
    """The provider can't be asked: wait for its callback until it can't come any more, then say so."""
    if now_ms(connection) < record.deadline_at:
        transition(connection, job.lease, JobState.RECONCILING, run_at=record.deadline_at)
        return
    unknown(connection, provider, job, record.error or "The provider's answer was lost")


# ---------------------------------------------------------------------------------------------- following


def look_after_s(ports: Ports, provider: Provider, record: CallRecord, elapsed_s: float) -> float:
    """Return the pause before the next look at a running call; where the provider calls back, looks are a net.

    Then they come when the time that has passed has doubled, so that a lost callback at most doubles the wait.
    """
    usual_s = provider.look_again_s(elapsed_s)
    if not (provider.capabilities.rings and record.marked and ports.marks.heard):
        return usual_s
    until_deadline_s = (record.deadline_at - record.created_at) / 1000 - elapsed_s
    seldom_s = min(_RUNG_MOST_S, max(_RUNG_LEAST_S, elapsed_s), max(0.0, until_deadline_s))
    return max(usual_s, seldom_s)


def deadline(connection: Connection, ports: Ports, record: CallRecord, prediction: Prediction) -> int:
    """Return until when the making may take: counted from its start, which the provider may have put off."""
    if not prediction.begun:
        return record.send_by + record.making_ms + int(ports.timing.queue_s * 1000)
    if prediction.queued_ms is None:
        return record.deadline_at
    # Times that are shown can be odd: it has not waited longer than it is there, nor longer than it may.
    most_ms = min(now_ms(connection) - record.created_at, int(ports.timing.queue_s * 1000))
    queued_ms = min(prediction.queued_ms, max(0, most_ms))
    return max(record.deadline_at, record.created_at + queued_ms + record.making_ms)


def still_running(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    prediction: Prediction,
    *,
    ahead_ms: int = 0,
) -> None:
    """Note the progress and set the next look; give a call up that does not end long after its deadline.

    `ahead_ms` is how far our clock was set ahead since the call.
    """
    now, until = now_ms(connection) - ahead_ms, deadline(connection, ports, record, prediction)
    if now > until + provider.capabilities.retention_s * 1000:
        message = (
            "The generation took longer than its timeout allows, and did not stop when told. It is charged"
        )
        lost("timed_out", message)(connection, job, record)
        return
    _note_start(connection, record, prediction, until)
    moved = prediction.progress is not None and prediction.progress != job.progress
    elapsed_s = (now - record.created_at) / 1000
    stopping = job.cancel_requested_at is not None or now > until
    pause_s = look_after_s(ports, provider, record, elapsed_s)
    if stopping:
        pause_s = min(_DOUBT_PAUSE_S, max(_STOPPING_S, (now - until) / 10_000))
    transition(
        connection,
        job.lease,
        JobState.WAITING,
        run_at=later(connection, pause_s),
        event=EventType.PROGRESS if moved else None,
        data={"progress": prediction.progress},
        progress=prediction.progress if prediction.progress is not None else job.progress,
        tries=0,
        note=f"{job.provider} was told to stop" if stopping else making(job),
    )


def _note_start(connection: Connection, record: CallRecord, prediction: Prediction, until: int) -> None:
    seen: dict[str, Any] = {}
    if not prediction.begun:  # its start may not be dated: then it is at this look, as far as is known
        seen["deadline_at"] = max(record.deadline_at, now_ms(connection) + record.making_ms)
    elif prediction.queued_ms is not None and until != record.deadline_at:
        seen |= {"deadline_at": until, "begun_at": until - record.making_ms}
    if record.missing_since is not None:
        seen["missing_since"] = None
    if seen:
        calls.note(connection, record.id, **seen)


def look_failed(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    error: ProviderError,
) -> None:
    """The provider could not be asked how it goes: ask later; what is paid for is not given up early."""
    if isinstance(error, Unreadable):
        calls.note(connection, record.id, seen=error.raw)
    if job.tries >= _UNKNOWN_LOOKS and now_ms(connection) >= _had_until(ports, provider, record):
        lost("provider_unreachable", f"It was bought, and then: {error}")(connection, job, record)
        return
    why = "gives answers that can't be read" if isinstance(error, Unreadable) else "can't be asked now"
    _look_later(connection, ports, job, f"{job.provider} {why}: {error}")


def _had_until(ports: Ports, provider: Provider, record: CallRecord) -> int:
    """Return until when outputs can be had, at the latest."""
    return record.deadline_at + int((ports.timing.queue_s + provider.capabilities.retention_s) * 1000)


def missing(
    connection: Connection, ports: Ports, provider: Provider, job: Job, record: CallRecord, message: str
) -> None:
    """The provider denies that the prediction exists: look again, as its answers may lag behind."""
    now, since = now_ms(connection), record.missing_since
    if job.tries >= _UNKNOWN_LOOKS and now >= _had_until(ports, provider, record):
        lost("prediction_gone", message)(connection, job, record)
        return
    if since is None or now >= since + ports.timing.gone_s * 1000:  # its list has it: begin anew
        calls.note(connection, record.id, missing_since=now)
    _look_later(connection, ports, job, f"{job.provider} says that it has no such prediction: {message}")


def _look_later(connection: Connection, ports: Ports, job: Job, note: str) -> None:
    pause_ms = ports.backoff.pause_ms(job.tries + 1, ports.clock)
    if job.cancel_requested_at is not None:
        pause_ms = min(pause_ms, int(_STOPPING_S * 1000))
    transition(
        connection,
        job.lease,
        JobState.WAITING,
        run_at=now_ms(connection) + min(pause_ms, int(_DOUBT_PAUSE_S * 1000)),
        tries=job.tries + 1,
        note=note,
    )
