"""A client that follows jobs by server-sent events and notes when each event arrived."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.lab import Lab, ask, get, post
from bench.processes import LOOPBACK, Process

ENDS = frozenset({"succeeded", "failed", "canceled"})


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One event as it arrived."""

    job_id: str
    type: str
    at: float  # seconds since 1970


class Follower:
    """Follows all jobs of a server for one `async with` block."""

    def __init__(self, server: Process, path: str = "/api/v1/events") -> None:
        self.ended: dict[str, Heard] = {}  # by job
        self._server = server
        self._path = path
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._server.port)
        self._writer.write(get(self._path))
        await self._reader.readuntil(b"mediagen\n")  # the stream is open
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()

    async def _read(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                if event["type"] in ENDS:
                    self.ended[event["job_id"]] = Heard(
                        job_id=event["job_id"], type=event["type"], at=time.time()
                    )
                    self._changed.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


async def submit(server: Process, prompt: str, **parameters: object) -> str:
    """Submit a job and return its id."""
    answer = await ask(
        server.port, post("/api/v1/generate", {"prompt": prompt, "parameters": {**parameters}})
    )
    if answer.status != 202:
        raise server.failed(f"answered {answer.status} to a submit")
    return str(answer.json["id"])


async def ended_at(provider: Process) -> dict[str, float]:
    """Return when predictions ended at the provider, by prompt."""
    seen = await ask(provider.port, get("/_stats"))
    return dict(seen.json["ended"])


async def ended_jobs(server: Process) -> int:
    """Count jobs that have ended."""
    jobs = (await ask(server.port, get("/api/v1/stats"))).json["jobs"]
    return sum(jobs[status] for status in ("completed", "failed", "canceled"))


async def until_ended(server: Process, count: int, *, look_s: float = 0.1, timeout_s: float = 60) -> None:
    """Wait until so many jobs have ended."""
    async with asyncio.timeout(timeout_s):
        while await ended_jobs(server) < count:  # noqa: ASYNC110  another process knows
            await asyncio.sleep(look_s)


async def submit_many(lab: Lab, server: Process, count: int, **parameters: object) -> None:
    """Submit so many jobs as fast as they are taken."""
    requests = [
        post("/api/v1/generate", {"prompt": f"job {number}", "parameters": {**parameters}})
        for number in range(count)
    ]
    await lab.load(server, requests, status=202, connections=min(32, count), count=count, seconds=60)
