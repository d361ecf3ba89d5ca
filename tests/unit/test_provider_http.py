"""What is known of a request after the network did its worst, seen from both ends of real sockets."""

import asyncio
import contextlib
import gzip
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

from mediagen.errors import InvalidRequest, PredictionGone, ProviderError
from mediagen.providers.answers import Answer
from mediagen.providers.http import Ambiguous, NotSent, ProviderHTTP, paid_socket
from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import (
    Behave,
    answering,
    app_server,
    hang_up,
    http_answer,
    raw_server,
    reset,
    silent,
)

TOKEN = "r8_canary_0123456789"
Connect = Callable[..., ProviderHTTP]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def connect(clock: HandClock) -> AsyncIterator[Connect]:
    made: list[ProviderHTTP] = []

    def new(url: str, **options: Any) -> ProviderHTTP:
        options = {"clock": clock, "headers": {"Authorization": f"Bearer {TOKEN}"}, **options}
        made.append(ProviderHTTP(url, **options))
        return made[-1]

    yield new
    for http in made:
        await http.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens and whose connections nobody has taken yet."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(5)
        yield made


async def send(
    http: ProviderHTTP, *, method: str = "POST", timeout_s: float = 5, json: Any = None
) -> Answer | NotSent | Ambiguous:
    return await http.send_once(method, "/create", json or {"n": 1}, send_by=1001.0, timeout_s=timeout_s)


# --- send_once: a whole answer


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 409, 429, 500, 503])
async def test_a_whole_answer_of_any_status_is_an_answer(connect: Connect, status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"got": await request.json()}, status=status, headers={"X-Id": "7"})

    async with app_server(handler) as url:
        answer = await send(connect(url))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.json, answer.headers["x-id"]) == (status, {"got": {"n": 1}}, "7")


async def test_a_redirect_of_a_paid_request_is_not_followed(connect: Connect) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with app_server(handler) as url:
        answer = await send(connect(url))
    assert isinstance(answer, Answer)
    assert (answer.status, seen) == (307, ["/create"])


async def test_a_body_that_is_no_json_comes_back_as_bytes(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"<html>"))) as server:
        answer = await send(connect(server.url))
    assert isinstance(answer, Answer)
    assert (answer.body, answer.json) == (b"<html>", None)


async def test_the_token_and_the_call_headers_are_sent_and_compression_is_declined(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"{}"))) as server:
        await connect(server.url).send_once(
            "POST", "/a", {}, headers={"Cancel-After": "300s"}, send_by=1001, timeout_s=5
        )
    head = server.requests[0].split(b"\r\n")
    assert f"Authorization: Bearer {TOKEN}".encode() in head
    assert {b"Cancel-After: 300s", b"Accept-Encoding: identity", b"Content-Type: application/json"} <= set(
        head
    )


async def test_a_compressed_answer_is_not_unpacked(connect: Connect) -> None:
    bomb = gzip.compress(bytes(8 * 1024**2))
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(bomb), bomb)
    async with raw_server(answering(raw)) as server:
        answer = await send(connect(server.url))
    assert isinstance(answer, Answer)
    assert answer.body == bomb


async def test_a_body_of_some_megabytes_arrives_whole(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"{}"))) as server:
        await send(connect(server.url), json={"image": "x" * 3_000_000})
    assert server.requests[0].count(b"x") >= 3_000_000


async def test_each_paid_request_has_a_connection_of_its_own(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"{}"))) as server:
        http = connect(server.url)
        await send(http)
        await send(http)
    assert server.connections == 2


async def test_a_proxy_from_the_environment_is_not_used(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_server(hang_up) as proxy, raw_server(answering(http_answer(b"{}"))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert isinstance(await send(connect(server.url)), Answer)
    assert proxy.connections == 0


# --- send_once: certainly not sent


async def test_a_refused_connection_is_not_sent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert isinstance(await send(connect(f"http://127.0.0.1:{port}")), NotSent)


async def test_a_name_that_does_not_resolve_is_not_sent(connect: Connect) -> None:
    assert isinstance(await send(connect("http://nowhere.invalid")), NotSent)


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "[::1", "exa mple"])
async def test_a_host_that_is_none_is_not_sent(connect: Connect, host: str) -> None:
    assert isinstance(await send(connect(f"http://{host}:80")), NotSent)


