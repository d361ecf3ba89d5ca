"""The data of a job, as plain frozen values. Times are milliseconds since 1970 UTC by the database's clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from mediagen.jobs.states import STATUS_OF, TERMINAL, CallState, JobState, JobStatus

OWNER = "local"
"""Who owns a job as long as there are no API keys."""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a client asks for, checked and complete, whatever dialect it came in."""

    prompt: str
    model: str
    provider: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    priority: int = 0  # higher runs first
    timeout_ms: int | None = None  # of one attempt; None takes what the model needs
    owner: str = OWNER
    retry_of: str | None = None  # the finished job that this one repeats
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to act on one job until it runs out; every write of a worker carries it."""

    job_id: str
    owner: str
    epoch: int  # +1 with every claim, never reused: it fences late writers off


@dataclass(frozen=True, kw_only=True)
class Job:
    """One request to generate, durable, one id for life."""

    id: str
    owner: str
    state: JobState
    provider: str
    model: str
    prompt: str
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    webhook_url: str | None
    priority: int
    retry_of: str | None
    secret: str  # 128 random bits; the keys of its artifacts are made from it
    run_at: int  # not claimed before
    attempt: int  # calls that may have been charged, at most max_attempts
    max_attempts: int
    tries: int  # failures in a row of the present state's step; sets the pause before the next try
    claims: int  # claims since the last durable progress; many mean that the job kills its workers
    lease_epoch: int
    lease_owner: str | None
    lease_until: int | None
    cancel_requested_at: int | None
    expires_at: int  # given up then, if it still waits
    progress: float | None  # 0..1; None when unknown
    note: str  # what happens now, in words
    output_count: int  # outputs that are kept; while they are being stored, those that there are
    error_code: str | None
    error_message: str | None
    created_at: int
    started_at: int | None  # when the first call was intended
    updated_at: int
    finished_at: int | None
    timeout_ms: int | None = None  # that one attempt may take, as asked for; None takes what the model needs
    output: str | None = None  # the provider's whole output as JSON, where it holds more than addresses
    listed: Mapping[str, Any] | None = None  # what lists show of large fields (`brief`); None: nothing is cut

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return a job with a value for every field, at a fifth of the cost.

        The constructor of a frozen value sets its fields one by one: 7 us, as much as reading a request.
        """
        job = object.__new__(cls)
        job.__dict__.update(values)
        return job

    @property
    def status(self) -> JobStatus:
        return STATUS_OF[self.state]

    @property
    def finished(self) -> bool:
        return self.state in TERMINAL

    @property
    def retry_count(self) -> int:
        """Attempts after the first one."""
        return max(0, self.attempt - 1)

    @property
    def lease(self) -> Lease:
        """The lease of the worker that just claimed this row."""
        assert self.lease_owner is not None
        return Lease(job_id=self.id, owner=self.lease_owner, epoch=self.lease_epoch)


@dataclass(frozen=True, kw_only=True)
class CallRecord:
    """One row of the ledger: a paid create, from the intent on."""

    id: str
    job_id: str
    seq: int  # 1 for the job's first call
    provider: str
    model: str
    state: CallState
    provider_ref: str | None  # the provider's own id, write-once
    created_at: int  # when the intent was committed
    send_by: int  # nothing is sent after this
    deadline_at: int  # the generation must have ended by then, unless the provider was late to start it
    finished_at: int | None
    cost_micros: int | None  # millionths of a US dollar; None when unknown
    error: str | None
    marked: bool = False  # whether the create carries what makes it known again in the provider's list
    asked_at: int | None = None  # when the intent was committed, by the provider's clock; None when unknown
    timeout_ms: int | None = None  # that the making may take; None in calls of before it was noted
    begun_at: int | None = None  # when the provider started it; None while it has not, or is silent on it
    missing_since: int | None = None  # the provider has answered since then that there is no such prediction
    seen: str | None = None  # what was seen of it and left its outcome open, in words
    due_at: int | None = (
        None  # its job has ended or moved on without it: looked at then, to settle the ledger
    )
    settled_at: int | None = None  # when somebody settled it by hand

    @property
    def making_ms(self) -> int:
        """Return how long the making may take."""
        return self.deadline_at - self.send_by if self.timeout_ms is None else self.timeout_ms

    @property
    def may_be_charged(self) -> bool:
        """Whether nobody knows if the provider took it."""
        return self.state in (CallState.INTENT, CallState.UNKNOWN) and self.settled_at is None

    @property
    def by_hand(self) -> bool:
        """Whether somebody said that it was bought: it was neither sent for this job nor found by its marker."""
        return not self.marked and self.send_by == self.created_at


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """One recorded fact of a job's life. `id` rises over all jobs."""

    id: int
    job_id: str
    type: str
    at: int
    data: Mapping[str, Any]


class EventType(StrEnum):
    """What can happen to a job; the names that SSE readers and webhooks see."""

    CREATED = "created"
    SUBMITTED = "submitted"  # the intent is committed, the create is being sent
    ACCEPTED = "accepted"  # the provider took it
    PROGRESS = "progress"
    RETRYING = "retrying"  # something failed; tried again at `retry_at` because of `reason`
    RECONCILING = "reconciling"  # an answer was lost; asking the provider
    STORING = "storing"
    CANCEL_REQUESTED = "cancel_requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    DELETED = "deleted"
