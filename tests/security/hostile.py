"""A provider that sells anything, and a real server that buys from it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from proof.serving import Server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_data import Kept

API = "/api/v1"
TOKEN = "r8_fakeTokenThatIsNoSecret0123456789abcd"
FINISH_S = 180.0
_PAUSE_S = 0.01

File = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HostileProvider(FakeReplicate):
    """A fake Replicate whose files, outputs and descriptions of models are what the test says.

    A job's parameter "file" names the file that it gets, its parameter "output" the output that links to files.
    """

    def __init__(self, token: str = TOKEN) -> None:
        super().__init__(token=token)
        self.files: dict[str, File] = {}
        self.outputs: dict[str, Callable[[str], Any]] = {}  # given our own address
        self.models: dict[str, dict[str, Any]] = {}  # what is said of a model, by its name
        self.downloads: list[dict[str, str]] = []  # headers of the requests for files

    def _output(self, kept: Kept) -> Any:
        made = self.outputs.get(str(kept.input.get("output")))
        return super()._output(kept) if made is None else made(self.url)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self.downloads.append(dict(request.headers))
        kept = self.kept.get(request.match_info["ref"])
        file = self.files.get(str(kept.input.get("file"))) if kept else None
        return await super()._file(request) if file is None else await file(request)

    async def _model(self, request: web.Request) -> web.StreamResponse:
        said = self.models.get(request.match_info["name"])
        return await super()._model(request) if said is None else web.json_response(said)

    def settings(self) -> dict[str, str]:
        """Return the settings of a server that buys here, and is quick about it."""
        return {
            "REPLICATE_API_TOKEN": self.token,
            "REPLICATE_API_BASE_URL": self.url,
            "PROVIDER_CREATES_PER_S": "1000",
            "RETRY_BACKOFF_BASE": "0",
            "RECONCILE_GRACE": "0.2",
            "MAX_RETRIES": "0",
            "REPLICATE_RETENTION": "1",  # what can't be fetched is tried for so long, not for an hour
        }


def file_of(data: bytes, media_type: str = "image/png", **headers: str) -> File:
    """Return a file that is these bytes, as the type that it claims to be."""

    async def give(_request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=data, headers={"Content-Type": media_type, **named})

    return give


def raw_file(head: bytes, piece: bytes = b"") -> File:
    """Return a file that is these bytes on the wire, head and all, and then the piece again and again."""

    async def give(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(head)
        while piece and not transport.is_closing():
            if transport.get_write_buffer_size() < 1_000_000:
                transport.write(piece)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(_PAUSE_S)  # spinning would starve the provider's other answers
        transport.close()
        return web.Response()

    return give


@dataclass(frozen=True, kw_only=True)
class Site:
    """A client of one running server."""

    server: Server
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body."""
        async with self.http.request(method, f"{self.server.url}{path}", **options) as response:
            return response.status, response.headers, await response.read()

    async def json(self, path: str) -> Any:
        async with self.http.get(f"{self.server.url}{API}{path}") as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def submit(self, prompt: str = "a red fox", **more: Any) -> str:
        """Submit a job; return its id."""
        async with self.http.post(
            f"{self.server.url}{API}/generate", json={"prompt": prompt, **more}
        ) as response:
            assert response.status == 202, await response.text()
            return str((await response.json())["id"])

    async def finished(self, job_id: str) -> dict[str, Any]:
        """Wait by the job's own events for its end, and return it."""
        async with asyncio.timeout(FINISH_S):
            async with self.http.get(f"{self.server.url}{API}/jobs/{job_id}/events") as events:
                await events.read()
            return dict(await self.json(f"/jobs/{job_id}"))


@asynccontextmanager
async def served(folder: Path, env: Mapping[str, str]) -> AsyncIterator[Site]:
    """Run a server with these settings."""
    async with Server(folder, env) as server, aiohttp.ClientSession() as http:
        yield Site(server=server, http=http)
