"""What one run of chaos happens to: servers of its own, the evil provider, and two processes of each kind."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import aiohttp

from proof.chaos.supervised import Supervised
from proof.kill_world import outside, printed_url
from proof.processes import Process
from tests.fakes.ports import free_port
from tests.fakes.started import OwnPostgres, OwnRedis

if TYPE_CHECKING:
    from proof.chaos.designs import Design

T = TypeVar("T")

OF_EACH = 2  # API processes, and workers

_LIVE_S = 60.0
_CLIENT = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done to an installation."""

    seconds: float
    kill_every_s: float
    flush_every_s: float
    postgres_restarts: int  # each as after a crash
    rate: float  # jobs submitted per second
    settle_s: float  # from the last fault until all must have ended
    seed: int = 1
    evil: bool = True  # what the provider is
    faults: str = "old"  # of the provider: evil_provider.FAULTS


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What both kinds of processes are told."""

    folder: Path
    postgres: OwnPostgres
    redis: OwnRedis
    provider_url: str


@dataclass
class Run:
    """One installation under chaos, and all that was seen of it."""

    plan: Plan
    design: "Design"
    servers: Servers
    environment: Mapping[str, str]
    apis: list[Supervised]
    workers: list[Supervised]
    urls: list[str]
    session: aiohttp.ClientSession
    accepted: dict[int, set[str]] = field(default_factory=dict)  # job number -> ids that it was answered with
    odd_answers: list[str] = field(default_factory=list)  # 5xx that were no 503
    refused: int = 0  # submits that had to be sent again
    kills: int = 0
    flushes: int = 0
    restarts: int = 0
    recovered_s: list[float] = field(default_factory=list)
    never_recovered: int = 0
    over: bool = False  # nothing is waited for any more

    @property
    def processes(self) -> list[Supervised]:
        return [*self.apis, *self.workers]

    def prompt(self, number: int) -> str:
        return f"job {number} of seed {self.plan.seed}"


@asynccontextmanager
async def world(plan: Plan, design: "Design", folder: Path) -> AsyncIterator[Run]:
    """Start everything in an empty folder, wait until it answers, and end it whatever happens."""
    async with AsyncExitStack() as stack:
        postgres = await _entered(stack, OwnPostgres())
        redis = await _entered(stack, OwnRedis())
        servers = Servers(
            folder=folder,
            postgres=postgres,
            redis=redis,
            provider_url=await _provider(stack, plan, folder),
        )
        urls = [f"http://127.0.0.1:{free_port()}" for _ in range(OF_EACH)]
        environment = {**outside(), **await design.prepare(stack, servers, urls)}
        apis = [
            _supervised(f"api-{number}", design.api(url), folder, environment)
            for number, url in enumerate(urls)
        ]
        workers = [
            _supervised(f"worker-{number}", design.worker(number), folder, environment, worker=True)
            for number in range(OF_EACH)
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=_CLIENT))
        for process in (*apis, *workers):
            await stack.enter_async_context(process.running())
        run = Run(
            plan=plan,
            design=design,
            servers=servers,
            environment=environment,
            apis=apis,
            workers=workers,
            urls=urls,
            session=session,
        )
        for url in urls:
            await _until_live(run, url)
        _demand_no_end(run)
        yield run


async def _entered(stack: AsyncExitStack, server: AbstractContextManager[T]) -> T:
    return await asyncio.to_thread(stack.enter_context, server)


async def _provider(stack: AsyncExitStack, plan: Plan, folder: Path) -> str:
    log = folder / "provider.log"
    command = (sys.executable, "-m", "proof.evil_provider", "--seed", str(plan.seed), "--faults", plan.faults)
    provider = Process(command, folder, outside(), log)
    stack.push_async_callback(provider.kill)
    await provider.start()
    return await printed_url(log)


def _supervised(
    name: str, command: list[str], folder: Path, environment: Mapping[str, str], *, worker: bool = False
) -> Supervised:
    return Supervised(name, command, folder, environment, worker=worker)


async def _until_live(run: Run, url: str) -> None:
    async with asyncio.timeout(_LIVE_S):
        while True:
            try:
                async with run.session.get(f"{url}/health/live") as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.05)


def _demand_no_end(run: Run) -> None:
    for process in run.processes:
        if process.gave_up:
            raise RuntimeError(f"{process.name} does not start: {process.log.read_text()[-2000:]}")
