"""The use cases of jobs, whatever dialect asks: the one door to jobs. Each method is one transaction."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mediagen.brokers.base import Broker
from mediagen.clock import Clock
from mediagen.db.batch import Batcher
from mediagen.db.engine import Connection, Database
from mediagen.errors import Conflict, KeyReused, NotFound, StorageFull
from mediagen.jobs import events, hour, lookup, repository, settling, stats, wishes
from mediagen.jobs.brief import MOST_BYTES, brief, size_of
from mediagen.jobs.feed import Feed
from mediagen.jobs.hour import Hour
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.lookup import JobDetail, JobView
from mediagen.jobs.model import OWNER, EventType, Job, JobEvent, JobRequest
from mediagen.jobs.repository import NewJob, StoredKey
from mediagen.jobs.settling import Adoption
from mediagen.jobs.states import TERMINAL, JobState
from mediagen.jobs.stats import Stats
from mediagen.jobs.validation import InputChecker, check_storable, check_webhook
from mediagen.kept import Kept
from mediagen.providers import Registry
from mediagen.settings import Settings
from mediagen.storages.base import Storage

_BATCH = 256  # submits, or looks, that share one statement at most
_BATCH_BYTES = 4 * 1024**2  # of submits that share one transaction
# Checked for every dialect, also for one that reads its requests in a way of its own.
_ASKED = ("prompt", "model", "parameters", "metadata", "webhook_url", "idempotency_key")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A wish to generate as a dialect read it from the wire; types and sizes are checked there."""

    prompt: str
    model: str | None = None  # None takes the default
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    priority: int = 0
    timeout_s: float | None = None  # of the making; None takes what the model needs
    idempotency_key: str | None = None
    owner: str = OWNER


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job that is durably accepted; `replayed` when the idempotency key named it already."""

    job: Job
    replayed: bool


class JobService:
    """Submit, look at, cancel, retry and delete jobs."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        providers: Registry,
        broker: Broker,
        feed: Feed,
        settings: Settings,
        storage: Storage,
    ) -> None:
        self._db = db
        self._clock = clock
        self._providers = providers
        self._broker = broker
        self._feed = feed
        self._settings = settings
        self._storage = storage
        self._inputs = InputChecker()
        self._accepts = Batcher[NewJob, Submitted](
            self._accept, _BATCH, size=lambda new: new.size_bytes, most_bytes=_BATCH_BYTES
        )
        names = [provider.name for provider in providers]
        self._stats = Kept(lambda: db.read(lambda c: stats.collect(c, OWNER)), clock)
        self._hour = Kept(lambda: db.read(lambda c: hour.collect(c, OWNER, names)), clock)
        self._looks = Batcher[str, JobView](self._look, _BATCH)

    # ------------------------------------------------------------------------------------------ submit

    async def submit(self, submission: Submission) -> Submitted:
        """Accept a job; when this returns it is durable and will come to an end.

        The same idempotency key with the same request returns the first job; with another request it raises
        `KeyReused`. Raises `InvalidRequest` kinds for what no provider would take.
        """
        new = self._new_job(self._request_of(submission))
        try:
            await self._storage.demand_room()
        except StorageFull:
            if (known := await self._replayed(new)) is not None:
                return known
            raise
        submitted = await self._accepts.add(new)
        self._broker.ring(submitted.job.id)
        return submitted

    async def _replayed(self, new: NewJob) -> Submitted | None:
        """Return the job that the idempotency key named before, None when it is new. Raises as `submit` does."""
        if new.request.idempotency_key is None:
            return None
        found = await self._db.read(lambda connection: replayed(connection, new))
        if isinstance(found, Exception):
            raise found
        return found

    def _request_of(self, submission: Submission) -> JobRequest:
        check_storable({name: getattr(submission, name) for name in _ASKED})
        if submission.webhook_url is not None:
            check_webhook(submission.webhook_url, allow_private=self._settings.webhook_allow_private)
        model = submission.model or self._providers.default_model
        provider = self._providers.of_model(model)
        schema = provider.schema_of(model)
        if schema is not None:
            self._inputs.check(model, schema, provider.input_of(submission.prompt, submission.parameters))
        return JobRequest(
            prompt=submission.prompt,
            model=model,
            provider=provider.name,
            parameters=submission.parameters,
            metadata=submission.metadata,
            webhook_url=submission.webhook_url,
            priority=submission.priority,
            timeout_ms=None if submission.timeout_s is None else int(submission.timeout_s * 1000),
            owner=submission.owner,
            idempotency_key=submission.idempotency_key,
        )

    def _new_job(self, request: JobRequest) -> NewJob:
        fields = {"parameters": request.parameters, "metadata": request.metadata}
        size_bytes = sum(map(size_of, fields.values()))
        return NewJob(
            id=self._clock.new_id(),
            secret=self._clock.new_secret(),
            request=request,
            request_hash=_hash(request) if request.idempotency_key is not None else "",
            max_attempts=self._settings.max_retries + 1,
            expiry_ms=int(self._settings.job_expiry * 1000),
            size_bytes=len(request.prompt) + size_bytes,
            listed=brief(fields) if size_bytes > MOST_BYTES else None,
        )

    async def _accept(self, new_jobs: Sequence[NewJob]) -> Sequence[Submitted | Exception]:
        return await self._db.transact(lambda connection: accept(connection, new_jobs))

    # ------------------------------------------------------------------------------------------ look

    async def get(self, job_id: str) -> JobView:
        """Return a job. Raises `NotFound`."""
        return await self._looks.add(job_id)

    async def _look(self, job_ids: Sequence[str]) -> Sequence[JobView | Exception]:
        found = await self._db.read(lambda connection: lookup.views(connection, job_ids))
        return [found.get(job_id) or NotFound(lookup.UNKNOWN) for job_id in job_ids]

    async def detail(self, job_id: str) -> JobDetail:
        """Return a job with its timeline and calls. Raises `NotFound`."""

        return await self._db.read(lambda connection: lookup.detail(connection, job_id))

    async def page(self, where: JobFilter, *, before: str | None = None, limit: int = 20) -> list[JobView]:
        """Return up to `limit` jobs, newest first, with ids below `before`."""

        return await self._db.read(lambda connection: lookup.page(connection, where, before, limit))

    async def stats(self) -> Stats:
        """Return the numbers of this moment; where counting takes long, of one not long ago."""
        return await self._stats.get()

    async def hour(self) -> Hour:
        """Return what the last hour brought, minute by minute; as old as `stats` may be."""
        return await self._hour.get()

    async def typical_ms(self, owner: str = OWNER) -> Mapping[str, int]:
        """Return by model how long its last jobs took, from the first call to the end."""
        return await self._db.read(lambda connection: stats.typical_ms(connection, owner))

    def follow(self, *, job_id: str | None = None, after: int | None = None) -> AsyncIterator[JobEvent]:
        """Yield events as they happen, of one job or of all, those after the id `after` first."""
        return self._feed.follow(after=after, job_id=job_id)

    async def newest_event_id(self) -> int:
        """Return the id of the newest event, 0 when there is none."""
        return await self._db.read(events.last_id)

    async def wait(self, job_id: str) -> JobView:
        """Return the job once it has finished. Raises `NotFound`."""
        events_of_job = self.follow(job_id=job_id, after=0)
        try:
            async for event in events_of_job:
                if event.type in TERMINAL or event.type == EventType.DELETED:
                    break
        finally:
            await events_of_job.aclose()  # type: ignore[attr-defined]  # it is a generator
        return await self.get(job_id)

    # ------------------------------------------------------------------------------------------ change

    async def cancel(self, job_id: str) -> JobView:
        """Ask for the job to be stopped; what the provider has finished by then is still kept.

        Idempotent while the job is at work or canceled. Raises `NotFound`, and `Conflict` for a job that ended.
        """

        def change(connection: Connection) -> JobView:
            job = lookup.existing(connection, job_id)
            if job.finished and job.state is not JobState.CANCELED:
                raise Conflict(f"The job is {job.status} already and can't be canceled")
            wishes.request_cancel(connection, job)
            return lookup.view(connection, job_id)

        view = await self._db.transact(change)
        self._broker.ring(job_id)
        return view

    async def retry(self, job_id: str, *, idempotency_key: str | None = None) -> Submitted:
        """Submit the same request again as a new job; finished jobs are immutable.

        The same idempotency key gives the same new job; without one, so does every retry of this job. Raises
        `NotFound`, `KeyReused`, and `Conflict` unless the job failed or was canceled.
        """
        detail = await self.detail(job_id)
        job = detail.job
        if job.state not in (JobState.FAILED, JobState.CANCELED):
            raise Conflict(f"The job is {job.status}; only a failed or canceled one can be tried again")
        if job.error_code == "outcome_unknown" and any(call.may_be_charged for call in detail.calls):
            raise Conflict(
                "The job may have been charged. Settle it first: `mediagen jobs settle` keeps what was made, or says "
                "that nothing was bought"
            )
        key = idempotency_key or f"retry of {job.id}"
        request = _again(job, self._providers.of_model(job.model).name, key)
        submitted = await self._accepts.add(self._new_job(request))
        self._broker.ring(submitted.job.id)
        return submitted

    async def declare_absent(self, job_id: str) -> JobView:
        """Settle by hand that the job's lost call was never taken; the audit names it no more.

        Raises `NotFound`, and `Conflict` when the job has no such call.
        """

        def change(connection: Connection) -> JobView:
            settling.declare_absent(connection, job_id)
            return lookup.view(connection, job_id)

        return await self._db.transact(change)

    async def adopt(self, job_id: str, ref: str) -> Submitted:
        """Settle by hand that the job's lost call is the prediction `ref`: a new job keeps its output.

        Nothing is bought. Raises `NotFound`, and `Conflict` when the job has no such call, another has `ref`, or
        its provider does not show it.
        """
        job = (await self.get(job_id)).job
        # At its last attempt from the beginning: whatever becomes of the prediction, it buys nothing.
        new = replace(self._new_job(_again(job, job.provider, None)), max_attempts=1)
        adoption = Adoption(ref=ref, new_job=new, call_id=self._clock.new_id())
        lost = await self._db.read(lambda c: settling.lost_call(c, job_id))
        await settling.demand_its(self._providers.get(job.provider), job, lost, ref)
        adopted = await self._db.transact(lambda c: settling.adopt(c, job_id, adoption))
        self._broker.ring(adopted.id)
        return Submitted(job=adopted, replayed=False)

    async def delete(self, job_id: str) -> None:
        """Remove a finished job and its files for good. Raises `NotFound`, or `Conflict` while it is at work."""

        def change(connection: Connection) -> None:
            job = lookup.existing(connection, job_id)
            if not wishes.delete_finished(connection, job_id):
                raise Conflict(f"The job is {job.status}; cancel it before deleting it")

        await self._db.transact(change)
        self._broker.ring(job_id)


