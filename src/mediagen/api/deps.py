"""What routes get from the application."""

from dataclasses import replace

from fastapi import Request

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
    return replace(runtime.links, base_url=f"{request.url.scheme}://{request.url.netloc}")
