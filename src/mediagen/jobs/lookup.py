"""SQL that reads a job with what belongs to it: its artifacts, what it waits for, all that happened to it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mediagen.artifacts import repository as artifact_rows
from mediagen.artifacts.model import Artifact
from mediagen.db.engine import Connection
from mediagen.errors import NotFound
from mediagen.jobs import calls, events, listing, outbox, pauses, repository, stats
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.model import CallRecord, Job, JobEvent
from mediagen.jobs.pauses import Pause
from mediagen.jobs.states import JobState

UNKNOWN = "Job not found"
_EVENTS = 1000  # of one job, shown at most


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job with its artifacts."""

    job: Job
    artifacts: Sequence[Artifact]
    pause: Pause | None = None  # what it waits for, when it is queued
    cut: Collection[str] = ()  # fields that are shown in part


@dataclass(frozen=True, kw_only=True)
class JobDetail(JobView):
    """A job with all that happened to it."""

    events: Sequence[JobEvent]
    calls: Sequence[CallRecord]
    ahead: int | None  # queued jobs that are sent before it, when it is queued
    delivery: outbox.Delivered | None  # of its webhook, once it has ended


def detail(connection: Connection, job_id: str) -> JobDetail:
    """Return a job with its timeline and calls. Raises `NotFound`."""
    found = view(connection, job_id)
    return JobDetail(
        job=found.job,
        artifacts=found.artifacts,
        pause=found.pause,
        events=events.after(connection, 0, limit=_EVENTS, job_id=job_id),
        calls=calls.history(connection, [job_id]).get(job_id, []),
        ahead=stats.ahead_of(connection, found.job),
        delivery=outbox.of_job(connection, job_id),
    )


def page(connection: Connection, where: JobFilter, before: str | None, limit: int) -> list[JobView]:
    """Return up to `limit` jobs, newest first, with ids below `before`."""
    found = listing.page(connection, where, before=before, limit=limit)
    views_ = _with_all(connection, [job for job, _ in found])
    return [replace(view_, cut=cut) if cut else view_ for view_, (_, cut) in zip(views_, found, strict=True)]


def existing(connection: Connection, job_id: str) -> Job:
    """Return the job. Raises `NotFound`."""
    job = repository.get(connection, job_id)
    if job is None:
        raise NotFound(UNKNOWN)
    return job


def view(connection: Connection, job_id: str) -> JobView:
    """Return the job with its artifacts. Raises `NotFound`."""
    found = views(connection, [job_id]).get(job_id)
    if found is None:
        raise NotFound(UNKNOWN)
    return found


def views(connection: Connection, job_ids: Sequence[str]) -> dict[str, JobView]:
    """Return those of the jobs that exist, by id."""
    jobs = repository.get_many(connection, job_ids)  # first: what has ended then has its artifacts
    return {view.job.id: view for view in _with_all(connection, list(jobs.values()))}


def _with_all(connection: Connection, jobs: Sequence[Job]) -> list[JobView]:
    artifacts = artifact_rows.of_jobs(connection, [job.id for job in jobs])
    is_queued = any(job.state is JobState.QUEUED for job in jobs)
    paused = pauses.by_model(connection) if is_queued else {}
    return [
        JobView(
            job=job,
            artifacts=artifacts.get(job.id, ()),
            pause=pauses.behind(paused, job.provider, job.model) if job.state is JobState.QUEUED else None,
        )
        for job in jobs
    ]
