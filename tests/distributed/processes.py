"""Processes of an installation that runs in several, and how tests talk to it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

from tests.fakes import kept, servers
from tests.fakes.server_process import ServerProcess

API = "/api/v1"
END_S = 60.0
BROKERS = ["redis", *(["rabbitmq"] if servers.rabbitmq_source() else [])]  # the tests say what they leave out
WORKER = (sys.executable, "-m", "mediagen", "worker")


@asynccontextmanager
async def a_process(
    command: Sequence[str], env: Mapping[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command; it is ended, hard if it must be."""
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command, env={**kept.mark(), **env, "PATH": os.environ["PATH"]}, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextmanager
def a_broker(kind: str) -> Iterator[dict[str, str]]:
    """Yield the settings of a broker of the kind; none for any other."""
    if kind == "redis":
        yield {"REDIS_URL": servers.redis_url()}
    elif kind == "rabbitmq":
        with servers.rabbitmq() as settings:
            yield settings
    else:
        yield {}


async def submit(http: aiohttp.ClientSession, server: ServerProcess, latency_s: int = 0) -> str:
    """Submit a small picture to the mock; return the job's id."""
    body = {"prompt": "a red fox", "parameters": {"width": 64, "height": 64, "latency_s": latency_s}}
    async with http.post(f"{server.url}{API}/generate", json=body) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def until(http: aiohttp.ClientSession, server: ServerProcess, job_id: str, word: bytes) -> bytes:
    """Follow the job's events until one is named so, or its stream ends; return what came."""
    heard = b""
    async with http.get(f"{server.url}{API}/jobs/{job_id}/events") as events:
        async for line in events.content:
            heard += line
            if line.strip() == b"event: " + word:
                break
    return heard


async def all_succeed(http: aiohttp.ClientSession, server: ServerProcess, jobs: Sequence[str]) -> None:
    """Wait for the end of all of them, which must be a good one."""
    async with asyncio.timeout(END_S):
        for heard in await asyncio.gather(*(until(http, server, job, b"succeeded") for job in jobs)):
            assert b"event: succeeded" in heard, heard.decode()
