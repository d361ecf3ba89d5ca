"""The fake Replicate's files can be late, dead, packed, slow, cut off, odd or elsewhere."""

import base64
import gzip
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_customer import HEADERS, Client
from tests.fakes.replicate_data import draw

PICTURE = draw({"prompt": "x"})


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def client(fake: FakeReplicate) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(headers=HEADERS, auto_decompress=False) as session:
        yield Client(fake, session)


async def test_a_file_can_be_wrong_for_some_times_and_then_right(client: Client) -> None:
    ref = await client.made(fake={"file": "empty", "file_times": 2})
    assert [len((await client.file(ref))[1]) for _ in range(3)] == [0, 0, len(PICTURE)]


async def test_a_file_can_be_wrong_for_some_time(client: Client) -> None:
    ref = await client.made(fake={"file": "page", "file_for_s": 60})
    assert (await client.file(ref))[1].startswith(b"<html>")
    client.fake.kept[ref].ended_at = time.monotonic() - 61
    assert (await client.file(ref))[1] == PICTURE


@pytest.mark.parametrize("coding", ["gzip", "aws-chunked", "utf-8"])
async def test_a_file_can_carry_a_coding(client: Client, coding: str) -> None:
    ref = await client.made(fake={"file_encoding": coding})
    _, body, answer = await client.file(ref)
    assert answer.headers["Content-Encoding"] == coding
    assert (gzip.decompress(body) if coding == "gzip" else body) == PICTURE


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_line_that_breaks_can_be_taken_up_again_where_ranges_are_known(
    client: Client, ranges: bool
) -> None:
    ref = await client.made(fake={"file": "broken", "file_times": 1, "file_ranges": ranges})
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.file(ref)
    status, body, _ = await client.file(ref, Range="bytes=100-")
    assert (status, body) == ((206, PICTURE[100:]) if ranges else (200, PICTURE))
    assert (await client.file(ref, Range="bytes=100-", If_Range='"old"'))[0] == 200


async def test_a_file_can_come_slowly(client: Client) -> None:
    ref = await client.made(fake={"file_rate": 100_000})
    _, body, _ = await client.file(ref)
    assert body == PICTURE


async def test_a_file_can_be_any_bytes(client: Client) -> None:
    ref = await client.made(fake={"file_bytes": base64.b64encode(b"RIFF").decode()})
    assert (await client.file(ref))[1] == b"RIFF"


async def test_a_link_can_be_dead_until_it_is_asked_for_again(client: Client) -> None:
    ref = await client.made(fake={"link_dies": True})
    assert [(await client.file(ref))[0] for _ in range(2)] == [404, 200]


@pytest.mark.parametrize("at", ["port", "host"])
async def test_files_can_lie_elsewhere(client: Client, at: str) -> None:
    ref = await client.made(fake={"file_at": at})
    _, body, answer = await client.file(ref)
    assert body == PICTURE
    assert str(answer.url.origin()) != client.fake.url
