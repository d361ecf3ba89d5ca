"""`mediagen worker`: jobs run in processes of their own, beside a server that runs none."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.distributed.processes import API, BROKERS, END_S, WORKER, a_broker, a_process, submit, until
from tests.fakes.server_process import ServerProcess

# Each broker once: it knows nothing of the database. Without one the database itself tells the worker, or is looked at.
BESIDE = [("alone", "sqlite"), ("alone", "postgresql"), ("redis", "postgresql"), ("rabbitmq", "sqlite")]
pytestmark = pytest.mark.parametrize(
    ("broker", "database_url"),
    [pair for pair in BESIDE if pair[0] in ("alone", *BROKERS)],
    indirect=["database_url"],
)


@pytest.fixture
def env(broker: str, database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a whole installation, with a broker of each kind and without one."""
    with a_broker(broker) as settings:
        yield {
            "DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": database_url,
            "WORKER_POLL_INTERVAL": "0.2",
            "MIN_FREE_BYTES": "0",
            **settings,
        }


async def test_a_worker_runs_what_a_server_accepts_and_ends_when_told(
    env: dict[str, str], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    async with ServerProcess(env, ["--no-worker"]) as server:
        waiting = await submit(http, server)  # before there is any worker: it waits for one
        async with a_process(WORKER, env, log) as worker:
            async with asyncio.timeout(END_S):
                assert b"event: succeeded" in await until(http, server, waiting, b"succeeded")
                assert b"event: succeeded" in await until(
                    http, server, await submit(http, server), b"succeeded"
                )
                worker.send_signal(signal.SIGTERM)
                assert await worker.wait() == 0, log.read_text()
    assert '"event": "worker.started"' in log.read_text()


async def test_what_a_killed_worker_left_is_taken_over_by_another(
    env: dict[str, str], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with ServerProcess(env, ["--no-worker"]) as server:
        async with a_process(WORKER, env, tmp_path / "first.log") as first:
            job_id = await submit(http, server, latency_s=1)
            async with asyncio.timeout(END_S):
                await until(http, server, job_id, b"accepted")
            first.kill()
            await first.wait()
        async with a_process(WORKER, env, tmp_path / "second.log"), asyncio.timeout(END_S):
            heard = await until(http, server, job_id, b"succeeded")
        assert heard.count(b"event: accepted") <= 1
        async with http.get(f"{server.url}{API}/jobs/{job_id}") as answer:
            job = await answer.json()
        assert (job["status"], len(job["attempts"])) == ("completed", 1)
