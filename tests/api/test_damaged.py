"""A database with a bad page: the API says that it can't be used, and readiness does, too."""

import sqlite3
from pathlib import Path

import pytest

from mediagen.settings import Settings
from tests.api.conftest import API, Api, serving


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", database_url="", min_free_bytes=0)


def break_jobs(path: Path) -> None:
    """Overwrite the pages that hold the rows of the jobs."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


async def test_a_damaged_database_is_said_to_be_so(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, worker=False) as api:
        job = await api.generate()
    break_jobs(tmp_path / "data" / "mediagen.db")
    async with serving(settings, worker=False) as api:
        await _says_so(api, job["id"])


async def _says_so(api: Api, job_id: str) -> None:
    for path in ("/jobs", f"/jobs/{job_id}", "/stats"):
        status, _, problem = await api.call("GET", f"{API}{path}")
        assert (status, "damaged" in problem["detail"], "mediagen doctor" in problem["detail"]) == (
            503,
            True,
            True,
        )
    status, _, problem = await api.call("POST", f"{API}/generate", json={"prompt": "x"})
    assert status == 503
    status, _, health = await api.call("GET", f"{API}/health/ready")
    assert (status, health["components"]["database"]["status"]) == (503, "failing")
    assert "damaged" in health["components"]["database"]["detail"]


async def test_nobody_else_on_the_machine_can_read_the_database(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, worker=False) as api:
        await api.generate()
        folder = tmp_path / "data"
        modes = {
            path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if "mediagen.db" in path.name
        }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {name: mode for name, mode in modes.items() if name in ("mediagen.db", "mediagen.db-wal")} == {
        "mediagen.db": 0o600,
        "mediagen.db-wal": 0o600,
    }
