"""How a job looks to clients of the native API and to the webhooks that we send."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from mediagen.artifacts.model import Artifact, ThumbnailState
from mediagen.jobs.lookup import JobDetail, JobView
from mediagen.jobs.model import CallRecord, JobEvent
from mediagen.jobs.outbox import Delivered
from mediagen.jobs.states import JobState


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where this server's API and files are, as clients see it."""

    prefix: str  # path of the API
    base_url: str = ""  # scheme and host, empty for links that are paths only

    def media(self, key: str) -> str:
        return f"{self.prefix}/media/{key}"

    def absolute(self, path: str) -> str:
        return f"{self.base_url}{path}"


@lru_cache(256)  # jobs of one moment share it, and most have three of the same
def timestamp(ms: int | None) -> str | None:
    """Return RFC 3339 in UTC with milliseconds."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_json(view: JobView, links: Links) -> dict[str, Any]:
    """Return the job as the native API shows it."""
    job = view.job
    files = [_artifact_json(artifact, links) for artifact in view.artifacts]
    first = files[0] if files else {}
    return {
        "id": job.id,
        "job_id": job.id,
        "status": job.status.value,
        "state": job.state.value,
        "message": _message(view),
        "progress": job.progress,
        "prompt": job.prompt,
        "model": job.model,
        "provider": job.provider,
        "parameters": job.parameters,
        "metadata": job.metadata,
        "parameters_truncated": "parameters" in view.cut,
        "metadata_truncated": "metadata" in view.cut,
        "priority": job.priority,
        "webhook_url": job.webhook_url,
        "artifacts": files,
        "result_url": first.get("url"),
        "media_path": first.get("path"),
        "error": {"code": job.error_code, "message": job.error_message} if job.error_code else None,
        "error_message": job.error_message,
        "retry_count": job.retry_count,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "retry_of": job.retry_of,
        "cancel_requested": job.cancel_requested_at is not None,
        "timeout_s": None if job.timeout_ms is None else job.timeout_ms / 1000,
        "next_try_at": timestamp(_next_try_at(view)),
        "created_at": timestamp(job.created_at),
        "started_at": timestamp(job.started_at),
        "updated_at": timestamp(job.updated_at),
        "completed_at": timestamp(job.finished_at),
    }


def detail_json(detail: JobDetail, links: Links) -> dict[str, Any]:
    """Return the job with its timeline, attempts and cost."""
    job_output = detail.job.output
    costs = [call.cost_micros for call in detail.calls if call.cost_micros is not None]
    return {
        **job_json(detail, links),
        "output": None if job_output is None else json.loads(job_output),
        "timeline": [event_json(event) for event in detail.events],
        "attempts": [_call_json(call) for call in detail.calls],
        "ahead": detail.ahead,
        "delivery": None if detail.delivery is None else _delivery_json(detail.delivery),
        "cost": {"usd": sum(costs) / 1_000_000 if costs else None, "calls": _charged(detail.calls)},
    }


def event_json(event: JobEvent) -> dict[str, Any]:
    """Return one fact of a job's life."""
    data: Mapping[str, Any] = event.data
    if "retry_at" in data:
        data = {**data, "retry_at": timestamp(data["retry_at"])}
    return {
        "id": event.id,
        "job_id": event.job_id,
        "type": event.type,
        "at": timestamp(event.at),
        "data": data,
    }


def _next_try_at(view: JobView) -> int | None:
    job, pause = view.job, view.pause
    if job.state is not JobState.QUEUED or not (job.note or pause):
        return None
    return max(job.run_at, pause.until) if pause else job.run_at


def _message(view: JobView) -> str:
    job = view.job
    if job.cancel_requested_at is not None and not job.finished and job.state is not JobState.STORING:
        return "Canceling"
    if job.note:
        return job.note
    if view.pause:
        return f"Waiting, because {view.pause.reason}"
    return {
        JobState.QUEUED: "Waiting for a free slot",
        JobState.SUCCEEDED: "Done",
        JobState.CANCELED: "Canceled",
        JobState.FAILED: job.error_message or "Failed",
    }.get(job.state, "In progress")


def _artifact_json(artifact: Artifact, links: Links) -> dict[str, Any]:
    path = links.media(artifact.key)
    has_thumbnail = artifact.thumbnail is not ThumbnailState.NONE
    return {
        "key": artifact.key,
        "index": artifact.idx,
        "path": path,
        "url": links.absolute(path),
        "thumbnail_url": links.absolute(f"{path}?variant=thumbnail") if has_thumbnail else None,
        "media_type": artifact.media_type,
        "kind": artifact.kind,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "width": artifact.width,
        "height": artifact.height,
        "placeholder": artifact.placeholder,
        "doubt": artifact.doubt,
    }


def _call_json(call: CallRecord) -> dict[str, Any]:
    return {
        "call_id": call.id,
        "number": call.seq,
        "provider": call.provider,
        "model": call.model,
        "state": call.state.value,
        "provider_ref": call.provider_ref,
        "error": call.error,
        "seen": call.seen,
        "marked": call.marked,
        "may_be_charged": call.may_be_charged,
        "cost_usd": None if call.cost_micros is None else call.cost_micros / 1_000_000,
        "created_at": timestamp(call.created_at),
        "finished_at": timestamp(call.finished_at),
    }


def _delivery_json(delivery: Delivered) -> dict[str, Any]:
    return {
        "state": delivery.state,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "next_try_at": timestamp(delivery.next_at),
    }


def _charged(calls: Sequence[CallRecord]) -> int:
    """Count the calls that the provider took, or may have taken."""
    return sum(call.state.value not in ("intent", "rejected", "absent") for call in calls)
