"""A PostgreSQL server that says nothing: the network swallows all, or the machine hangs. Nobody waits for ever."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from mediagen.clock import SystemClock
from mediagen.db import postgres
from mediagen.db.engine import Connection
from mediagen.db.postgres import PostgresDatabase
from mediagen.errors import Unavailable
from tests.fakes.servers import database


class Line:
    """A way to a server that can be cut without either side being told."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port or 5432)
        self._parts = parts
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return self._parts._replace(netloc=f"{self._parts.username}@127.0.0.1:{port}").geturl()

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._to)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._open.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


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
