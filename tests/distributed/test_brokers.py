"""What carries the rings may forget them, stop, or be away from the start: no job minds."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.distributed.processes import BROKERS, WORKER, a_broker, a_process, all_succeed, submit
from tests.fakes import servers
from tests.fakes.server_process import ServerProcess
from tests.fakes.started import OwnRedis, redis_binary

JOBS = 4
RUNG_S = 20.0


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    servers.demand(redis_binary(), "Redis")
    with OwnRedis() as redis:
        yield redis


@pytest.fixture
def env(database_url: str, own_redis: OwnRedis, tmp_path: Path) -> dict[str, str]:
    return {
        "DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": database_url,
        "REDIS_URL": own_redis.url,
        "WORKER_POLL_INTERVAL": "0.2",
        "MIN_FREE_BYTES": "0",
    }


@asynccontextmanager
async def a_worker(env: dict[str, str], tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    async with a_process(WORKER, env, tmp_path / "worker.log") as worker:
        yield worker
        assert worker.returncode is None


@pytest.mark.parametrize("kind", BROKERS)
async def test_a_ring_wakes_a_worker_that_would_not_have_looked_yet(
    kind: str, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    env = {"DATA_DIR": str(tmp_path / "data"), "WORKER_POLL_INTERVAL": "60", "MIN_FREE_BYTES": "0"}
    with a_broker(kind) as broker:
        env |= broker
        async with ServerProcess(env, ["--no-worker"]) as server, a_worker(env, tmp_path):
            await all_succeed(http, server, [await submit(http, server)])  # which it finds when it starts
            async with asyncio.timeout(RUNG_S):
                await all_succeed(http, server, [await submit(http, server)])


async def test_rings_that_redis_forgot_lose_no_job(
    env: dict[str, str], own_redis: OwnRedis, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with ServerProcess(env, ["--no-worker"]) as server:
        jobs = [await submit(http, server) for _ in range(JOBS)]
        await asyncio.to_thread(own_redis.flush)
        async with a_worker(env, tmp_path):
            await all_succeed(http, server, jobs)


async def test_a_redis_that_stops_and_comes_back_stops_no_job(
    env: dict[str, str], own_redis: OwnRedis, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with ServerProcess(env, ["--no-worker"]) as server, a_worker(env, tmp_path):
        await all_succeed(http, server, [await submit(http, server)])
        await asyncio.to_thread(own_redis.stop, signal.SIGKILL)
        await all_succeed(http, server, [await submit(http, server) for _ in range(JOBS)])
        await asyncio.to_thread(own_redis.start)
        await all_succeed(http, server, [await submit(http, server) for _ in range(JOBS)])


async def test_server_and_worker_start_and_work_while_redis_is_away(
    env: dict[str, str], own_redis: OwnRedis, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await asyncio.to_thread(own_redis.stop, signal.SIGKILL)
    async with ServerProcess(env, ["--no-worker"]) as server, a_worker(env, tmp_path):
        await all_succeed(http, server, [await submit(http, server) for _ in range(JOBS)])
        async with http.get(f"{server.url}/health/ready") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "degraded")
