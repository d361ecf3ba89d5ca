"""What all steps share: how a job goes on at once, and how a step finds its provider and its call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mediagen.db.engine import Connection
from mediagen.errors import LeaseLost
from mediagen.jobs import calls
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.repository import demand_held
from mediagen.providers.base import Call, Prediction, Provider
from mediagen.providers.markers import Marker
from mediagen.worker.ports import Ports


@dataclass(frozen=True, kw_only=True)
class Next:
    """The job goes on at once under the same lease; `prediction` spares asking for it again."""

    job: Job
    prediction: Prediction | None = None


Step = Callable[[Ports, Job, Prediction | None], Awaitable[Next | None]]


def provider_of(ports: Ports, job: Job) -> Provider:
    """Return the job's provider."""
    provider = ports.providers.get(job.provider)
    if provider is None:  # claim() leaves such jobs alone
        raise LeaseLost(f"The provider {job.provider!r} is not configured here")
    return provider


def call_of(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> Call:
    """Return the ledger's call as the provider sees it."""
    return call_for(ports, record, provider.input_of(job.prompt, job.parameters))


def call_for(ports: Ports, record: CallRecord, given: dict[str, object]) -> Call:
    """Return the ledger's call with the input that was sent, or nothing of it where its job is gone."""
    marker = Marker(installation=ports.marks.installation, job=record.job_id, call=record.id)
    return Call(
        id=record.id,
        model=record.model,
        input=given,
        created_at_ms=record.created_at,
        timeout_s=record.making_ms / 1000,
        ref=record.provider_ref,
        webhook_url=ports.marks.carried_by(record, marker),
        marker=None if record.by_hand else marker,
        asked_at_ms=record.asked_at,
    )


def live_call(connection: Connection, job: Job, *, lock: bool = False) -> CallRecord:
    """Return the job's live call. Raises `LeaseLost` when there is none any more, or the lease is lost."""
    record = calls.live(connection, job.id, lock=lock)
    if not lock:  # it may be sent then, and whoever slept finds one that is another's to send
        demand_held(connection, job.lease)
    if record is None:
        raise LeaseLost(f"Job {job.id} has no live call any more")
    return record
