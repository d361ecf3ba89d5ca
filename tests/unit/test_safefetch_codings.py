"""What becomes of bodies that come packed, or claim to, although only plain ones were asked for."""

import gzip
import zlib
from collections.abc import AsyncIterator
from random import Random

import brotli
import pytest
from backports import zstd

from mediagen.errors import FetchPacked, FetchTooLarge
from mediagen.ranges import Resume
from mediagen.safefetch import Download
from tests.fakes.loopback import World

URL = "http://files.example/out.png"
PLAIN = b"\x89PNG\r\n\x1a\n" + Random(1).randbytes(200_000) + bytes(300_000)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACK = {
    "gzip": gzip.compress,
    "X-Gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def answer(encoding: str, body: bytes, *more: str) -> bytes:
    head = [f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def read(download: Download) -> bytes:
    return b"".join([chunk async for chunk in download.chunks])


async def fetched(world: World, encoding: str, body: bytes, *, max_bytes: int = len(PLAIN)) -> bytes:
    await world.server("files.example", answer(encoding, body))
    return await world.fetch(URL, max_bytes=max_bytes)


@pytest.mark.parametrize("encoding", PACK)
async def test_a_packed_body_is_unpacked(world: World, encoding: str) -> None:
    assert await fetched(world, encoding, PACK[encoding](PLAIN)) == PLAIN


async def test_deflate_without_its_envelope_is_unpacked(world: World) -> None:
    assert await fetched(world, "deflate", raw_deflate(PLAIN)) == PLAIN


async def test_codings_in_a_row_are_undone_from_the_last_to_the_first(world: World) -> None:
    body = zstd.compress(gzip.compress(brotli.compress(PLAIN)))
    assert await fetched(world, "br, utf-8, gzip, identity, zstd", body) == PLAIN


async def test_several_headers_are_one_list(world: World) -> None:
    body = brotli.compress(gzip.compress(PLAIN))
    await world.server("files.example", answer("gzip", body, "Content-Encoding: br"))
    assert await world.fetch(URL, max_bytes=len(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    "encoding",
    ["aws-chunked", "utf-8", "binary", "none", "x-unheard-of", "", ",,", "UTF-8, binary", "compress"],
)
async def test_nonsense_in_the_header_changes_nothing(world: World, encoding: str) -> None:
    await world.server("files.example", answer(encoding, PLAIN))
    async with world.fetcher(max_bytes=len(PLAIN)).open(URL) as download:
        assert (download.size_bytes, await read(download)) == (len(PLAIN), PLAIN)


@pytest.mark.parametrize("encoding", PACK)
async def test_a_plain_body_that_claims_to_be_packed_comes_as_it_is(world: World, encoding: str) -> None:
    if encoding != "br":  # which has no mark of its own: noise may make sense for a while
        assert await fetched(world, encoding, PLAIN) == PLAIN
    assert await fetched(world, encoding, b"\xff\xd8\xff\xe0 a picture") == b"\xff\xd8\xff\xe0 a picture"


@pytest.mark.parametrize("encoding", PACK)
async def test_an_empty_body_is_empty(world: World, encoding: str) -> None:
    assert await fetched(world, encoding, b"") == b""


@pytest.mark.parametrize("encoding", PACK)
async def test_what_unpacks_to_nothing_is_empty(world: World, encoding: str) -> None:
    assert await fetched(world, encoding, PACK[encoding](b"")) == b""


@pytest.mark.parametrize("encoding", PACK)
async def test_a_bomb_ends_at_the_cap(world: World, encoding: str) -> None:
    await world.server("files.example", answer(encoding, PACK[encoding](bytes(50_000_000))))
    received: list[int] = []

    async def fetch() -> None:
        async with world.fetcher(max_bytes=1_000_000).open(URL) as download:
            async for chunk in download.chunks:
                received.append(len(chunk))

    with pytest.raises(FetchTooLarge, match="1000000 bytes"):
        await fetch()
    assert sum(received) <= 1_000_000
    assert max(received) <= 262_144


async def test_a_bomb_within_a_bomb_ends_at_the_cap_of_the_outer_one(world: World) -> None:
    inner = gzip.compress(b"") * 100_000  # two megabytes that unpack to nothing
    with pytest.raises(FetchTooLarge):
        await fetched(world, "gzip, gzip", gzip.compress(inner), max_bytes=1_000_000)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_several_streams_are_read_one_behind_the_other(world: World, encoding: str) -> None:
    body = b"".join(PACK[encoding](PLAIN[start : start + 100_000]) for start in range(0, len(PLAIN), 100_000))
    assert await fetched(world, encoding, body) == PLAIN


@pytest.mark.parametrize("encoding", ["gzip", "X-Gzip", "deflate", "zstd"])
@pytest.mark.parametrize("more", [b"\0", bytes(1000), b"behind the end"])
async def test_bytes_behind_the_end_do_not_matter(world: World, encoding: str, more: bytes) -> None:
    assert await fetched(world, encoding, PACK[encoding](PLAIN) + more) == PLAIN


@pytest.mark.parametrize("encoding", PACK)
async def test_a_body_that_ends_within_its_coding_may_be_fetched_as_it_came(
    world: World, encoding: str
) -> None:
    body = PACK[encoding](PLAIN)[:-5]
    with pytest.raises(FetchPacked) as failure:
        await fetched(world, encoding, body)
    assert failure.value.retryable
    async with world.fetcher(max_bytes=len(PLAIN)).open(URL, resume=Resume(as_sent=True)) as download:
        assert await read(download) == body
        assert download.doubt is not None


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_damaged_within_may_be_fetched_as_it_came(world: World, encoding: str) -> None:
    body = bytearray(PACK[encoding](PLAIN))
    body[150_000:150_100] = b"\xff" * 100
    with pytest.raises(FetchPacked):
        await fetched(world, encoding, bytes(body))


async def test_a_packed_body_has_no_known_size_and_never_goes_on(world: World) -> None:
    await world.server("files.example", answer("gzip", gzip.compress(PLAIN), 'ETag: "one"'))
    async with world.fetcher(max_bytes=len(PLAIN)).open(URL) as download:
        assert (download.size_bytes, download.validator, download.framed) == (None, None, True)
