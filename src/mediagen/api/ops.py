"""Health and numbers, for people and for what watches over the server."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

import mediagen
from mediagen.api.deps import runtime_of
from mediagen.api.problems import responses
from mediagen.api.schemas import HealthOut, StatsOut, SystemOut
from mediagen.db.migrate import HEAD, revision_of
from mediagen.errors import MediagenError, Unavailable
from mediagen.jobs.hour import Hour
from mediagen.jobs.pauses import Pause, in_force
from mediagen.jobs.states import IN_FLIGHT, JobState
from mediagen.jobs.stats import Stats, alive, touch
from mediagen.jobs.view import timestamp
from mediagen.runtime import Runtime

router = APIRouter(tags=["operations"])

_TIMEOUT_S = 5.0
_MINUTES = 60
EMBEDDED = {"database": "sqlite", "broker": "in-process", "storage": "local"}
"""What an installation on one machine is made of, by part."""

Check = Callable[[Runtime], Awaitable[str]]


@router.get("/stats", response_model=StatsOut, summary="Numbers of this moment", responses=responses(503))
async def stats(request: Request) -> Response:
    """Answer with counts, rates, durations, workers and pauses."""
    runtime = runtime_of(request)
    return JSONResponse(_stats_json(await runtime.jobs.stats(), runtime))


@router.get(
    "/system",
    response_model=SystemOut,
    summary="The parts of this installation and its last hour",
    responses=responses(503),
)
async def system(request: Request) -> Response:
    """Answer with what the installation is made of, and what came in and ended minute by minute."""
    runtime = runtime_of(request)
    return JSONResponse(_system_json(await runtime.jobs.hour(), runtime))


@router.get("/health/live", summary="Is the process alive?", responses=responses())
async def live() -> dict[str, str]:
    """Answer without asking any other part."""
    return {"status": "ok", "name": "mediagen"}


@router.get(
    "/health/ready",
    response_model=HealthOut,
    summary="Can it take jobs?",
    responses={**responses(), 503: {"model": HealthOut, "description": "A part fails"}},
)
@router.get(
    "/health",
    response_model=HealthOut,
    summary="The health of every part",
    responses={**responses(), 503: {"model": HealthOut, "description": "A part fails"}},
)
async def health(request: Request) -> Response:
    """Answer with the state and latency of every part; 503 when one fails without which jobs would wait."""
    runtime = runtime_of(request)
    names = list(CHECKS)
    parts = await asyncio.gather(*(_examine(CHECKS[name], runtime) for name in names))
    failing = {name for name, part in zip(names, parts, strict=True) if part["status"] != "ok"}
    ready = failing <= _SPARED
    body = {
        "status": ("degraded" if failing else "ok") if ready else "failing",
        "version": mediagen.__version__,
        "components": dict(zip(names, parts, strict=True)),
    }
    return JSONResponse(body, 200 if ready else 503, headers={"cache-control": "no-store"})


async def _database(runtime: Runtime) -> str:
    await runtime.db.read(touch)
    found = await runtime.db.read(revision_of)
    if found is None or found < HEAD:
        raise Unavailable(f"The schema is {found!r}, not {HEAD!r}; run `mediagen migrate`")
    # A newer one was made under this process by the next version, which only adds: CONTRIBUTING.md, "Migrations".
    return f"{runtime.db.name}, schema {found}"


async def _broker(runtime: Runtime) -> str:
    return f"{runtime.broker.name}: {await runtime.broker.check()}"


async def _worker(runtime: Runtime) -> str:
    found = await runtime.db.read(alive)
    if not found:
        raise Unavailable("No worker was seen in the last 15 s; jobs are accepted but wait")
    return f"{len(found)} at work"


async def _storage(runtime: Runtime) -> str:
    return f"{runtime.storage.name}: {await runtime.storage.check()}"


async def _providers(runtime: Runtime) -> str:
    paused = await runtime.db.read(in_force)
    if paused:
        more = f"; and {len(paused) - _SAID} more" if len(paused) > _SAID else ""
        raise Unavailable("; ".join(_said(pause) for pause in paused[:_SAID]) + more)
    return ", ".join(provider.name for provider in runtime.providers)


def _said(pause: Pause) -> str:
    return f"jobs of {pause.model or pause.provider} wait: {pause.reason}"


_SAID = 3
_SPARED = {"broker", "providers"}
"""Parts that can be away while jobs are taken: workers look for themselves, and jobs wait for their provider."""

CHECKS: dict[str, Check] = {
    "database": _database,
    "broker": _broker,
    "worker": _worker,
    "storage": _storage,
    "providers": _providers,
}


async def _examine(check: Check, runtime: Runtime) -> dict[str, Any]:
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            status, detail = "ok", await check(runtime)
    except MediagenError as error:
        status, detail = "failing", str(error)
    except TimeoutError:
        status, detail = "failing", f"no answer within {_TIMEOUT_S:.0f} s"
    return {"status": status, "detail": detail, "latency_ms": round((time.perf_counter() - begun) * 1000, 2)}


def _stats_json(found: Stats, runtime: Runtime) -> dict[str, Any]:
    ended = found.completed + found.failed
    return {
        "jobs": {status.value: count for status, count in found.by_status.items()},
        "states": {state.value: count for state, count in found.by_state.items()},
        "total": sum(found.by_state.values()),
        "queue_depth": found.by_state[JobState.QUEUED],
        "oldest_queued_s": None if found.oldest_queued_ms is None else found.oldest_queued_ms / 1000,
        "in_flight": sum(found.by_state[state] for state in IN_FLIGHT),
        "completed_last_hour": found.completed,
        "failed_last_hour": found.failed,
        "throughput_per_minute": round(found.completed / _MINUTES, 3),
        "error_rate": found.failed / ended if ended else None,
        "errors": found.errors,
        "duration_s": _spread(found.durations_ms),
        "workers": [
            {
                "name": worker.name,
                "started_at": timestamp(worker.started_at),
                "seen_at": timestamp(worker.seen_at),
                "steps": worker.steps,
            }
            for worker in found.workers
        ],
        "paused_providers": [
            {
                "provider": pause.provider,
                "model": pause.model or None,
                "until": timestamp(pause.until),
                "reason": pause.reason,
            }
            for pause in found.pauses
        ],
        "storage_bytes": found.storage_bytes,
        "version": mediagen.__version__,
        "mock_mode": runtime.providers.mock_mode,
    }


def _system_json(hour: Hour, runtime: Runtime) -> dict[str, Any]:
    parts = {"database": runtime.db.name, "broker": runtime.broker.name, "storage": runtime.storage.name}
    return {
        "version": mediagen.__version__,
        "mode": "embedded" if parts == EMBEDDED else "distributed",
        "mock_mode": runtime.providers.mock_mode,
        **parts,
        "providers": [
            {
                "name": provider.name,
                "default_model": provider.default_model,
                "billed": provider.capabilities.billed,
                "calls_last_hour": hour.providers[provider.name].calls,
                "in_flight": hour.providers[provider.name].in_flight,
            }
            for provider in runtime.providers
        ],
        "minutes": [
            {
                "at": timestamp(minute.at),
                "accepted": minute.accepted,
                "begun": minute.begun,
                "completed": minute.completed,
                "failed": minute.failed,
                "canceled": minute.canceled,
            }
            for minute in hour.minutes
        ],
        "queue_depth": hour.queued,
        "in_flight": hour.in_flight,
        "wait_s": _spread(hour.waits_ms),
        "run_s": _spread(hour.runs_ms),
    }


def _spread(rising_ms: Sequence[int]) -> dict[str, float | None]:
    return {"p50": _quantile(rising_ms, 0.5), "p95": _quantile(rising_ms, 0.95)}


def _quantile(rising_ms: Sequence[int], share: float) -> float | None:
    """Return the nearest-rank quantile in seconds."""
    if not rising_ms:
        return None
    return rising_ms[min(len(rising_ms) - 1, int(share * len(rising_ms)))] / 1000
