"""What the fetcher takes of bytes that are here already: data URLs and the outputs of synchronous providers."""

import base64
from collections.abc import AsyncIterator

import pytest

from mediagen.errors import FetchBlocked, FetchTooLarge
from mediagen.safefetch import Download, Fetcher
from tests.fakes.loopback import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


async def read(download: Download) -> bytes:
    return b"".join([chunk async for chunk in download.chunks])


@pytest.fixture
def fetcher(world: World) -> Fetcher:
    return world.fetcher(max_bytes=1000)


async def test_inline_bytes_come_in_pieces(world: World) -> None:
    async with world.fetcher(max_bytes=200_000).inline(b"x" * 200_000) as download:
        assert (download.size_bytes, download.media_type) == (200_000, None)
        pieces = [chunk async for chunk in download.chunks]
    assert b"".join(pieces) == b"x" * 200_000
    assert len(pieces) == 4


async def test_inline_bytes_over_the_cap_are_refused(fetcher: Fetcher) -> None:
    with pytest.raises(FetchTooLarge):
        await fetcher.inline(b"x" * 1001).__aenter__()


@pytest.mark.parametrize(
    ("url", "data", "media_type"),
    [
        ("data:,", b"", None),
        ("data:,a%20b%2Cc", b"a b,c", None),
        ("data:Text/Plain;charset=utf-8,a+b", b"a+b", "text/plain"),
        ("data:image/png;base64,iVBORw0KGgo=", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("DATA:image/png;base64,iVBORw0KGgo", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("data:;BASE64,YQ%3D%3D", b"a", None),
        ("data:image/png;base64," + base64.b64encode(b"x" * 1000).decode(), b"x" * 1000, "image/png"),
        ("data:," + "%78" * 1000, b"x" * 1000, None),
    ],
)
async def test_data_url_gives_its_bytes(
    fetcher: Fetcher, url: str, data: bytes, media_type: str | None
) -> None:
    async with fetcher.open(url) as download:
        assert (download.size_bytes, download.media_type) == (len(data), media_type)
        assert await read(download) == data


@pytest.mark.parametrize(
    "url", ["data:", "data:image/png;base64", "data:;base64,!!!!", "data:;base64,a", "data:,\ud800"]
)
async def test_malformed_data_url_is_blocked(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchBlocked):
        await fetcher.open(url).__aenter__()


@pytest.mark.parametrize(
    "url",
    [
        "data:," + "x" * 1001,
        "data:," + "%78" * 1001,
        "data:;base64," + base64.b64encode(b"x" * 1001).decode(),
        "data:;base64," + "!" * 2000,  # refused by its length; decoding would have said malformed
    ],
)
async def test_data_url_over_the_cap_is_refused(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchTooLarge):
        await fetcher.open(url).__aenter__()


@pytest.mark.parametrize("before", range(6))
async def test_escapes_stay_whole_wherever_a_long_data_url_is_cut(world: World, before: int) -> None:
    text = "a" * before + "%41%ff" * 50_000 + "%4"
    async with world.fetcher(max_bytes=1_000_000).open(f"data:text/plain,{text}") as download:
        assert await read(download) == b"a" * before + b"\x41\xff" * 50_000 + b"%4"
