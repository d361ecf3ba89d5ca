"""The PostgreSQL server crashes and comes back under a running API and a running worker: nothing is lost or doubled."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.replicate import FakeReplicate
from tests.fakes.server_process import ServerProcess
from tests.fakes.servers import demand
from tests.fakes.started import OwnPostgres, postgres_bin

API = "/api/v1"
RESTARTS = 3
BACK_S = 5.0  # promised: from the database's first answer to ours
ACCOUNT = "r8_test0123456789"


@dataclass
class Customer:
    """Submits jobs one after another, each until it is taken, and notes what it was told."""

    http: aiohttp.ClientSession
    url: str
    keys: list[str] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)  # key -> job id
    refused: list[tuple[int, bool]] = field(default_factory=list)  # status, and whether it named a time
    taken: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        while True:
            key = f"order {len(self.keys)}"
            self.keys.append(key)
            await self._submit(key)

    async def finish(self) -> None:
        """Submit what was begun once more, as a client does that got no answer."""
        for key in self.keys:
            if key not in self.jobs:
                await self._submit(key)

    async def _submit(self, key: str) -> None:
        body = {"prompt": key, "parameters": {"width": 64, "height": 64}}
        while key not in self.jobs:
            async with self.http.post(
                f"{self.url}{API}/generate", json=body, headers={"Idempotency-Key": key}
            ) as response:
                if response.status == 202:
                    await self._note(key, (await response.json())["id"])
                else:
                    assert response.content_type == "application/problem+json"
                    self.refused.append((response.status, "Retry-After" in response.headers))
                    await asyncio.sleep(0.05)  # far less than it is told, to see much

    async def _note(self, key: str, job_id: str) -> None:
        async with self.taken:
            self.jobs[key] = job_id
            self.taken.notify_all()

    async def until_taken(self, more: int) -> None:
        """Wait until so many more jobs were taken."""
        goal = len(self.jobs) + more
        async with asyncio.timeout(30), self.taken:
            await self.taken.wait_for(lambda: len(self.jobs) >= goal)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A database, an API, a worker and a provider, each in a process of its own but the last."""

    postgres: OwnPostgres
    api: ServerProcess
    worker: ServerProcess
    replicate: FakeReplicate
    http: aiohttp.ClientSession

    async def crash(self) -> None:
        await asyncio.to_thread(self.postgres.stop, signal.SIGQUIT)

    async def start(self) -> None:
        await asyncio.to_thread(self.postgres.start)

    async def get(self, path: str) -> tuple[int, dict[str, str], str]:
        async with self.http.get(self.api.url + path) as response:
            return response.status, dict(response.headers), await response.text()

    async def ended(self, job_id: str) -> dict[str, object]:
        while True:
            await self.get(f"{API}/jobs/{job_id}/events")
            job = dict(json.loads((await self.get(f"{API}/jobs/{job_id}"))[2]))
            if job["completed_at"]:
                return job


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    demand(postgres_bin(), "PostgreSQL")
    with OwnPostgres() as postgres:
        async with FakeReplicate(token=ACCOUNT) as replicate, aiohttp.ClientSession() as http:
            settings = {
                "DATABASE_URL": postgres.url,
                "STORAGE_PATH": str(tmp_path / "artifacts"),
                "REPLICATE_API_TOKEN": ACCOUNT,
                "REPLICATE_API_BASE_URL": replicate.url,
                "RECONCILE_GRACE": "1",
                "RETRY_BACKOFF_BASE": "0.1",
                "PROVIDER_CREATES_PER_S": "100",
            }
            async with (
                ServerProcess({"DATA_DIR": str(tmp_path / "api"), **settings}, ["--no-worker"]) as api,
                ServerProcess({"DATA_DIR": str(tmp_path / "worker"), **settings}) as worker,
            ):
                try:
                    yield Site(postgres=postgres, api=api, worker=worker, replicate=replicate, http=http)
                except BaseException:
                    sys.stderr.write(api.log + worker.log)
                    raise


async def test_crashes_of_the_database_lose_no_job_and_buy_none_twice(site: Site) -> None:
    customer = Customer(site.http, site.api.url)
    submitting = asyncio.create_task(customer.run())
    async with asyncio.timeout(100):
        for _ in range(RESTARTS):
            await customer.until_taken(10)
            await site.crash()
            await expect_unavailable(site)
            await site.start()
            back = time.monotonic()
            await customer.until_taken(1)
            assert time.monotonic() - back < BACK_S
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
        await customer.finish()
        for job_id in customer.jobs.values():
            job = await site.ended(job_id)
            assert job["status"] == "completed", job
    assert set(customer.refused) == {(503, True)}
    assert site.replicate.stats()["bought_twice"] == []
    assert site.replicate.stats()["created"] == len(set(customer.jobs.values())) == len(customer.keys)
    assert "Traceback" not in site.api.log + site.worker.log


async def expect_unavailable(site: Site) -> None:
    """Expect that every address that needs the database says so, and the others answer."""
    unknown = "00000000-0000-7000-8000-000000000000"
    for path in ("/jobs", "/events", "/stats", "/models", f"/status/{unknown}", f"/jobs/{unknown}/events"):
        status, headers, body = await site.get(API + path)
        assert (status, "Retry-After" in headers) == (503, True), (path, status, body)
        assert json.loads(body)["code"] == "unavailable"
    status, _, body = await site.get(f"{API}/health/ready")
    part = json.loads(body)["components"]["database"]
    assert (status, part["status"]) == (503, "failing")
    assert "does not answer" in part["detail"]
    assert (await site.get(f"{API}/health/live"))[0] == 200
