"""A download that broke off goes on from what is here, if it is still the same file."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mediagen.errors import FetchError, FetchGone, FetchTooLarge
from mediagen.ranges import Resume
from mediagen.safefetch import Download
from tests.fakes.loopback import Server, Speak, World, redirect

URL = "http://files.example/out.png"
FILE = bytes(range(250)) * 4
DATE, OLDER = "Sun, 29 Nov 2026 10:00:00 GMT", "Sun, 29 Nov 2026 09:59:59 GMT"
ETAG = 'ETag: "one"'
RESUME = Resume(offset=600, size_bytes=1000, validator='"one"')


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def whole(*headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(FILE)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + FILE


def part(content_range: str = "bytes 600-999/1000", *headers: str, body: bytes = FILE[600:]) -> bytes:
    lines = ["HTTP/1.1 206 Partial", f"Content-Length: {len(body)}", f"Content-Range: {content_range}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def in_turn(*answers: bytes) -> Speak:
    """Give one answer a connection, then close it."""
    left = list(answers)

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0))

    return speak


async def read(download: Download) -> bytes:
    return b"".join([chunk async for chunk in download.chunks])


async def resumed(world: World, *answers: bytes, resume: Resume = RESUME) -> tuple[Server, int, bytes]:
    server = await world.server("files.example", in_turn(*answers))
    async with world.fetcher().open(URL, resume=resume) as download:
        assert download.size_bytes == 1000
        return server, download.start, await read(download)


async def test_a_file_that_can_go_on_says_by_what(world: World) -> None:
    await world.server("files.example", whole(ETAG, f"Last-Modified: {OLDER}", f"Date: {DATE}"))
    async with world.fetcher().open(URL) as download:
        assert (download.start, download.validator, download.framed) == (0, '"one"', True)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ((f"Last-Modified: {OLDER}", f"Date: {DATE}"), OLDER),
        (('ETag: W/"one"', f"Last-Modified: {OLDER}", f"Date: {DATE}"), OLDER),
        (('ETag: W/"one"',), None),
        (("ETag: one",), None),
        (('ETag: "o"ne"',), None),
        ((f"Last-Modified: {DATE}", f"Date: {DATE}"), None),
        ((f"Last-Modified: {OLDER}",), None),
        (("Last-Modified: yesterday", f"Date: {DATE}"), None),
        ((), None),
    ],
)
async def test_only_what_names_these_very_bytes_is_gone_on_by(
    world: World, headers: tuple[str, ...], validator: str | None
) -> None:
    await world.server("files.example", whole(*headers))
    async with world.fetcher().open(URL) as download:
        assert download.validator == validator


async def test_a_file_of_unknown_length_does_not_go_on(world: World) -> None:
    await world.server("files.example", in_turn(b"HTTP/1.1 200 OK\r\n" + ETAG.encode() + b"\r\n\r\nfile"))
    async with world.fetcher().open(URL) as download:
        assert (download.validator, download.framed, await read(download)) == (None, False, b"file")


async def test_the_rest_is_asked_for_and_taken(world: World) -> None:
    server, start, received = await resumed(world, part("bytes 600-999/1000", ETAG))
    assert (start, received) == (600, FILE[600:])
    assert b"\r\nRange: bytes=600-\r\n" in server.requests[0]
    assert b'\r\nIf-Range: "one"\r\n' in server.requests[0]


async def test_the_rest_is_asked_for_behind_a_redirect_too(world: World) -> None:
    await world.server("signed.example", redirect("http://files.example/other?signature=2"))
    server = await world.server("files.example", in_turn(part()))
    async with world.fetcher().open("http://signed.example/", resume=RESUME) as download:
        assert (download.start, await read(download)) == (600, FILE[600:])
    assert b"\r\nRange: bytes=600-\r\n" in server.requests[0]


async def test_another_file_comes_from_its_beginning(world: World) -> None:
    server, start, received = await resumed(world, whole('ETag: "two"'))
    assert (start, received, len(server.requests)) == (0, FILE, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        part("bytes 600-999/1001", ETAG),
        part("bytes 600-999/*", ETAG),
        part("bytes 500-899/1000", ETAG),
        part("bytes 600-900/1000", ETAG, body=FILE[600:901]),
        part("bytes 0-999/1000", ETAG, body=FILE),
        part("nonsense", ETAG),
        part("bytes 600-999/1000", 'ETag: "two"'),
        part("bytes 600-999/1000", 'ETag: W/"one"'),
        part("bytes 600-999/1000", ETAG, "Content-Encoding: gzip"),
        part("bytes 600-999/1000", ETAG, body=FILE[600:700]),
        b"HTTP/1.1 206 Partial\r\nContent-Length: 400\r\n\r\n" + FILE[600:],
        b"HTTP/1.1 416 No\r\nContent-Length: 0\r\nContent-Range: bytes */500\r\n\r\n",
    ],
)
async def test_a_part_that_may_not_fit_is_left_for_the_whole(world: World, wrong: bytes) -> None:
    server, start, received = await resumed(world, wrong, whole(ETAG))
    assert (start, received) == (0, FILE)
    assert [b"\r\nRange:" in request for request in server.requests] == [True, False]


async def test_a_part_by_date_goes_on(world: World) -> None:
    resume = Resume(offset=600, size_bytes=1000, validator=OLDER)
    server, start, _ = await resumed(
        world, part("bytes 600-999/1000", f"Last-Modified: {OLDER}"), resume=resume
    )
    assert start == 600
    assert f"\r\nIf-Range: {OLDER}\r\n".encode() in server.requests[0]


async def test_a_dead_link_is_dead_for_the_rest_too(world: World) -> None:
    with pytest.raises(FetchGone):
        await resumed(world, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")


async def test_a_rest_that_breaks_off_may_be_tried_again(world: World) -> None:
    answer = part("bytes 600-999/1000", ETAG)[:-100]
    with pytest.raises(FetchError) as failure:
        await resumed(world, answer)
    assert type(failure.value) is FetchError


async def test_the_cap_holds_for_both_parts_together(world: World) -> None:
    await world.server("files.example", in_turn(part()))
    with pytest.raises(FetchTooLarge):
        await world.fetcher(max_bytes=999).open(URL, resume=RESUME).__aenter__()
