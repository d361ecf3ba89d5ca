"""Requests that come slowly, never whole, or weigh too much before they are one: over real sockets, ended in time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from mediagen.api import protocol
from mediagen.api.protocol import MOST_HEAD_BYTES, BoundedProtocol
from tests.fakes.server_process import ServerProcess

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Call = Callable[[], Awaitable[Peer]]

BEGUN = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"
WHOLE = b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A server on a free port whose app reads the body, then answers with what it got."""

    def __init__(self) -> None:
        self.connections: list[BoundedProtocol] = []
        self.heard = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._state = ServerState()
        self._config = uvicorn.Config(
            self._app, interface="asgi3", log_config=None, ws="none", lifespan="off"
        )

    def connect(self) -> BoundedProtocol:
        served = self

        class Noted(BoundedProtocol):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                served.heard.set()

        made = Noted(self._config, self._state, {})
        self.connections.append(made)
        return made

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await self.may_answer.wait()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def served() -> Served:
    return Served()


@pytest.fixture
async def call(served: Served) -> AsyncIterator[Call]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(served.connect, "127.0.0.1", 0)
    peers: list[Peer] = []

    async def connected() -> Peer:
        peers.append(await asyncio.open_connection(*server.sockets[0].getsockname()))
        return peers[-1]

    async with server:
        yield connected
        for _, writer in peers:
            writer.close()


async def said(served: Served, peer: Peer, data: bytes) -> None:
    """Send it, and return when the server has it."""
    served.heard.clear()
    peer[1].write(data)
    async with asyncio.timeout(10):
        await served.heard.wait()


async def rest(peer: Peer) -> bytes:
    async with asyncio.timeout(10):
        return await peer[0].read()


@pytest.mark.parametrize("begun", [BEGUN, b"GET /sl", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_request_that_does_not_come_whole_is_refused_in_time(
    served: Served, call: Call, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    peer = await call()
    await said(served, peer, begun)
    served.connections[0].end_if_late()  # not yet
    monkeypatch.setattr(protocol, "ARRIVES_WITHIN_S", -1)
    served.connections[0].end_if_late()
    answer = await rest(peer)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"send it again" in answer


async def test_a_connection_that_says_nothing_is_ended_without_a_word(
    served: Served, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await call()
    await said(served, await call(), b"G")  # by now the first is connected, too
    monkeypatch.setattr(protocol, "ARRIVES_WITHIN_S", -1)
    served.connections[0].end_if_late()
    assert await rest(peer) == b""


async def test_who_waits_for_an_answer_or_asks_seldom_is_left_alone(
    served: Served, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "ARRIVES_WITHIN_S", -1)
    served.may_answer.clear()
    peer = await call()
    await said(served, peer, WHOLE)
    served.connections[0].end_if_late()
    served.may_answer.set()
    async with asyncio.timeout(10):
        assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    served.connections[0].end_if_late()
    await said(served, peer, WHOLE)
    async with asyncio.timeout(10):
        assert (await peer[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_a_stop_refuses_what_is_not_whole_and_answers_what_is(served: Served, call: Call) -> None:
    served.may_answer.clear()
    whole, begun = await call(), await call()
    await said(served, whole, WHOLE)
    await said(served, begun, BEGUN)
    for connection in served.connections:
        connection.shutdown()
    refused = await rest(begun)
    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 2\r\n" in refused
    served.may_answer.set()
    assert (await rest(whole)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_head_without_end_is_refused(served: Served, call: Call) -> None:
    peer = await call()
    await said(served, peer, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MOST_HEAD_BYTES)
    assert (await rest(peer)).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@asynccontextmanager
async def posting(tmp_path: Path, begun: str) -> AsyncIterator[tuple[ServerProcess, Peer]]:
    """Start a server and send it the beginning of a submit, from its next header on."""
    async with ServerProcess({"DATA_DIR": str(tmp_path / "data")}) as server:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/v1/generate HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}{begun}".encode())
        yield server, (reader, writer)
        writer.close()


async def test_a_server_that_stops_is_not_held_up_by_half_a_request(tmp_path: Path) -> None:
    begun = "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
    async with posting(tmp_path, begun) as (server, (reader, writer)):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # the app waits for it
        writer.write(b'{"p')
        asked_at = asyncio.get_running_loop().time()
        assert await server.stop() == 0
        took_s = asyncio.get_running_loop().time() - asked_at
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        assert took_s < 9, "the grace for requests was waited for"
        assert "Traceback" not in server.log


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(tmp_path: Path) -> None:
    begun = 'Content-Length: 99999999\r\n\r\n{"p'
    async with posting(tmp_path, begun) as (_, (reader, _)), asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
