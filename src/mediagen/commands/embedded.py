"""The installation inside this process: what a command uses when no server runs."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from mediagen.api.schemas import GenerateRequest
from mediagen.api.wire import parse_json, read_model
from mediagen.commands.connection import Installation, Json, NoDatabase, Purpose, Query
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.lookup import JobView
from mediagen.jobs.model import OWNER
from mediagen.jobs.service import Submission
from mediagen.jobs.states import JobStatus
from mediagen.jobs.view import detail_json, job_json
from mediagen.runtime import Runtime, is_postgres, sqlite_path
from mediagen.settings import Settings
from mediagen.worker.embedded import working


class Embedded(Installation):
    """The installation that the settings describe, opened by this process."""

    goes_on = False

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.where = str(runtime.settings.data_dir)

    async def submit(self, request: Mapping[str, Any]) -> Json:
        asked = read_model(GenerateRequest, parse_json(json.dumps(dict(request))))
        submission = Submission(
            prompt=asked.prompt,
            model=asked.model or None,
            parameters=asked.parameters,
            timeout_s=asked.timeout_s,
        )
        submitted = await self._runtime.jobs.submit(submission)
        return self._json(JobView(job=submitted.job, artifacts=()))

    async def follow(self, job_id: str) -> AsyncGenerator[Json, None]:
        jobs = self._runtime.jobs
        await jobs.get(job_id)  # a job that does not exist has no events to wait for
        events = jobs.follow(job_id=job_id, after=0)
        async with aclosing(events):  # type: ignore[type-var]  # it is a generator
            async for _ in events:
                view = await jobs.get(job_id)
                yield self._json(view)
                if view.job.finished:
                    return

    async def fetch(self, artifact: Json) -> AsyncGenerator[bytes, None]:
        async for chunk in self._runtime.artifacts.read(await self._runtime.artifacts.get(artifact["key"])):
            yield chunk

    async def list(self, query: Query) -> "list[Json]":
        status = JobStatus(query.status) if query.status else None
        where = JobFilter(owner=OWNER, status=status, model=query.model, text=query.text)
        return [self._json(view) for view in await self._runtime.jobs.page(where, limit=query.limit)]

    async def get(self, job_id: str) -> Json:
        return detail_json(await self._runtime.jobs.detail(job_id), self._runtime.links)

    async def cancel(self, job_id: str) -> Json:
        return self._json(await self._runtime.jobs.cancel(job_id))

    async def retry(self, job_id: str) -> Json:
        submitted = await self._runtime.jobs.retry(job_id)
        return self._json(JobView(job=submitted.job, artifacts=()))

    async def settle(self, job_id: str, ref: str | None) -> Json:
        if ref is None:
            return self._json(await self._runtime.jobs.declare_absent(job_id))
        adopted = await self._runtime.jobs.adopt(job_id, ref)
        return self._json(JobView(job=adopted.job, artifacts=()))

    async def delete(self, job_id: str) -> None:
        await self._runtime.jobs.delete(job_id)

    def _json(self, view: JobView) -> Json:
        return job_json(view, self._runtime.links)


@asynccontextmanager
async def opened(settings: Settings, purpose: Purpose) -> AsyncIterator[Embedded]:
    """Open the installation, with a worker if the purpose is to work. Raises `NoDatabase` where nothing ever was."""
    if purpose in ("look", "change") and not is_postgres(settings):
        await asyncio.to_thread(_refuse_absent, sqlite_path(settings))
    runtime = await Runtime.start(settings)
    try:
        if purpose == "work":
            async with working(runtime):
                yield Embedded(runtime)
        else:
            yield Embedded(runtime)
    finally:
        await runtime.close()


def _refuse_absent(path: Path) -> None:
    if not path.exists():
        raise NoDatabase(
            f"There are no jobs yet: no server runs and there is no database at {str(path)!r}. "
            'Make a first picture with `mediagen generate "a red fox in the snow"`'
        )
