"""Flower, started by the very command that the documents show, lets nobody in without the login."""

import asyncio
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.distributed.processes import END_S, WORKER, a_process
from tests.fakes import servers
from tests.fakes.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "scale-out.md"
PASSWORD = "a password of the tests"
FREE = ("/metrics", "/healthcheck")
CLOSED = ("/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/api/queues/length")


def documented(port: int) -> list[str]:
    """Return the command of the page, on another port."""
    [line] = re.findall(r"^celery .* flower .*$", PAGE.read_text(), re.M)
    own = line.replace("--port=5555", f"--port={port}").replace("celery ", "exec celery ", 1)
    return ["sh", "-c", own]


def login(password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth("operator", password)}


async def until_up(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(END_S):
        while True:
            try:
                async with http.get(f"{url}/healthcheck") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)  # a server gives no other sign that it is up


async def until_shown(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
    """Ask for the workers until there is one: it may still be starting."""
    async with asyncio.timeout(END_S):
        while True:
            async with http.get(url, headers=headers) as answer:
                assert answer.status == 200
                if len(await answer.json()) == 1:
                    return


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "DATA_DIR": str(tmp_path / "data"),
        "REDIS_URL": servers.redis_url(),
        "MIN_FREE_BYTES": "0",
        "FLOWER_PASSWORD": PASSWORD,
        "HOME": str(tmp_path),
    }


async def test_flower_asks_for_the_login_and_shows_the_workers_to_who_has_it(
    env: dict[str, str], http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", tmp_path / "flower.log"
    right, wrong = login(PASSWORD), login("guessed")
    async with (
        a_process(WORKER, env, tmp_path / "worker.log"),
        a_process(documented(port), env, log),
    ):
        await until_up(http, url)
        for path in CLOSED:
            for headers in ({}, wrong):
                async with http.get(url + path, headers=headers) as answer:
                    assert answer.status == 401, (path, headers)
        for path in ("/", "/tasks", "/api/tasks"):
            async with http.get(url + path, headers=right) as answer:
                assert answer.status == 200, path
        for path in FREE:
            async with http.get(url + path) as answer:
                assert answer.status == 200, path
        await until_shown(http, f"{url}/api/workers?refresh=1", right)
    assert PASSWORD not in log.read_text()
