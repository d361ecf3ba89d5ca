"""A line between a client and a server that can fall silent."""

import asyncio
from typing import Self
from urllib.parse import urlsplit


class Line:
    """A way to a server on which all can be held up without either side being told. A client's user is kept."""

    def __init__(self, url: str) -> None:
        self.direct = url
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port or 5432)
        self._parts = parts
        self._open = asyncio.Event()
        self._open.set()
        self._words: bytes | None = None
        self._cut = asyncio.Event()
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
        self._cut.set()

    def mend(self) -> None:
        self._open.set()
        self._cut.clear()

    async def until_cut_at(self, words: bytes) -> None:
        """Return when a client has said the words; they, too, do not arrive before the line is mended."""
        self._words = words
        await self._cut.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._to)
        for source, target, asks in ((reader, back, True), (there, writer, False)):
            task = asyncio.create_task(self._carry(source, target, asks=asks))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, asks: bool) -> None:
        try:
            while data := await source.read(65536):
                if asks and self._words is not None and self._words in data:
                    self._words = None
                    self.cut()
                await self._open.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()
