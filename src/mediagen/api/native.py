"""The native API on jobs: each route reads the wire, asks the service once, and writes the wire."""

import base64
import hashlib
import re
from contextlib import nullcontext
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic_core import to_json

from mediagen.api.deps import links_of, runtime_of
from mediagen.api.document import UNCHANGED, answers, request_headers
from mediagen.api.guard import header_of, headers_of
from mediagen.api.problems import responses
from mediagen.api.schemas import (
    GenerateRequest,
    JobDetailOut,
    JobOut,
    JobPageOut,
    ModelsOut,
    SettleRequest,
)
from mediagen.api.times import parse_time
from mediagen.api.wire import JSONBytes, read_json, read_model
from mediagen.errors import InvalidRequest, NotFound
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.lookup import JobView
from mediagen.jobs.model import OWNER
from mediagen.jobs.service import Submission, Submitted
from mediagen.jobs.states import JobStatus
from mediagen.jobs.validation import check_text
from mediagen.jobs.view import detail_json, job_json
from mediagen.providers import provider_classes

router = APIRouter(tags=["jobs"])

ACCEPTED = "Job accepted for processing"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_ALIASES = {"queued": "pending", "cancelled": "canceled", "succeeded": "completed", "running": "processing"}
_ACCEPTED = answers(
    202,
    "The job, which can't be lost any more",
    Location="Where the job is.",
    Retry_After="Seconds until a look is worth it.",
    Idempotent_Replayed="true when the key named this job already.",
)
_CONDITIONAL = request_headers(If_None_Match="The ETag of an earlier answer: 304 while nothing has changed.")
_REPEATABLE = request_headers(
    Idempotency_Key="The same key with the same request gives the first job again, never a second one."
)
_CONNECT_WITH = [kind.connect_with for kind in provider_classes() if kind.connect_with]
StatusFilter = Literal[
    "pending", "processing", "completed", "failed", "canceled", "queued", "cancelled", "succeeded", "running"
]


@router.post(
    "/generate",
    status_code=202,
    response_model=JobOut,
    summary="Submit a job",
    responses={**_ACCEPTED, **responses(409, 413, 422, 503, 507)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": GenerateRequest.model_json_schema()}},
        },
        **_REPEATABLE,
    },
)
async def generate(request: Request) -> Response:
    """Accept a job and answer at once. From then on it can't be lost and is not paid twice."""
    runtime = runtime_of(request)
    asked = read_model(GenerateRequest, await read_json(request, runtime.settings.max_body_bytes))
    submitted = await runtime.jobs.submit(
        Submission(
            prompt=asked.prompt,
            model=asked.model or None,
            parameters=asked.parameters,
            metadata=asked.metadata or {},
            webhook_url=asked.webhook_url,
            priority=asked.priority or 0,
            timeout_s=asked.timeout_s,
            idempotency_key=_idempotency_key(request),
        )
    )
    return _accepted(request, submitted)


@router.get(
    "/status/{job_id}",
    response_model=JobOut,
    summary="Look at a job",
    responses={**UNCHANGED, **responses(404, 503)},
    openapi_extra=_CONDITIONAL,
)
async def status(request: Request, job_id: str) -> Response:
    """Answer with the job; with If-None-Match, 304 while nothing has changed."""
    runtime = runtime_of(request)
    view = await runtime.jobs.get(_job_id(job_id))
    return _with_etag(request, job_json(view, links_of(request)))


@router.get("/jobs", response_model=JobPageOut, summary="List jobs", responses=responses(422, 503))
async def jobs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="Jobs on a page.")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=200, description="next_cursor of the page before.")
    ] = None,
    status: Annotated[StatusFilter | None, Query(description="Only jobs with this status.")] = None,
    model: Annotated[str | None, Query(max_length=200, description="Only jobs of this model.")] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=500,
            description="Words that a job has all of: in its prompt, model, id or error code, in any case.",
        ),
    ] = None,
    created_after: Annotated[str | None, Query(max_length=40, description="RFC 3339; not older.")] = None,
    created_before: Annotated[str | None, Query(max_length=40, description="RFC 3339; older.")] = None,
) -> Response:
    """Answer with jobs, newest first."""
    runtime = runtime_of(request)
    for name, text in (("model", model), ("q", q)):
        check_text(text or "", name)
    where = JobFilter(
        owner=OWNER,
        status=JobStatus(_ALIASES.get(status, status)) if status else None,
        model=model,
        text=q,
        created_from=parse_time("created_after", created_after),
        created_to=parse_time("created_before", created_before),
    )
    client = request.client.host if request.client else ""
    async with request.app.state.searches.of(client) if q else nullcontext():
        found = await runtime.jobs.page(where, before=_before(cursor), limit=limit + 1)
    page, more = found[:limit], len(found) > limit
    next_cursor = _cursor(page[-1]) if more else None
    headers = (
        {"link": f'<{request.url.include_query_params(cursor=next_cursor)}>; rel="next"'} if more else None
    )
    links = links_of(request)
    items = [job_json(view, links) for view in page]
    return JSONResponse({"items": items, "next_cursor": next_cursor}, headers=headers)


