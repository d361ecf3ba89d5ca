"""Servers on loopback for tests of `safefetch`, and names that lead to them.

`PUBLIC` stands for an address out in the world: `permits` allows it. `INTERNAL` is judged by the real policy.
Each server has a port of its own, to which only the world's resolver leads, so that URLs need to name none.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from mediagen.addresses import is_public
from mediagen.safefetch import Fetcher

PUBLIC = "127.0.0.2"
INTERNAL = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile"

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def permits(address: str) -> bool:
    """The real policy, but for `PUBLIC`."""
    return address == PUBLIC or is_public(address)


def never(_url: str) -> bool:
    """Trust nobody."""
    return False


def redirect(location: str, *headers: str) -> bytes:
    """Return the answer that leads to `location`."""
    lines = ["HTTP/1.1 302 Found", f"Location: {location}", "Content-Length: 0", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Server:
    """Answer every request the same way, keep the connection while the caller does, and remember who came.

    The answer is bytes, or a function that writes what it likes; when that returns the connection is closed.
    """

    def __init__(self, answer: bytes | Speak) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self.left = asyncio.Event()  # set when a client has closed its connection
        self._callers: list[Any] = []
        self._called = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, tls: ssl.SSLContext | None) -> None:
        self._server = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._called:
            self._callers.append(writer.get_extra_info("peername"))
            self._called.notify_all()
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await _request(reader))
                if not isinstance(self._answer, bytes):
                    await self._answer(reader, writer)
                    break
                writer.write(self._answer)
        self.left.set()
        writer.close()

    async def connections(self) -> int:
        """Return how many came. They are accepted in order, so that seeing our own call proves the count."""
        _, writer = await asyncio.open_connection(self.host, self.port)
        ours = writer.get_extra_info("sockname")
        async with self._called:
            await self._called.wait_for(lambda: ours in self._callers)
            self._callers.remove(ours)
            writer.close()
            return len(self._callers)

    async def close(self) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks)


def note_connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets every address a socket is told to connect to; none beyond this machine is reached."""
    addresses: list[Any] = []
    connect = socket.socket.connect

    def note(sock: socket.socket, address: Any) -> None:
        addresses.append(address)
        if not str(address[0]).startswith("127."):
            raise ConnectionRefusedError("nothing is reached in tests")
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    return addresses


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((h[15:] for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), b"0")
    return head + await reader.readexactly(int(length))


class World:
    """Servers, the names that lead to them, and a fetcher that knows these names only."""

    def __init__(self) -> None:
        self.names: dict[str, list[tuple[str, int]]] = {}
        self.lookups: list[str] = []
        self.servers: list[Server] = []
        self.fetchers: list[Fetcher] = []

    async def server(
        self, name: str, answer: bytes | Speak = OK, *, host: str = PUBLIC, tls: ssl.SSLContext | None = None
    ) -> Server:
        server = Server(answer)
        await server.start(host, tls)
        self.servers.append(server)
        self.names[name] = [(server.host, server.port)]
        return server

    def fetcher(self, **options: Any) -> Fetcher:
        """Return a fetcher for small files with the tests' policy, changed by `options`."""
        defaults = {"max_bytes": 1000, "answer_timeout_s": 30, "resolver": self.resolve, "permits": permits}
        fetcher = Fetcher(**{**defaults, **options})
        self.fetchers.append(fetcher)
        return fetcher

    async def resolve(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        self.lookups.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.names[host]

    async def fetch(self, url: str, *, trusts: Callable[[str], bool] = never, **options: Any) -> bytes:
        async with self.fetcher(**options).open(url, trusts=trusts) as download:
            return b"".join([chunk async for chunk in download.chunks])

    async def close(self) -> None:
        for fetcher in self.fetchers:
            await fetcher.close()
        for server in self.servers:
            await server.close()
