"""A real server is killed again and again, at the worst moments: every job comes to its end, none is bought twice."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import create_engine, select

from mediagen.db import tables
from mediagen.db.postgres import normalized
from mediagen.jobs.states import JobState
from tests.fakes.replicate import FakeReplicate
from tests.fakes.server_process import ServerProcess

API = "/api/v1"
JOBS = 3  # in each round
QUICK = {
    "RECONCILE_GRACE": "1",
    "RETRY_BACKOFF_BASE": "0.1",
    "PROVIDER_CREATES_PER_S": "100",
    "WORKER_POLL_INTERVAL": "0.2",
}


@dataclass(frozen=True, kw_only=True)
class Round:
    """Submit jobs, and kill the server at the first event of a type; some job is found dead in the state."""

    until: str
    state: JobState
    parameters: Mapping[str, Any] = field(default_factory=dict)
    switches: Mapping[str, Any] = field(default_factory=dict)  # of the fake Replicate
    bought: int = 0  # predictions that the fake Replicate has made by then


@asynccontextmanager
async def a_server(folder: Path, database_url: str, **env: str) -> AsyncIterator[ServerProcess]:
    """Run a server on the folder; what it logged is shown with a test that fails."""
    async with ServerProcess(
        {"DATA_DIR": str(folder), "DATABASE_URL": database_url, **QUICK, **env}
    ) as server:
        try:
            yield server
        except BaseException:
            sys.stderr.write(server.log)
            raise


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def submit(
    http: aiohttp.ClientSession,
    server: ServerProcess,
    prompt: str,
    parameters: Mapping[str, Any],
    key: str = "",
) -> str:
    body = {"prompt": prompt, "parameters": dict(parameters)}
    headers = {"Idempotency-Key": key} if key else {}
    async with http.post(f"{server.url}{API}/generate", json=body, headers=headers) as response:
        assert response.status == 202, await response.text()
        return str((await response.json())["id"])


async def killed_at(
    http: aiohttp.ClientSession,
    server: ServerProcess,
    name: str,
    plan: Round,
    replicate: FakeReplicate | None = None,
) -> list[str]:
    """Submit the jobs of a round and kill the server at its moment; return their ids."""
    async with http.get(f"{server.url}{API}/events") as stream:
        await stream.content.readuntil(b"\n\n")  # it follows from here on
        jobs = [await submit(http, server, f"{name}, job {n}", plan.parameters) for n in range(JOBS)]
        while (event := _read(await stream.content.readuntil(b"\n\n"))) is None or (
            event["type"] != plan.until or event["job_id"] not in jobs
        ):
            pass
        if replicate is not None:
            await replicate.until(lambda: len(replicate.kept) >= plan.bought)
        await server.kill()
    return jobs


def _read(block: bytes) -> dict[str, Any] | None:
    data = [line[6:] for line in block.decode().splitlines() if line.startswith("data: ")]
    return json.loads(data[0]) if data else None


def states_of(server: ServerProcess, ids: Sequence[str]) -> set[str]:
    """Return the states of jobs as they lie in the database of a dead server."""
    file = Path(server.env["DATA_DIR"]) / "mediagen.db"
    url = server.env["DATABASE_URL"]
    engine = create_engine(normalized(url) if url else f"sqlite:///{file}")
    try:
        with engine.connect() as connection:
            return set(
                connection.execute(select(tables.jobs.c.state).where(tables.jobs.c.id.in_(ids))).scalars()
            )
    finally:
        engine.dispose()


async def ended(http: aiohttp.ClientSession, server: ServerProcess, job_id: str) -> dict[str, Any]:
    """Wait by the job's own event stream for its end, then return it."""
    async with http.get(f"{server.url}{API}/jobs/{job_id}/events") as stream:
        await stream.read()
    async with http.get(f"{server.url}{API}/jobs/{job_id}") as response:
        return dict(await response.json())


async def expect_all_made_once(
    http: aiohttp.ClientSession, server: ServerProcess, jobs: Sequence[str]
) -> None:
    """Expect that every job completes, with one call that was taken, and a file that is there."""
    for job in [await ended(http, server, job_id) for job_id in jobs]:
        taken = [attempt["state"] for attempt in job["attempts"] if attempt["provider_ref"]]
        assert (job["status"], taken) == ("completed", ["succeeded"]), job
        async with http.get(server.url + job["media_path"]) as file:
            assert (file.status, len(await file.read())) == (200, job["artifacts"][0]["size_bytes"])