@router.get(
    "/jobs/{job_id}",
    response_model=JobDetailOut,
    summary="All about a job",
    responses={**UNCHANGED, **responses(404, 503)},
    openapi_extra=_CONDITIONAL,
)
async def job(request: Request, job_id: str) -> Response:
    """Answer with the job, its timeline, its attempts and its cost."""
    runtime = runtime_of(request)
    detail = await runtime.jobs.detail(_job_id(job_id))
    return _with_etag(request, detail_json(detail, links_of(request)))


@router.post(
    "/jobs/{job_id}/cancel", response_model=JobOut, summary="Cancel a job", responses=responses(404, 409, 503)
)
async def cancel(request: Request, job_id: str) -> Response:
    """Ask for the job to be stopped. What the provider finished before is kept. Repeating it changes nothing."""
    runtime = runtime_of(request)
    return JSONResponse(job_json(await runtime.jobs.cancel(_job_id(job_id)), links_of(request)))


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model=JobOut,
    summary="Run a failed or canceled job again",
    responses={**_ACCEPTED, **responses(404, 409, 422, 503, 507)},
    openapi_extra=_REPEATABLE,
)
async def retry(request: Request, job_id: str) -> Response:
    """Submit the same request as a new job, which names this one in retry_of."""
    runtime = runtime_of(request)
    key = _idempotency_key(request)
    return _accepted(request, await runtime.jobs.retry(_job_id(job_id), idempotency_key=key))


@router.post(
    "/jobs/{job_id}/settle",
    response_model=JobOut,
    summary="Settle a call whose outcome is unknown",
    responses={
        202: {"model": JobOut, "description": "A new job keeps the output."},
        **responses(404, 409, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": SettleRequest.model_json_schema()}},
        }
    },
)
async def settle(request: Request, job_id: str) -> Response:
    """Say what you found at the provider about the job's lost call. Nothing is bought."""
    runtime = runtime_of(request)
    asked = read_model(SettleRequest, await read_json(request, runtime.settings.max_body_bytes))
    if asked.ref is not None:
        return _accepted(request, await runtime.jobs.adopt(_job_id(job_id), asked.ref))
    view = await runtime.jobs.declare_absent(_job_id(job_id))
    return JSONResponse(job_json(view, links_of(request)))


@router.delete(
    "/jobs/{job_id}", status_code=204, summary="Delete a finished job", responses=responses(404, 409, 503)
)
async def delete(request: Request, job_id: str) -> Response:
    """Remove the job and its files for good."""
    await runtime_of(request).jobs.delete(_job_id(job_id))
    return Response(status_code=204)


@router.get(
    "/models", response_model=ModelsOut, summary="List models", tags=["models"], responses=responses()
)
async def models(request: Request) -> Response:
    """Answer with the models that can be used, the default one first."""
    runtime = runtime_of(request)
    registry = runtime.providers
    typical_ms = await runtime.jobs.typical_ms()
    items = [
        {
            "id": model.id,
            "provider": model.provider,
            "description": model.description,
            "default": model.id == registry.default_model,
            "typical_s": typical_ms[model.id] / 1000 if model.id in typical_ms else None,
            "input_schema": dict(model.input_schema),
        }
        for model in await registry.models()
    ]
    body = {"items": items, "mock_mode": registry.mock_mode, "connect_with": _CONNECT_WITH}
    return JSONResponse(body)


def hot_routes(*bases: str) -> dict[str, Any]:
    """Return the routes that clients call most, for `HotRoutes`."""
    return {
        "posts": {f"{base}/generate": generate for base in bases},
        "items": {f"{base}/status": status for base in bases},
    }


# ---------------------------------------------------------------------------------------------- wire details


def _accepted(request: Request, submitted: Submitted) -> Response:
    links = links_of(request)
    body = job_json(JobView(job=submitted.job, artifacts=()), links)
    headers = [(b"location", f"{links.prefix}/jobs/{submitted.job.id}".encode()), (b"retry-after", b"1")]
    if submitted.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    else:
        body["message"] = ACCEPTED
    return JSONBytes(to_json(body), 202, headers)


def _job_id(text: str) -> str:
    """Return the id if it can be one; what can't is as unknown as what is not there."""
    if not _UUID.fullmatch(text.lower()):
        raise NotFound("Job not found")
    return text.lower()


def _idempotency_key(request: Request) -> str | None:
    keys = headers_of(request.scope, b"idempotency-key")
    if len(keys) > 1:
        message = f"was sent {len(keys)} times; send one"
        raise InvalidRequest(f"Idempotency-Key {message}", {"Idempotency-Key": message})
    key = keys[0] if keys else None
    if key is not None and not _KEY.fullmatch(key):
        message = "must be 1 to 255 printable ASCII characters"
        raise InvalidRequest(f"Idempotency-Key: {message}", {"Idempotency-Key": message})
    return key


def _with_etag(request: Request, body: dict[str, Any]) -> Response:
    content = to_json(body)
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:24]}"'
    if etag in (header_of(request.scope, b"if-none-match") or ""):
        return Response(status_code=304, headers={"etag": etag, "cache-control": "no-cache"})
    return JSONBytes(content, 200, [(b"etag", etag.encode()), (b"cache-control", b"no-cache")])


def _cursor(view: JobView) -> str:
    return base64.urlsafe_b64encode(view.job.id.encode()).decode().rstrip("=")


def _before(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode() + b"===").decode()
    except ValueError:
        text = ""
    if not _UUID.fullmatch(text):
        raise InvalidRequest("cursor: not one that this server gave", {"cursor": "unknown"})
    return text
