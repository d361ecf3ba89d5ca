"""Settling by hand what nobody could find out: whether a call whose answer was lost was bought."""

from dataclasses import dataclass

from mediagen.db.engine import Connection, now_ms
from mediagen.errors import Conflict, NotFound, ProviderError
from mediagen.jobs import calls, repository
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.repository import NewJob
from mediagen.jobs.states import CallState
from mediagen.providers.base import Call, Provider

ABSENT_BY_HAND = "Declared absent by hand: it was not bought"


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """A prediction that turned out to be the call's, and the job that is to keep its output."""

    ref: str
    new_job: NewJob
    call_id: str


def declare_absent(connection: Connection, job_id: str) -> None:
    """Write that the job's lost call was never taken. Raises `NotFound` and `Conflict`."""
    call = lost_call(connection, job_id)
    calls.settle(connection, call.id, CallState.ABSENT, error=ABSENT_BY_HAND)
    calls.note(connection, call.id, settled_at=now_ms(connection))


def adopt(connection: Connection, job_id: str, adoption: Adoption) -> Job:
    """Let a new job keep the output of the prediction that the job's lost call had bought; nothing is bought.

    A finished job never changes, so that a new one takes its place. Raises `NotFound` and `Conflict`.
    """
    call = lost_call(connection, job_id)
    if calls.known_refs(connection, call.provider, [adoption.ref]):
        raise Conflict(f"The prediction {adoption.ref!r} is another call's already")
    [job] = repository.insert_many(connection, [adoption.new_job])
    why = f"Adopted by hand for job {job_id}"
    known = calls.recover(connection, job, adoption.call_id, adoption.ref, why=why, marked=False)
    if not known:  # then the job would buy
        raise Conflict(f"The prediction {adoption.ref!r} has just become another call's")
    said = f"Adopted by hand: it is {adoption.ref}, kept by job {job.id}"
    calls.note(connection, call.id, settled_at=now_ms(connection), due_at=None, seen=said)
    return job


def lost_call(connection: Connection, job_id: str) -> CallRecord:
    """Return the job's call that nobody knows the outcome of. Raises `NotFound` and `Conflict`."""
    known = calls.history(connection, [job_id]).get(job_id)
    job = repository.get(connection, job_id)
    if job is None and not known:
        raise NotFound("Job not found")
    if job is not None and not job.finished:
        raise Conflict(f"The job is {job.status}: it is still being found out whether its call was taken")
    lost = [call for call in known or () if call.state is CallState.UNKNOWN and call.settled_at is None]
    if not lost:
        raise Conflict("No call of this job is unknown: there is nothing to settle")
    return lost[-1]


async def demand_its(provider: Provider | None, job: Job, lost: CallRecord, ref: str) -> None:
    """Raise `Conflict` unless the provider shows that `ref` may be the lost call: a slip would lose its output."""
    if provider is None:
        raise Conflict(f"The provider {job.provider!r} is not configured here")
    call = Call(
        id=lost.id,
        model=job.model,
        input=provider.input_of(job.prompt, job.parameters),
        created_at_ms=lost.created_at,
        timeout_s=0.0,
        ref=ref,
    )
    try:
        against = await provider.against(call)
    except ProviderError as error:
        raise Conflict(f"{provider.name} does not show {ref!r}: {error}") from error
    if against:
        raise Conflict(f"{ref!r} is not what this job asked for: {against}")
