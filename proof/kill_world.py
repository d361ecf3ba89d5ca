"""The processes of a kill loop: the server and the provider, and what both are told."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proof.evil_provider import LISTED_AFTER_S
from proof.kill_verdict import Restart
from proof.processes import Process
from tests.fakes import kept
from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[1]

SETTINGS = {
    "RECONCILE_GRACE": "4",  # no create takes longer from its arrival to the list: evil_provider.LISTED_AFTER_S
    "PROVIDER_CREATES_PER_S": "500",
    "DOUBT_S": "150",  # others who buy just what a lost call asked for leave it open whether that was bought
    "JOB_TIMEOUT": "60",
    "RETRY_BACKOFF_BASE": "0.2",
    "MAX_RETRIES": "20",  # answers are lost far more often than anywhere else, and each uses an attempt
    "LEASE_S": "5",
    "WORKER_POLL_INTERVAL": "0.5",
    "MIN_FREE_BYTES": "0",
}

_CLIENT = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run does."""

    jobs: int
    kills: int
    rate: float  # jobs submitted per second at most; they are spread over all kills
    seed: int
    least_s: float = 1.0  # from the server's first answer to the next kill
    most_s: float = 3.0
    listed_after_s: float = LISTED_AFTER_S  # the provider's bound, which RECONCILE_GRACE has to cover
    faults: str = "old"  # of the provider: evil_provider.FAULTS
    marked: bool = True  # whether calls carry an address that names them, at which the provider rings


@dataclass
class Run:
    """One run under way."""

    plan: Plan
    folder: Path
    server: Process
    url: str
    provider_url: str
    environment: Mapping[str, str]
    session: aiohttp.ClientSession
    accepted: dict[int, set[str]] = field(default_factory=dict)  # job number -> ids that the server gave
    restarts: list[Restart] = field(default_factory=list)
    killed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def prompt(self, number: int) -> str:
        return f"job {number} of seed {self.plan.seed}"

    async def get(self, path: str) -> Any:
        """Return what the server answers."""
        async with self.session.get(self.url + path) as answer:
            answer.raise_for_status()
            return await answer.json()


@asynccontextmanager
async def world(plan: Plan, folder: Path) -> AsyncIterator[Run]:
    """Start the provider, make all ready for the server, and end both whatever happens."""
    evil = ("--seed", str(plan.seed), "--listed-after", str(plan.listed_after_s), "--faults", plan.faults)
    command = (sys.executable, "-m", "proof.evil_provider", *evil)
    provider = Process(command, folder, outside(), folder / "provider.log")
    try:
        await provider.start()
        provider_url = await printed_url(folder / "provider.log")
        url = f"http://127.0.0.1:{free_port()}"
        environment = {**outside(), **_settings(folder, url, provider_url)}
        if plan.marked:
            environment["PUBLIC_URL"] = url
        server = Process(
            (sys.executable, "-m", "mediagen", "serve"), folder, environment, folder / "server.log"
        )
        try:
            async with aiohttp.ClientSession(timeout=_CLIENT) as session:
                yield Run(
                    plan=plan,
                    folder=folder,
                    server=server,
                    url=url,
                    provider_url=provider_url,
                    environment=environment,
                    session=session,
                )
        finally:
            await server.kill()
    finally:
        await provider.kill()


def outside() -> dict[str, str]:
    """Return what processes see of our environment."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", **kept.mark()}


def _settings(folder: Path, url: str, provider_url: str) -> dict[str, str]:
    return {
        **SETTINGS,
        "DATA_DIR": str(folder / "data"),
        "PORT": url.rpartition(":")[2],
        "REPLICATE_API_TOKEN": "r8_fake",
        "REPLICATE_API_BASE_URL": provider_url,
        "REPLICATE_DEFAULT_MODEL": "acme/painter",
    }


async def printed_url(log: Path) -> str:
    """Return the address that a provider writes into its log when it is up."""
    async with asyncio.timeout(60):
        while True:
            text = await asyncio.to_thread(log.read_text)
            if text.endswith("\n"):
                break
            await asyncio.sleep(0.05)
    if not text.startswith("http://"):
        raise RuntimeError(f"the provider does not start: {text}")
    return text.strip()
