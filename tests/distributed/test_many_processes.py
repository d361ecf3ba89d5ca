"""Several processes on one PostgreSQL: each hears at once what another did, and takes over what another left."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import aiohttp
import pytest

from tests.distributed.processes import API, END_S, WORKER, a_process, submit, until
from tests.fakes import servers
from tests.fakes.replicate import FakeReplicate
from tests.fakes.server_process import ServerProcess

HEARD_S = 0.5  # a reader that had to look by itself would look once a second
TAKEN_OVER_S = 2.0  # a lease would last 30 s
JOBS = 6


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    with servers.database() as url:
        yield {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": url, "MIN_FREE_BYTES": "0"}


async def delays_s(http: aiohttp.ClientSession, server: ServerProcess, job_id: str) -> list[float]:
    """Follow a job to its end; return, for each event, the time from when it was written until it was heard."""
    found = []
    async with http.get(f"{server.url}{API}/jobs/{job_id}/events") as events:
        async for line in events.content:
            name, _, data = line.decode().partition(":")
            if name == "data":
                found.append(time.time() - datetime.fromisoformat(json.loads(data)["at"]).timestamp())
    return found


async def test_a_reader_hears_at_once_what_a_worker_elsewhere_did(
    env: dict[str, str], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with (
        ServerProcess(env, ["--no-worker"]) as one,
        ServerProcess(env, ["--no-worker"]) as other,
        a_process(WORKER, env, tmp_path / "worker.log"),
        asyncio.timeout(END_S),
    ):
        await until(http, other, await submit(http, other), b"succeeded")  # the worker is up
        heard = [await delays_s(http, other, await submit(http, one)) for _ in range(JOBS)]
    assert all(len(of_one) >= 4 for of_one in heard)
    assert median(delay for of_one in heard for delay in of_one) < HEARD_S, heard


async def test_what_a_killed_worker_was_at_is_taken_over_within_two_seconds(
    env: dict[str, str], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with FakeReplicate() as replicate, asyncio.timeout(END_S):
        replicate.switches.answer_delay_s = END_S  # the worker holds its jobs until it is killed
        env |= {"REPLICATE_API_TOKEN": replicate.token, "REPLICATE_API_BASE_URL": replicate.url}
        env |= {"REPLICATE_DEFAULT_MODEL": "acme/painter", "PROVIDER_CREATES_PER_S": "100"}
        async with (
            ServerProcess(env, ["--no-worker"]) as server,
            a_process(WORKER, env, tmp_path / "worker.log") as first,
        ):
            jobs = [await submit(http, server) for _ in range(JOBS)]
            await replicate.until(lambda: len(replicate.creates) == JOBS, END_S)
            async with ServerProcess(env):  # with a worker
                taken_over = [until(http, server, job, b"reconciling") for job in jobs]
                hearing = asyncio.gather(*taken_over)
                killed = time.monotonic()
                first.kill()
                heard = await hearing
                took_s = time.monotonic() - killed
    assert all(b"event: reconciling" in of_one for of_one in heard)
    assert took_s < TAKEN_OVER_S
    assert len(replicate.creates) == JOBS