def _again(job: Job, provider: str, idempotency_key: str | None) -> JobRequest:
    """Return the job's own request, as one that repeats it."""
    return JobRequest(
        prompt=job.prompt,
        model=job.model,
        provider=provider,
        parameters=job.parameters,
        metadata=job.metadata,
        webhook_url=job.webhook_url,
        priority=job.priority,
        timeout_ms=job.timeout_ms,
        owner=job.owner,
        retry_of=job.id,
        idempotency_key=idempotency_key,
    )


def accept(connection: Connection, new_jobs: Sequence[NewJob]) -> list[Submitted | Exception]:
    """Insert jobs whose idempotency key is new; answer the others with the job of the first request."""
    known: dict[tuple[str, str], StoredKey] = {}
    for owner in {new.request.owner for new in new_jobs}:
        keys = [new.request.idempotency_key for new in new_jobs if new.request.owner == owner]
        stored = repository.keys_of(connection, owner, [key for key in keys if key is not None])
        known |= {(owner, key): value for key, value in stored.items()}
    fresh: list[NewJob] = []
    for new in new_jobs:
        key = _key(new)
        if key is None or key not in known:
            fresh.append(new)
        if key is not None:
            known.setdefault(key, StoredKey(request_hash=new.request_hash, job_id=new.id))
    inserted = {job.id: job for job in (repository.insert_many(connection, fresh) if fresh else [])}
    return [_answer(connection, new, known, inserted) for new in new_jobs]


