"""From the wire to the artifact: a line that breaks costs what was not yet here, and nothing else."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import AsyncIterator

import pytest

from mediagen.artifacts.model import Artifact
from mediagen.errors import FetchError
from mediagen.providers.base import Output
from tests.fakes.inbox import FILE, Inbox
from tests.fakes.loopback import Speak, World
from tests.fakes.scripted import PNG


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


class Origin:
    """A file behind links that change, on a line that breaks after so many bytes of an answer."""

    def __init__(self, data: bytes, breaks: list[int], *headers: str) -> None:
        self.data = data
        self.breaks = breaks
        self.headers = headers
        self.sent = 0

    def speak(self, world: World) -> Speak:
        async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = re.search(rb"\r\nRange: bytes=(\d+)-\r\n", world.servers[0].requests[-1])
            start = int(asked[1]) if asked else 0
            body = self.data[start:]
            lines = [
                "HTTP/1.1 206 Partial" if start else "HTTP/1.1 200 OK",
                f"Content-Length: {len(body)}",
                *self.headers,
            ]
            if start:
                lines.append(f"Content-Range: bytes {start}-{len(self.data) - 1}/{len(self.data)}")
            body = body[: self.breaks.pop(0)] if self.breaks else body
            self.sent += len(body)
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)

        return speak


async def fetch(world: World, inbox: Inbox, url: str) -> Artifact:
    output = Output(url=url, resume=await inbox.begun())
    fetcher = world.fetcher(max_bytes=10_000_000)
    async with fetcher.open(output.url, resume=output.resume) as download:
        return await inbox.take(download)


async def test_a_line_that_breaks_at_60_percent_costs_40_percent_more_although_the_link_changed(
    world: World, inbox: Inbox
) -> None:
    origin = Origin(FILE, [1_800_000, 600_000], 'ETag: "one"')
    await world.server("files.example", origin.speak(world))
    for signature in range(2):
        with pytest.raises(FetchError):
            await fetch(world, inbox, f"http://files.example/out.wav?signature={signature}")
    kept = await fetch(world, inbox, "http://files.example/out.wav?signature=2")
    assert (kept.sha256, origin.sent) == (hashlib.sha256(FILE).hexdigest(), len(FILE))


@pytest.mark.parametrize(
    "headers", [(), ('ETag: W/"one"',), ("Last-Modified: Sun, 29 Nov 2026 10:00:00 GMT",)]
)
async def test_without_a_name_that_holds_it_begins_anew(
    world: World, inbox: Inbox, headers: tuple[str, ...]
) -> None:
    origin = Origin(FILE, [1_800_000], *headers)
    await world.server("files.example", origin.speak(world))
    with pytest.raises(FetchError):
        await fetch(world, inbox, "http://files.example/out.wav")
    await fetch(world, inbox, "http://files.example/out.wav")
    assert origin.sent == 1_800_000 + len(FILE)


async def test_a_packed_body_begins_anew_and_arrives_plain(world: World, inbox: Inbox) -> None:
    packed = gzip.compress(PNG)
    origin = Origin(packed, [20], 'ETag: "one"', "Content-Encoding: gzip")
    await world.server("files.example", origin.speak(world))
    with pytest.raises(FetchError):
        await fetch(world, inbox, "http://files.example/out.png")
    kept = await fetch(world, inbox, "http://files.example/out.png")
    assert (kept.media_type, kept.size_bytes, kept.doubt) == ("image/png", len(PNG), None)


async def test_a_body_whose_packing_is_damaged_is_kept_as_it_came_at_the_second_try(
    world: World, inbox: Inbox
) -> None:
    packed = gzip.compress(FILE[:500_000])[:-4]
    await world.server("files.example", Origin(packed, [], "Content-Encoding: gzip").speak(world))
    with pytest.raises(FetchError):
        await fetch(world, inbox, "http://files.example/out.wav")
    kept = await fetch(world, inbox, "http://files.example/out.wav")
    assert kept.sha256 == hashlib.sha256(packed).hexdigest()
    assert "could not be undone" in (kept.doubt or "")
