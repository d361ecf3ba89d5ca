"""What routes get from the application."""

from dataclasses import replace
from functools import lru_cache

from fastapi import Request

from mediagen.api.guard import headers_of
from mediagen.jobs.view import Links
from mediagen.runtime import Runtime


def runtime_of(request: Request) -> Runtime:
    """Return the running installation."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def links_of(request: Request) -> Links:
    """Return links by PUBLIC_URL; without it, by the host name that the client used (`Guard` knows it)."""
    runtime = runtime_of(request)
    if runtime.settings.public_url:
        return runtime.links
    [host] = headers_of(request.scope, b"host")
    return _links_at(runtime.links, f"{request.scope['scheme']}://{host}")


@lru_cache(64)
def _links_at(links: Links, base_url: str) -> Links:
    return replace(links, base_url=base_url)
