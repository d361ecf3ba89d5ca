"""Answers in place of the true one: the provider's own errors, a gateway's pages, and broken connections."""

import asyncio
import re

from aiohttp import web

_GATEWAY = re.compile(r"html(\d{3})")
_WORDS = {403: "Forbidden", 404: "Not Found", 410: "Gone", 502: "Bad Gateway", 503: "Service Unavailable"}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return the provider's own error."""
    return web.json_response(
        {"title": "Error", "detail": detail, "status": status}, status=status, headers=headers
    )


def page(status: int) -> web.Response:
    """Return the error page of a gateway that stands before the provider."""
    words = _WORDS.get(status, "Error")
    text = f"<html><head><title>{status} {words}</title></head><body><h1>{status} {words}</h1></body></html>"
    return web.Response(status=status, text=text, content_type="text/html")


def answer(kind: str) -> web.Response:
    """Return what `kind` names: a status is the provider's own error, `html502` a gateway's."""
    found = _GATEWAY.fullmatch(kind)
    if found:
        return page(int(found[1]))
    return problem(int(kind), _WORDS.get(int(kind), "Bad gateway"))


def drop(request: web.Request) -> None:
    """Reset the connection."""
    if request.transport is not None:
        request.transport.abort()


async def truncated(
    request: web.Request,
    whole: bytes,
    *,
    status: int,
    share: float = 0.5,
    silence_s: float = 0.0,
    headers: dict[str, str] | None = None,
) -> web.StreamResponse:
    """Say that all of it comes, send a part, and close the connection, after some silence."""
    response = web.StreamResponse(
        status=status, headers={**(headers or {}), "Content-Length": str(len(whole))}
    )
    await response.prepare(request)
    await response.write(whole[: int(len(whole) * share)])
    await asyncio.sleep(silence_s)
    if request.transport is not None:
        request.transport.close()
    return response
