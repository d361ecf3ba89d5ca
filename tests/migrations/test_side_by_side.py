"""A migration under a running server of the version before: it goes on serving, and what it writes stays right."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path

import aiohttp
import pytest

from mediagen.db import migrate
from tests.fakes.server_process import ServerProcess
from tests.fakes.servers import KINDS, bare_database

API = "/api/v1"
JOBS = 8  # submitted at a time, before, while and after the schema changes

NEXT = '''
"""What a next version may do: add. To take away is for the version after it."""

import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("stars", sa.Integer, nullable=False, server_default="0"))
    op.add_column("job_events", sa.Column("actor", sa.Text))
    op.create_table("reviews", sa.Column("job_id", sa.Text, primary_key=True), sa.Column("text", sa.Text))
    op.create_index("jobs_by_stars", "jobs", ["stars"])
'''


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, not the server's, be of a version with one more migration."""
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate._SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next.py").write_text(NEXT.format(before=migrate.HEAD))
    monkeypatch.setattr(migrate, "_SCRIPTS", scripts)
    monkeypatch.setattr(migrate, "HEAD", "next")


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a database that no other test is lent afterwards: its schema grows."""
    with bare_database() if request.param == "postgresql" else nullcontext("") as url:
        yield url


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    env = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": database_url}
    async with ServerProcess(env) as running:
        yield running


async def test_the_version_before_goes_on_serving_while_and_after_the_schema_grows(
    server: ServerProcess, database_url: str, tmp_path: Path, next_version: None
) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(90):
        jobs = await submit_some(http, server)
        file = tmp_path / "data" / "mediagen.db"
        upgrade = (migrate.migrate_postgres, database_url) if database_url else (migrate.migrate_sqlite, file)
        migrating = asyncio.create_task(asyncio.to_thread(*upgrade))
        jobs += await submit_some(http, server)
        assert await migrating is True
        jobs += await submit_some(http, server)
        assert [await outcome(http, server, job_id) for job_id in jobs] == ["completed"] * len(jobs)
        async with http.get(f"{server.url}{API}/health/ready") as response:
            health = await response.json()
        assert (response.status, health["status"]) == (200, "ok"), health
        assert migrate.HEAD in health["components"]["database"]["detail"]
    assert "Traceback" not in server.log


async def submit_some(http: aiohttp.ClientSession, server: ServerProcess) -> list[str]:
    return list(await asyncio.gather(*(submit(http, server, f"picture {n}") for n in range(JOBS))))


async def submit(http: aiohttp.ClientSession, server: ServerProcess, prompt: str) -> str:
    body = {"prompt": prompt, "parameters": {"width": 64, "height": 64, "latency_s": 0.2}}
    async with http.post(f"{server.url}{API}/generate", json=body) as response:
        assert response.status == 202, await response.text()
        return str((await response.json())["id"])


async def outcome(http: aiohttp.ClientSession, server: ServerProcess, job_id: str) -> str:
    async with http.get(f"{server.url}{API}/jobs/{job_id}/events") as stream:
        await stream.read()
    async with http.get(f"{server.url}{API}/jobs/{job_id}") as response:
        return str((await response.json())["status"])
