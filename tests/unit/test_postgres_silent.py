"""A PostgreSQL server that says nothing: the network swallows all, or the machine hangs. Nobody waits for ever."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from mediagen.clock import SystemClock
from mediagen.db import postgres
from mediagen.db.engine import Connection
from mediagen.db.postgres import PostgresDatabase
from mediagen.errors import Unavailable
from tests.fakes.line import Line
from tests.fakes.servers import database


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    with database() as url:
        async with Line(url) as line:
            yield line


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(url, SystemClock())
    await db.start()
    try:
        yield db
    finally:
        await db.close()


def answer(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 42")).scalar_one())


async def test_whoever_waits_for_a_silent_server_is_told_in_time_and_served_when_it_speaks(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_ANSWER_S", 1.0)
    async with opened(line.url) as db:
        assert await db.read(answer) == 42
        line.cut()
        begun = time.monotonic()
        told = await asyncio.gather(*(db.read(answer) for _ in range(20)), return_exceptions=True)
        assert {type(each) for each in told} == {Unavailable}
        assert time.monotonic() - begun < 20  # the driver, too, gives the server ten seconds to be canceled
        line.mend()
        async with asyncio.timeout(5):
            assert await db.read(answer) == 42
