"""The health check of a worker's container: only a worker of the same machine counts, and only a lively one."""

from pathlib import Path

import pytest

from mediagen.clock import SystemClock
from mediagen.errors import SettingsError
from mediagen.jobs import stats
from mediagen.runtime import build_database, migrate
from mediagen.settings import Settings, load_settings
from mediagen.worker.alive import is_alive
from mediagen.worker.loop import host_name


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path, database_url=database_url)


@pytest.mark.parametrize(
    ("worker", "found"), [(f"{host_name()}:17:abc", True), ("another-machine:17:abc", False), ("", False)]
)
async def test_a_worker_of_this_machine_is_seen(settings: Settings, worker: str, found: bool) -> None:
    migrate(settings)
    database = build_database(settings, SystemClock())
    await database.start()
    if worker:
        await database.transact(lambda connection: stats.beat(connection, worker, 0))
    await database.close()
    assert await is_alive(settings) is found


async def test_a_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        await is_alive(load_settings(data_dir=tmp_path, database_url="postgresql://me:pw@127.0.0.1:9/x"))
