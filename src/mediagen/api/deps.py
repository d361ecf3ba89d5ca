"""What routes get from the application."""

from fastapi import Request

from mediagen.runtime import Runtime


def runtime_of(request: Request) -> Runtime:
    """Return the running installation."""
    runtime: Runtime = request.app.state.runtime
    return runtime
