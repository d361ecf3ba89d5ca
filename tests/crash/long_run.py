"""Tests that never end, for `test_killed_run.py`: they start one of everything, say so, and wait to be killed.

Not found by pytest by itself: its name says that it is no test of the suite.
"""

import asyncio
import os
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from tests.distributed.processes import WORKER, a_process
from tests.fakes import servers
from tests.fakes.rclone import strict_s3
from tests.fakes.s3 import S3Server
from tests.fakes.server_process import ServerProcess
from tests.security.chromium import launched

TELL = "LONG_RUN_TELLS"  # the port of whom waits for it


async def _wait_for_ever() -> None:
    """Say that this test is up, and wait."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(os.environ[TELL]))
    writer.write(b"up\n")
    await asyncio.Event().wait()


@pytest.mark.timeout(0)
async def test_of_files_and_browsers() -> None:
    with ExitStack() as stack:
        stack.enter_context(S3Server())
        stack.enter_context(strict_s3())
        async with launched() as browser:
            await browser.new_page()
            await _wait_for_ever()


@pytest.mark.timeout(0)
async def test_of_jobs(tmp_path: Path) -> None:
    with servers.database() as url:
        env = {
            "DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": url,
            "REDIS_URL": servers.redis_url(),
            "MIN_FREE_BYTES": "0",
        }
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(ServerProcess(env, ["--no-worker"]))
            await stack.enter_async_context(a_process(WORKER, env, tmp_path / "worker.log"))
            await _wait_for_ever()


@pytest.mark.timeout(0)
async def test_of_all(tmp_path: Path) -> None:
    await asyncio.gather(test_of_files_and_browsers(), test_of_jobs(tmp_path))
