"""Artifacts over HTTP: ranges, strong ETags, and headers that keep hostile files from doing anything."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from mediagen.api.deps import runtime_of
from mediagen.api.document import UNCHANGED, answers, request_headers
from mediagen.api.problems import problem, responses
from mediagen.artifacts.media import inline_safe
from mediagen.artifacts.model import Artifact
from mediagen.errors import NotFound
from mediagen.runtime import Runtime

router = APIRouter(tags=["media"])

_KEY = re.compile(r"[a-z2-7]{26}\.[a-z0-9]{1,5}")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_HEADERS = {
    "accept-ranges": "bytes",
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "cross-origin-resource-policy": "cross-origin",
}
_MEDIA_TYPES = ("image/*", "video/*", "audio/*", "model/*", "text/plain", "application/octet-stream")


@router.head("/media/{key}", include_in_schema=False)
@router.get(
    "/media/{key}",
    summary="The bytes of an artifact",
    response_class=StreamingResponse,
    responses={
        **answers(200, "All bytes", *_MEDIA_TYPES),
        **answers(206, "The bytes of the range", *_MEDIA_TYPES),
        307: {"description": "With S3_PRESIGN_S: where the storage serves it"},
        **UNCHANGED,
        **responses(404, 416, 422, 503),
    },
    openapi_extra=request_headers(
        Range="bytes=first-last, one range.",
        If_Range="The ETag for which the range is meant; all bytes are sent for another one.",
        If_None_Match="The ETag of bytes that are here already: 304.",
    ),
)
async def media(
    request: Request,
    key: str,
    variant: Annotated[
        Literal["original", "thumbnail"], Query(description="thumbnail: a WebP of at most 640 pixels.")
    ] = "original",
    download: Annotated[bool, Query(description="Answer with an attachment to be saved.")] = False,
) -> Response:
    """Answer with the artifact's bytes; Range, If-Range and If-None-Match work."""
    runtime = runtime_of(request)
    if not _KEY.fullmatch(key):
        raise NotFound("No such file")
    artifact = await runtime.artifacts.get(key)
    if variant == "thumbnail":
        return await _thumbnail(request, runtime, artifact)
    link = None if download else await runtime.artifacts.link(artifact)
    if link is not None:
        return RedirectResponse(link, 307, {"cache-control": "no-store"})  # it dies soon
    return _original(request, runtime, artifact, download)


async def _thumbnail(request: Request, runtime: Runtime, artifact: Artifact) -> Response:
    content = await runtime.artifacts.thumbnail(artifact)
    if content is None:  # not made yet: the picture itself serves, for now
        response = _original(request, runtime, artifact, download=False)
        response.headers["cache-control"] = "no-store"
        return response
    headers = _HEADERS | {"etag": f'"{artifact.sha256}-thumbnail"'}
    if _unchanged(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="image/webp", headers=headers)


def _original(request: Request, runtime: Runtime, artifact: Artifact, download: bool) -> Response:
    etag = f'"{artifact.sha256}"'
    headers = _HEADERS | {"etag": etag, "content-disposition": _disposition(artifact, download)}
    if _unchanged(request, etag):
        return Response(status_code=304, headers=headers)
    size = artifact.size_bytes
    asked = _range(request, etag)
    start, end = (0, size) if asked is None else _bounds(asked, size)
    if start >= end:
        reply = problem(416, f"The file has {size} bytes", code="range_not_satisfiable")
        reply.headers["content-range"] = f"bytes */{size}"
        return reply
    headers["content-length"] = str(end - start)
    if asked is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    body = _nothing() if request.method == "HEAD" else runtime.artifacts.read(artifact, start, end)
    return StreamingResponse(body, 206 if asked else 200, headers, media_type=artifact.media_type)


def _range(request: Request, etag: str) -> tuple[str, str] | None:
    """Return the two numbers of the range asked for, as text; None for the whole file. Odd ranges are ignored."""
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    return (first, last) if first or last else None


def _bounds(asked: tuple[str, str], size: int) -> tuple[int, int]:
    """Return the first byte and the one after the last; the range is empty when the file has none of it."""
    first, last = asked
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)


def _unchanged(request: Request, etag: str) -> bool:
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def _disposition(artifact: Artifact, download: bool) -> str:
    kind = "inline" if inline_safe(artifact.media_type) and not download else "attachment"
    extension = artifact.key.rpartition(".")[2]
    return f'{kind}; filename="mediagen-{artifact.job_id[-12:]}-{artifact.idx}.{extension}"'


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
