"""The files that the fake Replicate links to: as they are, or late, dead, packed, slow, cut off, or something else."""

import asyncio
import base64
import gzip
import hashlib
import re
import time
from contextlib import suppress
from typing import Any

from aiohttp import web

from tests.fakes import replicate_gateway as gateway
from tests.fakes.replicate_data import Kept, draw

KINDS = ("png", "gone", "truncated", "broken", "html", "page", "empty", "redirect", "hang")
"""`truncated` sends half, `broken` six tenths of what was asked for, `page` says 200 and is an error page."""

_BROKEN_AT = 0.6
_SILENCE_S = (
    0.05  # what was sent has arrived when the line breaks: clients lose what comes together with the break
)
_BROKEN_FROM = 256  # bytes: less comes in one piece
_RANGE = re.compile(r"bytes=(\d+)-")
_SLICES_PER_S = 10


def kind_of(kept: Kept) -> str:
    """Count a request for the file, and return what it gets."""
    kept.downloads += 1
    switches = kept.switches
    over = 0 <= switches.file_times < kept.downloads
    if switches.file_for_s >= 0 and kept.ended_at is not None:
        over = over or time.monotonic() > kept.ended_at + switches.file_for_s
    return "png" if over else switches.file


async def serve(request: web.Request, kept: Kept, kind: str, closing: asyncio.Event) -> web.StreamResponse:
    """Answer a request for one file."""
    if kept.switches.link_dies and request.query.get("link") in ("0", "1"):
        kind = "gone"
    match kind:
        case "gone":
            return gateway.problem(404, "The link has expired")
        case "redirect":
            return web.Response(status=302, headers={"Location": kept.switches.redirect_to})
        case "html":
            return web.Response(text="<script>alert(1)</script>", content_type="image/png")
        case "page":
            return web.Response(text="<html>We will be back soon</html>", content_type="text/html")
        case "empty":
            return web.Response(body=b"", content_type="image/png")
        case "hang":
            await closing.wait()
            return web.Response()
    return await _send(request, kept, kind, await asyncio.to_thread(content, kept))


def content(kept: Kept) -> bytes:
    """Return the whole file."""
    given = kept.switches.file_bytes
    return base64.b64decode(given) if given else draw(kept.input)


async def _send(request: web.Request, kept: Kept, kind: str, whole: bytes) -> web.StreamResponse:
    switches = kept.switches
    headers = {"ETag": f'"{hashlib.sha256(whole).hexdigest()[:16]}"', "Content-Type": "image/png"}
    if switches.file_encoding:
        headers["Content-Encoding"] = switches.file_encoding
        whole = gzip.compress(whole) if "gzip" in switches.file_encoding else whole
    status, body = 200, whole
    if switches.file_ranges:
        headers["Accept-Ranges"] = "bytes"
        start = _start(request, headers["ETag"])
        if start >= len(whole):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(whole)}"})
        if start:
            status, body = 206, whole[start:]
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
    if kind == "truncated" or (kind == "broken" and len(body) > _BROKEN_FROM):
        how = {"share": _BROKEN_AT, "silence_s": _SILENCE_S} if kind == "broken" else {}
        return await gateway.truncated(request, body, status=status, headers=headers, **how)
    if switches.file_rate:
        return await _slowly(request, body, switches.file_rate, status=status, headers=headers)
    return web.Response(status=status, body=body, headers=headers)


def _start(request: web.Request, etag: str) -> int:
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    return int(found[1]) if found and request.headers.get("If-Range", etag) == etag else 0


async def _slowly(request: web.Request, body: bytes, rate: int, **options: Any) -> web.StreamResponse:
    options["headers"] = {**options["headers"], "Content-Length": str(len(body))}
    response = web.StreamResponse(**options)
    await response.prepare(request)
    size = max(1, rate // _SLICES_PER_S)
    with suppress(ConnectionResetError):  # whoever asked has left
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(size / rate)
    return response
