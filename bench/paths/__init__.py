"""The paths that are measured, one module each; a module says what it measures in its first lines.

Each has `async def run(lab) -> list[Row]`; what can't be measured here raises `Unmeasurable` with the reason.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

from bench.lab import Lab
from bench.report import Row

Run = Callable[[Lab], Awaitable[list[Row]]]

NAMES = (
    "accept",
    "status",
    "engine",
    "inflight",
    "known",
    "share",
    "sustained",
    "distributed",
    "sse",
    "output",
    "serving",
    "startup",
    "idle",
)


def about(name: str) -> str:
    """Return the first line of what a path says of itself."""
    return (import_module(f"bench.paths.{name}").__doc__ or "").partition("\n")[0]


def path_of(name: str) -> Run:
    """Return what measures a path."""
    return cast(Run, import_module(f"bench.paths.{name}").run)
