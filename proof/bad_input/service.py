"""Gives the odd values to the job service itself, past everything that reads requests: the last line of defense.

Whatever a dialect lets through, the service must keep exactly as it came or refuse, and never spoil the
commit that others share with it.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediagen.db.engine import Connection
from mediagen.errors import MediagenError
from mediagen.jobs.service import JobService, Submission
from mediagen.runtime import Runtime
from mediagen.settings import Settings
from proof.bad_input.value import Kind, Value
from proof.table import Moves

_ROLES: Mapping[str, Callable[[Any], Submission]] = {
    "prompt": lambda value: Submission(prompt=value),
    "parameter value": lambda value: Submission(prompt="x", parameters={"odd": value}),
    "parameter name": lambda value: Submission(prompt="x", parameters={value: 1}),
    "metadata": lambda value: Submission(prompt="x", metadata={"odd": value}),
    "webhook_url": lambda value: Submission(prompt="x", webhook_url=value),
    "model": lambda value: Submission(prompt="x", model=value),
}
_TEXT_ROLES = frozenset({"prompt", "parameter name", "webhook_url", "model"})


@dataclass(kw_only=True)
class ServiceReport:
    """What the service did with the values."""

    submits: int = 0
    kept: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


async def run(
    folder: Path, values: Sequence[Value], progress: Moves, database_url: str = ""
) -> ServiceReport:
    """Submit every value in every role to a job service of its own, with its files in `folder`."""
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        min_free_bytes=0,
        database_url=database_url,
    )
    runtime = await Runtime.start(settings)
    try:
        trial = _Trial(runtime, await runtime.db.read(_count))
        every = [(role, value, odd) for value in values for role, odd in _meanings(value)]
        for done, (role, value, odd) in enumerate(every):
            progress(done, len(every))
            await trial.submit(f"{value.label} as {role}", _ROLES[role](odd))
        await trial.check_rows()
        return trial.report
    finally:
        await runtime.close()


def _meanings(value: Value) -> Iterator[tuple[str, Any]]:
    """Yield each role with what the value means in it; nothing for bytes that mean nothing."""
    if value.kind not in (Kind.TEXT, Kind.JSON):
        return
    for role in _ROLES:
        if role in _TEXT_ROLES:
            if value.text is not None:
                yield role, value.text
            continue
        try:
            yield role, json.loads(value.raw)
        except (ValueError, RecursionError):
            continue


class _Trial:
    """One service, and what is to be said of it."""

    def __init__(self, runtime: Runtime, rows: int) -> None:
        self._db = runtime.db
        self._jobs: JobService = runtime.jobs
        self._rows = rows
        self.report = ServiceReport()

    async def submit(self, label: str, odd: Submission) -> None:
        """Submit the odd one together with an honest one, which must not notice."""
        self.report.submits += 1
        outcome, honest = await asyncio.gather(
            self._jobs.submit(odd), self._jobs.submit(Submission(prompt="honest")), return_exceptions=True
        )
        if isinstance(honest, BaseException):
            self.report.faults.append(f"{label}: the honest job beside it failed: {honest!r}"[:500])
        else:
            self._rows += 1
        if isinstance(outcome, MediagenError) and 400 <= outcome.http_status < 500:
            self.report.refused += 1
        elif isinstance(outcome, BaseException):
            self.report.faults.append(f"{label}: {outcome!r}"[:500])
        else:
            self._rows += 1
            self.report.kept += 1
            await self._check_kept(label, outcome.job.id, odd)

    async def _check_kept(self, label: str, job_id: str, odd: Submission) -> None:
        try:
            job = (await self._jobs.get(job_id)).job
        except Exception as error:  # noqa: BLE001  any of them is a finding
            self.report.faults.append(f"{label}: accepted, and then not readable: {error!r}"[:500])
            return
        kept = (job.prompt, job.parameters, job.metadata, job.webhook_url)
        if kept != (odd.prompt, odd.parameters, odd.metadata, odd.webhook_url):
            self.report.faults.append(f"{label}: came back changed")

    async def check_rows(self) -> None:
        """Note when there are not exactly as many jobs as were accepted."""
        stored = await self._db.read(_count)
        if stored != self._rows:
            self.report.faults.append(f"{stored} jobs are stored, {self._rows} were accepted")


def _count(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one())
