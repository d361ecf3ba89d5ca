"""The world of one scene: a real server, a provider with a fault, and a client."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import aiohttp

from proof.evidence.scene import SETTINGS, Scene
from proof.evidence.verdict import Job, Sale
from proof.kill_world import outside
from proof.processes import Process
from tests.fakes.cog_faults import CogFaults
from tests.fakes.ports import free_port
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_data import Switches, draw
from tests.fakes.started import OwnPostgres

ENDED = ("completed", "failed", "canceled")

_CLIENT = aiohttp.ClientTimeout(total=10)
_GLANCE_S = 0.1
_START_S = 60.0
_KNOWN = {each.name for each in fields(Switches)}


@dataclass(kw_only=True)
class World:
    """One scene under way."""

    scene: Scene
    folder: Path
    replicate: FakeReplicate
    cog: CogFaults
    server: Process
    url: str
    environment: Mapping[str, str]
    session: aiohttp.ClientSession
    ids: dict[int, str] = field(default_factory=dict)  # job number -> the id that the server gave
    unnamed: int = 0  # sales that the audit should have named and did not, or 1 if it gave no answer

    # --- the server

    @property
    def data(self) -> Path:
        return self.folder / "data"

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        await self.server.start()
        async with asyncio.timeout(_START_S):
            while True:
                if not self.server.alive:
                    raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
                with suppress(aiohttp.ClientError, OSError):
                    async with self.session.get(f"{self.url}/health/live") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(_GLANCE_S)

    async def audit(self) -> dict[str, Any] | None:
        """Return what `mediagen audit --json` finds, None when it finds out nothing."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mediagen", "audit", "--json"),
            cwd=self.folder,
            env={**self.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        out, _ = await process.communicate()
        try:
            [found] = json.loads(out)
        except ValueError:
            return None
        return found if isinstance(found, dict) and "orphans" in found else None

    # --- the client

    def prompt(self, number: int) -> str:
        return self.scene.prompt.format(number=number, scene=self.scene.name)

    async def submit(self, numbers: range | None = None) -> None:
        """Submit jobs, by default all of the scene."""
        for number in numbers or range(self.scene.jobs):
            body: dict[str, Any] = {"prompt": self.prompt(number)}
            if self.scene.parameters:
                body["parameters"] = {**self.scene.parameters}
            async with self.session.post(f"{self.url}/api/v1/generate", json=body) as answer:
                said = await answer.json()
                if answer.status != 202:
                    raise RuntimeError(f"job {number} was refused: {answer.status} {said}")
            self.ids[number] = str(said["id"])
            await asyncio.sleep(self.scene.gap_s)

    async def cancel(self) -> None:
        """Cancel all jobs."""
        for job_id in self.ids.values():
            async with self.session.post(f"{self.url}/api/v1/jobs/{job_id}/cancel"):
                pass

    async def until(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until it holds, or it takes too long: the figures will tell."""
        deadline = time.monotonic() + seconds
        while not holds() and time.monotonic() < deadline:  # noqa: ASYNC110  others change what it looks at
            await asyncio.sleep(_GLANCE_S)

    async def until_ended(self) -> None:
        """Wait until every job has ended, or the scene's time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.scene.bound_s):
                while True:
                    async with self.session.get(f"{self.url}/api/v1/stats") as answer:
                        jobs = (await answer.json())["jobs"]
                    if not jobs["pending"] and not jobs["processing"]:
                        return
                    await asyncio.sleep(2 * _GLANCE_S)

    # --- what there is to judge by

    async def jobs(self) -> list[Job]:
        return [await self._job(number, job_id) for number, job_id in self.ids.items()]

    async def _job(self, number: int, job_id: str) -> Job:
        prompt = self.prompt(number)
        async with self.session.get(f"{self.url}/api/v1/jobs/{job_id}") as answer:
            if answer.status == 404:  # the copy of the database that is in use does not know it
                return Job(prompt=prompt, status="forgotten", code="forgotten", right=None)
            view = await answer.json()
        return Job(
            prompt=prompt,
            status=view["status"],
            code=(view["error"] or {}).get("code", ""),
            message=(view["error"] or {}).get("message", "") or view["message"],
            right=await self._is_right(view) if view["artifacts"] else None,
        )

    async def _is_right(self, view: Mapping[str, Any]) -> bool:
        """Tell whether the job's first file is exactly what was drawn for its prompt."""
        expected = self.scene.file or await asyncio.to_thread(draw, {"prompt": view["prompt"]})
        async with self.session.get(self.url + view["artifacts"][0]["path"]) as answer:
            return answer.status == 200 and await answer.read() == expected

    def sales(self) -> list[Sale]:
        """Return the provider's own book of what it sold to us."""
        if self.scene.provider == "cog":
            prompts = {ref: body["input"]["prompt"] for ref, body in self.cog.puts}
            return [Sale(prompt=prompt, status="failed") for prompt in prompts.values()]
        return [Sale(prompt=kept.prompt, status=kept.status) for kept in self.replicate.sold]


@asynccontextmanager
async def world(scene: Scene, folder: Path) -> AsyncIterator[World]:
    """Start the providers, make all ready for the server, and end everything whatever happens."""
    async with AsyncExitStack() as stack:
        replicate = await stack.enter_async_context(FakeReplicate(page_size=scene.page_size))
        cog = await stack.enter_async_context(CogFaults())
        set_faults(replicate, scene.faults)
        url = f"http://127.0.0.1:{free_port()}"
        environment = {**outside(), **_settings(scene, folder, url, replicate, cog)}
        if scene.on_postgres:
            postgres = await asyncio.to_thread(OwnPostgres(durable=False).__enter__)
            stack.push_async_callback(asyncio.to_thread, postgres.close)
            environment["DATABASE_URL"] = postgres.url
        command = (sys.executable, "-m", "mediagen", "serve")
        server = Process(command, folder, environment, folder / "server.log")
        stack.push_async_callback(server.kill)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=_CLIENT))
        yield World(
            scene=scene,
            folder=folder,
            replicate=replicate,
            cog=cog,
            server=server,
            url=url,
            environment=environment,
            session=session,
        )


def set_faults(replicate: FakeReplicate, faults: Mapping[str, Any]) -> None:
    """Set switches of the fake from now on."""
    for name, value in faults.items():
        if name not in _KNOWN:
            raise ValueError(f"the fake has no switch {name!r}")
        setattr(replicate.switches, name, value)


def _settings(
    scene: Scene, folder: Path, url: str, replicate: FakeReplicate, cog: CogFaults
) -> dict[str, str]:
    elsewhere = replicate.elsewhere_url
    if scene.faults.get("file_at") == "host":
        elsewhere = elsewhere.replace("127.0.0.1", "localhost")
    place = elsewhere.removeprefix("http://")
    settings = {name: value.replace("{elsewhere}", place) for name, value in scene.settings.items()}
    provider = {"COG_URL": cog.url}
    if scene.provider == "replicate":
        provider = {
            "REPLICATE_API_TOKEN": "r8_fake",
            "REPLICATE_API_BASE_URL": replicate.url,
            "REPLICATE_DEFAULT_MODEL": "acme/painter",
        }
    public = {"PUBLIC_URL": url} if scene.is_public else {}
    own = {"DATA_DIR": str(folder / "data"), "PORT": url.rpartition(":")[2]}
    return {**SETTINGS, **own, **provider, **public, **settings}