# ---------------------------------------------------------------------------------------------- the mock provider

SMALL = {"width": 64, "height": 64, "latency_s": 0}
LARGE = {"width": 1536, "height": 1536, "latency_s": 0}

MOCK_ROUNDS = [
    Round(until="created", state=JobState.QUEUED, parameters=SMALL),  # by a server without a worker
    Round(until="submitted", state=JobState.SUBMITTING, parameters=SMALL | {"fault": "timeout_after_accept"}),
    Round(until="accepted", state=JobState.WAITING, parameters=SMALL | {"latency_s": 3}),
    Round(until="storing", state=JobState.STORING, parameters=LARGE),
]


async def test_a_killed_server_goes_on_where_it_was_and_buys_nothing_twice(
    http: aiohttp.ClientSession, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    jobs: list[str] = []
    async with asyncio.timeout(300), a_server(folder, database_url) as server:
        await server.stop()
        for number, plan in enumerate(MOCK_ROUNDS):
            server.args = ("--no-worker",) if plan.state is JobState.QUEUED else ()
            await server.start()
            made = await killed_at(http, server, f"round {number}", plan)
            assert plan.state in states_of(server, made)
            jobs += made
        await server.start()
        await expect_all_made_once(http, server, jobs)


# ---------------------------------------------------------------------------------------------- a provider that bills

HELD = {"latency_s": -1.0}  # until it is told to end
REPLICATE_ROUNDS = [
    Round(until="submitted", state=JobState.SUBMITTING, switches={"after_accept": "hang"}, bought=JOBS),
    Round(until="accepted", state=JobState.WAITING, switches=HELD),
    Round(
        until="retrying",
        state=JobState.QUEUED,
        switches={"refuse": 429, "refuse_times": 1, "retry_after": "1"},
    ),
    Round(until="storing", state=JobState.STORING, parameters={"width": 2048, "height": 2048}),
    Round(until="succeeded", state=JobState.SUCCEEDED),
]


@pytest.fixture
async def replicate() -> AsyncIterator[FakeReplicate]:
    """A fake that outlives the server, as the real one does."""
    async with FakeReplicate(token="r8_test0123456789") as fake:
        yield fake


async def test_what_a_killed_server_bought_is_found_followed_and_kept_and_never_bought_again(
    http: aiohttp.ClientSession, replicate: FakeReplicate, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    account = {"REPLICATE_API_TOKEN": replicate.token, "REPLICATE_API_BASE_URL": replicate.url}
    jobs: list[str] = []
    async with asyncio.timeout(300), a_server(folder, database_url, **account) as server:
        for number, plan in enumerate(REPLICATE_ROUNDS):
            for name, value in plan.switches.items():
                setattr(replicate.switches, name, value)
            made = await killed_at(http, server, f"round {number}", plan, replicate)
            assert plan.state in states_of(server, made)
            jobs += made
            _back_to_normal(replicate)
            await server.start()
        await expect_all_made_once(http, server, jobs)
    assert replicate.stats()["bought_twice"] == []
    assert replicate.stats()["created"] == len(jobs)


def _back_to_normal(replicate: FakeReplicate) -> None:
    """Let everything that was bought come to its end, and what comes next too."""
    replicate.switches = type(replicate.switches)()
    for ref in replicate.kept:
        replicate.finish(ref)


# ---------------------------------------------------------------------------------------------- the client's side


async def test_a_client_that_repeats_its_requests_after_a_crash_gets_one_job_for_each(
    http: aiohttp.ClientSession, database_url: str, tmp_path: Path
) -> None:
    asked = [f"order {n}" for n in range(30)]
    async with asyncio.timeout(300), a_server(tmp_path / "data", database_url) as server:
        asking = [asyncio.create_task(submit(http, server, key, SMALL, key)) for key in asked]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        await server.kill()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        await server.start()
        jobs = await asyncio.gather(*(submit(http, server, key, SMALL, key) for key in asked))
        await expect_all_made_once(http, server, jobs)
        async with http.get(f"{server.url}{API}/stats") as response:
            assert (await response.json())["total"] == len(set(jobs)) == len(asked)
    assert done
    for before, after in zip(answers, jobs, strict=True):
        assert before == after or isinstance(before, aiohttp.ClientError)