def replayed(connection: Connection, new: NewJob) -> Submitted | Exception | None:
    """Return what the first request with the idempotency key is answered with; None when there was none."""
    owner, key = new.request.owner, new.request.idempotency_key or ""
    stored = repository.keys_of(connection, owner, [key])
    return _answer(connection, new, {(owner, key): stored[key]}, {}) if key in stored else None


def _answer(
    connection: Connection,
    new: NewJob,
    known: Mapping[tuple[str, str], StoredKey],
    inserted: Mapping[str, Job],
) -> Submitted | Exception:
    if new.id in inserted:
        return Submitted(job=inserted[new.id], replayed=False)
    key = _key(new)
    assert key is not None
    stored = known[key]
    if stored.request_hash != new.request_hash:
        return KeyReused(
            f"The idempotency key {key[1]!r} was used for another request; take a new key for a new request"
        )
    job = inserted.get(stored.job_id) or repository.get(connection, stored.job_id)
    if job is None:
        return Conflict(
            f"The job of the idempotency key {key[1]!r} was deleted; take a new key to run it again"
        )
    return Submitted(job=job, replayed=True)


def _key(new: NewJob) -> tuple[str, str] | None:
    key = new.request.idempotency_key
    return None if key is None else (new.request.owner, key)


def _hash(request: JobRequest) -> str:
    """Return what tells two requests apart: all that the client asked for, in one canonical form."""
    asked = replace(request, idempotency_key=None).__dict__
    if request.timeout_ms is None:  # as before there were timeouts, so that keys of then still fit
        asked = {name: value for name, value in asked.items() if name != "timeout_ms"}
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()
