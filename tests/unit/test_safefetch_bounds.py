"""How much, how long and what the fetcher takes from servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mediagen.errors import FetchError, FetchGone, FetchTooLarge
from mediagen.safefetch import Download
from tests.fakes.loopback import OK, Speak, World

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
URL = "http://files.example/out.png"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def say(data: bytes, *, then_close: bool) -> Speak:
    """Send `data`, then close the connection or say no more until the client has left."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if not then_close:
            await reader.read()

    return speak


def drip(head: bytes, piece: bytes, *, every_s: float) -> Speak:
    """Send `piece` again and again until the client has left."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)

    return speak


async def read(download: Download) -> bytes:
    return b"".join([chunk async for chunk in download.chunks])


# --- what a good answer gives


async def test_size_and_claimed_type_are_told(world: World) -> None:
    await world.server("files.example", OK.replace(b"\r\n", b"\r\nContent-Type: Image/PNG; q=1\r\n", 1))
    async with world.fetcher().open(URL) as download:
        assert (download.size_bytes, download.media_type) == (4, "image/png")
        assert await read(download) == b"file"


async def test_size_and_type_that_are_not_told_are_none(world: World) -> None:
    await world.server("files.example", say(HEAD + b"\r\nfile", then_close=True))
    async with world.fetcher().open(URL) as download:
        assert (download.size_bytes, download.media_type) == (None, None)
        assert await read(download) == b"file"


async def test_large_file_arrives_whole_in_pieces(world: World) -> None:
    file = bytes(range(256)) * 4096
    await world.server("files.example", HEAD + b"Content-Length: 1048576\r\n\r\n" + file)
    async with world.fetcher(max_bytes=len(file)).open(URL) as download:
        pieces = [chunk async for chunk in download.chunks]
    assert b"".join(pieces) == file
    assert max(map(len, pieces)) < len(file)


async def test_identity_encoding_is_no_encoding(world: World) -> None:
    await world.server("files.example", OK.replace(b"\r\n", b"\r\nContent-Encoding: Identity\r\n", 1))
    assert await world.fetch(URL) == b"file"


# --- how much


async def test_announced_size_over_the_cap_is_refused_before_the_body(world: World) -> None:
    server = await world.server(
        "files.example", say(HEAD + b"Content-Length: 1001\r\n\r\n", then_close=False)
    )
    with pytest.raises(FetchTooLarge, match="1000 bytes"):
        await world.fetcher().open(URL).__aenter__()
    await server.left.wait()


async def test_endless_body_ends_at_the_cap(world: World) -> None:
    server = await world.server("files.example", drip(CHUNKED, b"64\r\n" + b"x" * 100 + b"\r\n", every_s=0))
    received: list[bytes] = []

    async def fetch() -> None:
        async with world.fetcher().open(URL) as download:
            async for chunk in download.chunks:
                received.append(chunk)

    with pytest.raises(FetchTooLarge):
        await fetch()
    assert sum(map(len, received)) <= 1000
    await server.left.wait()


# --- how long


async def test_server_that_says_nothing_is_given_up(world: World) -> None:
    server = await world.server("files.example", say(b"", then_close=False))
    with pytest.raises(FetchError, match="in time"):
        await world.fetch(URL, answer_timeout_s=0.1)
    await server.left.wait()


async def test_headers_that_trickle_in_are_given_up(world: World) -> None:
    await world.server("files.example", drip(HEAD, b"X-A: b\r\n", every_s=0.01))
    with pytest.raises(FetchError, match="in time"):
        await world.fetch(URL, answer_timeout_s=0.1)


async def test_interim_answers_without_an_end_are_given_up_at_once(world: World) -> None:
    await world.server("files.example", drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100, every_s=0))
    with pytest.raises(FetchError, match="failed"):
        async with world.fetcher().open(URL):
            pass


async def test_a_few_interim_answers_are_read_over(world: World) -> None:
    await world.server("files.example", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10 + OK)
    async with world.fetcher().open(URL) as download:
        assert await read(download) == b"file"


async def test_body_that_stalls_is_given_up(world: World) -> None:
    server = await world.server("files.example", say(HEAD + b"Content-Length: 9\r\n\r\nx", then_close=False))
    with pytest.raises(FetchError, match="bytes came in"):
        await world.fetch(URL, stall_s=0.1)
    await server.left.wait()


async def test_body_below_the_least_rate_is_given_up(world: World) -> None:
    await world.server("files.example", drip(CHUNKED, b"1\r\nx\r\n", every_s=0.01))
    with pytest.raises(FetchError, match="bytes came in"):
        await world.fetch(URL, stall_s=0.1, min_bytes_per_s=1_000_000)


async def test_body_that_stalls_after_a_good_start_is_given_up(world: World) -> None:
    await world.server("files.example", say(HEAD + b"Content-Length: 9\r\n\r\nxxxxx", then_close=False))
    with pytest.raises(FetchError, match="only 0 bytes came in"):
        await world.fetch(URL, stall_s=0.1, min_bytes_per_s=10)


async def test_handshake_that_stalls_is_given_up_long_before_the_deadline(world: World) -> None:
    server = await world.server("files.example")
    with pytest.raises(FetchError, match="in time"):
        await world.fetch("https://files.example/", connect_timeout_s=0.1)
    await server.left.wait()


async def test_time_that_the_reader_takes_is_not_held_against_the_rate(world: World) -> None:
    file = b"x" * 1_000_000
    await world.server("files.example", HEAD + b"Content-Length: 1000000\r\n\r\n" + file)
    async with world.fetcher(max_bytes=len(file), stall_s=0.5, min_bytes_per_s=1_000_000).open(
        URL
    ) as download:
        received = len(await anext(aiter(download.chunks)))
        await asyncio.sleep(0.6)
        received += len(await read(download))
    assert received == len(file)


async def test_time_that_the_body_takes_is_not_bounded_as_the_answer_is(world: World) -> None:
    answered = asyncio.Event()

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 5\r\n\r\nf")
        await answered.wait()
        writer.write(b"file")

    await world.server("files.example", speak)
    async with world.fetcher(answer_timeout_s=0.1, min_bytes_per_s=0).open(URL) as download:
        chunks = aiter(download.chunks)
        received = await anext(chunks)
        await asyncio.sleep(0.2)
        answered.set()
        received += b"".join([chunk async for chunk in chunks])
    assert received == b"ffile"


async def test_address_where_nobody_listens_may_be_tried_again(world: World) -> None:
    server = await world.server("files.example")
    await server.close()
    with pytest.raises(FetchError, match="ClientConnectorError") as failure:
        await world.fetch(URL)
    assert failure.value.retryable


# --- broken and unwelcome answers


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 9\r\n\r\nshort",
        CHUNKED + b"9\r\nshort",
        CHUNKED + b"5\r\nshort\r\n",
        CHUNKED + b"zz\r\nshort\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
        CHUNKED + b"f" * 100,
        b"",
        b"\x16\x03\x01\x00\x00",
        b"<html>no http</html>\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"X: x\r\n" * 10_000 + b"\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: abc\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nx",
    ],
)
async def test_broken_answer_is_a_fetch_error_and_nothing_else(world: World, answer: bytes) -> None:
    await world.server("files.example", say(answer, then_close=True))
    with pytest.raises(FetchError):
        await world.fetch(URL)


async def test_short_body_may_be_tried_again_and_names_its_cause(world: World) -> None:
    await world.server("files.example", say(HEAD + b"Content-Length: 9\r\n\r\nshort", then_close=True))
    with pytest.raises(FetchError, match="ClientPayloadError") as failure:
        await world.fetch(URL)
    assert type(failure.value) is FetchError
    assert failure.value.__cause__ is not None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, FetchGone) for status in (400, 401, 403, 404, 405, 410, 451)),
        *((status, FetchError) for status in (202, 204, 206, 300, 304, 408, 425, 429, 500, 502, 503, 599)),
    ],
)
async def test_status_tells_dead_links_from_what_may_be_tried_again(
    world: World, status: int, error: type[FetchError]
) -> None:
    await world.server("files.example", say(f"HTTP/1.1 {status} X\r\n\r\n".encode(), then_close=True))
    with pytest.raises(FetchError, match=str(status)) as failure:
        await world.fetch(URL)
    assert type(failure.value) is error


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", b"junk\r\n\r\n", CHUNKED]
)
async def test_no_error_repeats_the_signature_in_a_url(world: World, answer: bytes) -> None:
    await world.server("files.example", say(answer, then_close=True))
    with pytest.raises(FetchError) as failure:
        await world.fetch("http://files.example/path?sig=secret")
    assert "secret" not in str(failure.value)


# --- leaving


async def test_connection_ends_with_a_reader_that_leaves_early(world: World) -> None:
    server = await world.server("files.example", drip(CHUNKED, b"1\r\nx\r\n", every_s=0.01))
    async with world.fetcher().open(URL) as download:
        await anext(aiter(download.chunks))
    await server.left.wait()


async def test_error_of_the_reader_passes_and_ends_the_connection(world: World) -> None:
    server = await world.server("files.example", drip(CHUNKED, b"1\r\nx\r\n", every_s=0.01))

    async def fetch() -> None:
        async with world.fetcher().open(URL) as download:
            async for chunk in download.chunks:
                raise KeyError(chunk)

    with pytest.raises(KeyError):
        await fetch()
    await server.left.wait()


async def test_cancellation_passes_and_ends_the_connection(world: World) -> None:
    server = await world.server("files.example", say(CHUNKED + b"1\r\nx\r\n", then_close=False))
    reading = asyncio.Event()

    async def fetch() -> None:
        async with world.fetcher().open(URL) as download:
            async for _ in download.chunks:
                reading.set()

    task = asyncio.create_task(fetch())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.left.wait()


async def test_endless_answer_to_a_webhook_is_left_unread(world: World) -> None:
    server = await world.server("hook.example", drip(CHUNKED, b"1\r\nx\r\n", every_s=0))
    assert await world.fetcher().post("http://hook.example/", b"{}", {}, allow_private=True) == 200
    await server.left.wait()


async def test_webhook_receiver_that_never_answers_is_given_up(world: World) -> None:
    server = await world.server("hook.example", say(b"", then_close=False))
    with pytest.raises(FetchError, match="in time"):
        await world.fetcher().post("http://hook.example/", b"{}", {}, allow_private=True, timeout_s=0.1)
    await server.left.wait()


async def test_close_ends_kept_connections_and_may_be_repeated(world: World) -> None:
    server = await world.server("files.example")
    fetcher = world.fetcher()
    async with fetcher.open("http://files.example/") as download:
        assert [chunk async for chunk in download.chunks] == [b"file"]
    assert not server.left.is_set()
    await fetcher.close()
    await fetcher.close()
    await server.left.wait()
