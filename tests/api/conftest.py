"""A real server on a free loopback port, in this process: mock provider, its own folder, a worker inside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from mediagen.api.app import build_app
from mediagen.runtime import Runtime
from mediagen.settings import Settings
from mediagen.worker.embedded import working

API = "/api/v1"


@dataclass
class Api:
    """A client of one running server."""

    url: str
    http: aiohttp.ClientSession
    runtime: Runtime

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, str], Any]:
        """Return status, headers in lower case, and the JSON body (None when there is none)."""
        async with self.http.request(method, f"{self.url}{path}", **options) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            body = await response.json() if "json" in response.content_type else None
            return response.status, headers, body

    async def generate(self, prompt: str = "a red fox", **more: Any) -> dict[str, Any]:
        body = {"prompt": prompt, "parameters": {"width": 64, "height": 64, "latency_s": 0.05}, **more}
        status, _, job = await self.call("POST", f"{API}/generate", json=body)
        assert status == 202, job
        return dict(job)

    async def finished(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait by the job's own event stream for its end, then return it. A stream that breaks off is read again."""
        while True:
            async with self.http.get(f"{self.url}{API}/jobs/{job['id']}/events") as stream:
                await stream.read()
            _, _, body = await self.call("GET", f"{API}/jobs/{job['id']}")
            if body["status"] in ("completed", "failed", "canceled"):
                return dict(body)


@asynccontextmanager
async def serving(settings: Settings, *, worker: bool = True, port: int = 0) -> AsyncIterator[Api]:
    """Serve until the context ends."""
    async with AsyncExitStack() as stack:
        runtime = await Runtime.start(settings)
        stack.push_async_callback(runtime.close)
        if worker:
            await stack.enter_async_context(working(runtime))
        config = uvicorn.Config(
            build_app(runtime), port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=2
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve())
        await server.up.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        try:
            yield Api(url=f"http://127.0.0.1:{port}", http=http, runtime=runtime)
        finally:
            await runtime.feed.close()
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", database_url=database_url, min_free_bytes=0)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings) as running:
        yield running


@pytest.fixture
async def idle_api(settings: Settings) -> AsyncIterator[Api]:
    """A server without a worker: jobs stay queued."""
    async with serving(settings, worker=False) as running:
        yield running
