"""Server-sent events: the life of one job, or of all, resumed without a gap by Last-Event-ID."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from mediagen.api.deps import runtime_of
from mediagen.api.document import answers, request_headers
from mediagen.api.native import _job_id
from mediagen.api.problems import responses
from mediagen.errors import InvalidRequest, Unavailable
from mediagen.jobs.model import EventType, JobEvent
from mediagen.jobs.states import TERMINAL
from mediagen.jobs.view import event_json

router = APIRouter(tags=["events"])

HEARTBEAT_S = 15.0
_LAST = frozenset({*(state.value for state in TERMINAL), EventType.DELETED.value})
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_EVENTS = answers(200, "Events", "text/event-stream")
_ENDED = answers(204, "The job has ended, and all its events are read")
_RESUMED = request_headers(Last_Event_ID="Go on after the event with this id.")
LastEventId = Annotated[
    str | None,
    Query(max_length=20, description="As the header Last-Event-ID, for clients that can't set it."),
]


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={**_EVENTS, **_ENDED, **responses(404, 422, 503)},
    openapi_extra=_RESUMED,
)
async def job_events(request: Request, job_id: str, last_event_id: LastEventId = None) -> Response:
    """Stream the job's events from its first on, or after Last-Event-ID; ends with the job.

    A `reset` comes first where Last-Event-ID is newer than all events: the database was put back.

    204 when the job has ended and all its events are read: it tells an EventSource to stop.
    """
    runtime = runtime_of(request)
    detail = await runtime.jobs.detail(_job_id(job_id))
    after = _after(request, last_event_id) or 0
    is_ahead = after > 0 and after > await runtime.jobs.newest_event_id()
    after = 0 if is_ahead else after  # the database was put back since: all of it is read again
    if detail.job.finished and not any(event.id > after for event in detail.events):
        return Response(status_code=204)
    chunks = _until_end(runtime.jobs.follow(job_id=detail.job.id, after=after))
    chunks = _told(chunks, 0) if is_ahead else chunks
    return StreamingResponse(chunks, media_type="text/event-stream", headers=_HEADERS)


@router.get(
    "/events",
    summary="Follow all jobs",
    response_class=StreamingResponse,
    responses={**_EVENTS, **responses(422, 503)},
    openapi_extra=_RESUMED,
)
async def all_events(request: Request, last_event_id: LastEventId = None) -> Response:
    """Stream the events of all jobs, new ones, or those after Last-Event-ID.

    A `reset` comes first where that is newer than all events: the database was put back.
    """
    jobs, after = runtime_of(request).jobs, _after(request, last_event_id)
    newest = (
        await jobs.newest_event_id()
    )  # asked in any case: without a database a 503, not a stream that breaks
    is_ahead = after is not None and after > newest
    events = jobs.follow(after=newest if after is None or is_ahead else after)
    chunks = _told(_stream(events), newest) if is_ahead else _stream(events)
    return StreamingResponse(chunks, media_type="text/event-stream", headers=_HEADERS)


async def _told(chunks: AsyncIterator[bytes], newest: int) -> AsyncIterator[bytes]:
    """Tell a reader first that what it has read last is not there any more."""
    data = {
        "newest": newest,
        "reason": "The database is older than the last event that you read: read all again",
    }
    yield format_sse_event(data_str=json.dumps(data), event="reset", id=str(newest))
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]  # it is a generator


def _after(request: Request, query: str | None) -> int | None:
    text = request.headers.get("last-event-id") or query
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidRequest("Last-Event-ID: must be the id of an event", {"Last-Event-ID": "not a number"})
    return int(text)


async def _until_end(events: AsyncIterator[JobEvent]) -> AsyncIterator[bytes]:
    async for event, chunk in _chunks(events):
        yield chunk
        if event is not None and event.type in _LAST:
            return


async def _stream(events: AsyncIterator[JobEvent]) -> AsyncIterator[bytes]:
    async for _, chunk in _chunks(events):
        yield chunk


async def _chunks(events: AsyncIterator[JobEvent]) -> AsyncIterator[tuple[JobEvent | None, bytes]]:
    """Yield events as they come and a comment when none does for a while, so that dead readers are noticed."""
    yield None, format_sse_event(comment="mediagen", retry=1000)
    upcoming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=HEARTBEAT_S)
            if not done:
                yield None, b": alive\n\n"
                continue
            event = _result(upcoming)
            if event is None:
                return
            yield event, _formatted(event)
            upcoming = asyncio.ensure_future(anext(events, None))
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator


def _result(upcoming: "asyncio.Future[JobEvent | None]") -> JobEvent | None:
    """Return the event; None at the end, or without a database: the client comes again and goes on from its last."""
    try:
        return upcoming.result()
    except Unavailable:
        return None


def _formatted(event: JobEvent) -> bytes:
    data = json.dumps(event_json(event), ensure_ascii=False, separators=(",", ":"))
    return format_sse_event(data_str=data, event=event.type, id=str(event.id))