async def test_failed_tls_is_not_sent(connect: Connect) -> None:
    received: list[bytes] = []

    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        received.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    async with server:
        sent = await send(connect(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert isinstance(sent, NotSent)
    assert TOKEN.encode() not in b"".join(received)


async def test_a_connection_that_does_not_come_up_in_time_is_not_sent(
    connect: Connect, listener: socket.socket
) -> None:
    listener.listen(0)
    address = listener.getsockname()
    with contextlib.ExitStack() as fillers:  # a full backlog leaves the next SYN without an answer
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        http = connect(f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.2)
        assert isinstance(await send(http), NotSent)


async def test_after_send_by_no_connection_is_made(connect: Connect, clock: HandClock) -> None:
    async with raw_server(silent) as server:
        clock.now_s = 1001.5
        assert isinstance(await send(connect(server.url)), NotSent)
        assert server.connections == 0


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_when_send_by_passes_while_connecting_not_a_byte_is_written(
    connect: Connect, listener: socket.socket, method: str
) -> None:
    class JumpsWhenConnected(HandClock):
        def monotonic(self) -> float:
            return 1002.0 if select.select([listener], [], [], 0)[0] else 1000.0

    http = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", clock=JumpsWhenConnected())
    sent = await send(http, method=method)
    taken, _ = listener.accept()
    with taken:
        try:
            received = await asyncio.to_thread(taken.recv, 1)
        except ConnectionResetError:
            received = b""
    assert (type(sent), received) == (NotSent, b"")
    assert select.select([listener], [], [], 0)[0] == []  # and no second connection


@pytest.mark.parametrize("bad", [float("nan"), object(), {1: {2, 3}}])
async def test_an_input_that_is_no_json_is_refused_before_connecting(connect: Connect, bad: Any) -> None:
    async with raw_server(silent) as server:
        with pytest.raises(InvalidRequest):
            await send(connect(server.url), json={"x": bad})
        assert server.connections == 0


# --- send_once: nobody knows


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
@pytest.mark.parametrize("behave", [hang_up, reset])
async def test_a_dropped_request_is_ambiguous_and_never_sent_again(
    connect: Connect, method: str, behave: Behave
) -> None:
    async with raw_server(behave) as server:
        sent = await send(connect(server.url), method=method)
        assert isinstance(sent, Ambiguous)
        assert (server.connections, len(server.requests)) == (1, 1)


async def test_silence_is_ambiguous(connect: Connect) -> None:
    async with raw_server(silent) as server:
        assert isinstance(await send(connect(server.url), timeout_s=0.2), Ambiguous)


@pytest.mark.parametrize(
    "raw",
    [
        http_answer(b'{"id": "x"', length=4096),
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 201 Created\r\nContent-Le",
        b"HTTP/1.1 2x1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        http_answer(b"x", status="200 OK\r\nX: " + "h" * 20_000),
    ],
    ids=["short body", "short chunk", "short head", "bad status", "other protocol", "long header"],
)
async def test_a_broken_answer_is_ambiguous(connect: Connect, raw: bytes) -> None:
    async with raw_server(answering(raw)) as server:
        assert isinstance(await send(connect(server.url)), Ambiguous)
        assert len(server.requests) == 1


async def test_an_answer_over_the_byte_cap_is_ambiguous(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"x" * 2000))) as server:
        assert isinstance(await send(connect(server.url, max_answer_bytes=1999)), Ambiguous)


async def test_an_answer_at_the_byte_cap_is_an_answer(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"x" * 2000))) as server:
        assert isinstance(await send(connect(server.url, max_answer_bytes=2000)), Answer)


async def test_a_connection_cut_while_the_body_is_written_is_ambiguous(
    connect: Connect, listener: socket.socket
) -> None:
    def read_a_little() -> None:
        taken, _ = listener.accept()
        with taken:
            taken.recv(100)

    http = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
    cut = asyncio.create_task(asyncio.to_thread(read_a_little))
    assert isinstance(await send(http, json={"image": "x" * 8_000_000}), Ambiguous)
    await cut


async def test_giving_up_resets_the_connection_so_that_no_byte_follows(connect: Connect) -> None:
    async with raw_server(silent) as server:
        await send(connect(server.url), timeout_s=0.2)
        assert await asyncio.wait_for(server.ends.get(), 5) == "reset"


def test_a_paid_socket_lingers_zero_seconds_and_gives_up_unacknowledged_bytes() -> None:
    with paid_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000


# --- read


async def test_reads_share_a_connection(connect: Connect) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.json_response(
            {"peer": request.transport.get_extra_info("peername")[1], "q": request.query["cursor"]}
        )

    async with app_server(handler) as url:
        http = connect(url)
        first = await http.read("GET", "/a", params={"cursor": "a b&c"})
        second = await http.read("GET", "/b", params={"cursor": ""})
    assert first["peer"] == second["peer"]
    assert first["q"] == "a b&c"


@pytest.mark.parametrize(
    ("status", "error", "pause"),
    [
        (404, PredictionGone, None),
        (410, PredictionGone, None),
        (401, ProviderError, None),
        (429, ProviderError, 7.0),
        (500, ProviderError, None),
        (302, ProviderError, None),
    ],
)
async def test_a_read_that_is_refused_says_why(
    connect: Connect, status: int, error: type[ProviderError], pause: float | None
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        headers = {"Retry-After": "7"} if status == 429 else {"Location": "/x"} if status == 302 else {}
        return web.json_response({"detail": "because"}, status=status, headers=headers)

    async with app_server(handler) as url:
        with pytest.raises(error, match="because") as raised:
            await connect(url).read("GET", "/a")
    assert (type(raised.value), raised.value.retry_after_s) == (error, pause)


@pytest.mark.parametrize("behave", [hang_up, reset, silent, answering(http_answer(b"<html>"))])
async def test_a_read_without_a_good_answer_is_an_error_to_retry(connect: Connect, behave: Behave) -> None:
    async with raw_server(behave) as server:
        with pytest.raises(ProviderError) as raised:
            await connect(server.url).read("GET", "/a", timeout_s=0.3)
    assert raised.value.retryable


async def test_an_empty_answer_reads_as_none(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b""))) as server:
        assert await connect(server.url).read("POST", "/cancel") is None


async def test_the_token_is_cut_out_of_what_the_provider_says(connect: Connect) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"detail": f"bad {request.headers['Authorization']}"}, status=500)

    async with app_server(handler) as url:
        with pytest.raises(ProviderError, match=r"bad Bearer \*\*\*"):
            await connect(url).read("GET", "/a")


async def test_closing_twice_is_fine_and_a_later_request_connects_anew(connect: Connect) -> None:
    async with raw_server(answering(http_answer(b"[1]"))) as server:
        http = connect(server.url)
        await http.close()
        await http.close()
        assert await http.read("GET", "/") == [1]
