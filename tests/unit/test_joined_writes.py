"""Head and body of an answer leave in one piece, and nothing is held back for longer than a turn of the loop."""

import asyncio
from collections.abc import Iterable
from typing import cast

import pytest

from mediagen.api.protocol import JoinedTransport


class Recorder:
    """As much of a transport as is written to; each item is what one system call would send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.sent.append(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def below() -> Recorder:
    return Recorder()


@pytest.fixture
async def transport(below: Recorder) -> JoinedTransport:
    return JoinedTransport(cast(asyncio.Transport, below), asyncio.get_running_loop())


async def test_a_head_leaves_with_its_body(transport: JoinedTransport, below: Recorder) -> None:
    transport.write(b"head ")
    transport.write(b"body")
    assert below.sent == [b"head body"]
    await asyncio.sleep(0)
    assert below.sent == [b"head body"]


async def test_a_head_alone_leaves_at_the_end_of_the_turn(
    transport: JoinedTransport, below: Recorder
) -> None:
    transport.write(b"head")
    assert below.sent == []
    await asyncio.sleep(0)
    assert below.sent == [b"head"]


async def test_large_parts_are_not_held(transport: JoinedTransport, below: Recorder) -> None:
    large = bytes(100_000)
    transport.write(large)
    transport.write(large)
    assert below.sent == [large, large]


async def test_pieces_keep_their_order(transport: JoinedTransport, below: Recorder) -> None:
    pieces = [b"a", bytes(100_000), b"b", b"", b"c", b"d"]
    for piece in pieces:
        transport.write(piece)
    await asyncio.sleep(0)
    assert b"".join(below.sent) == b"".join(pieces)


async def test_closing_sends_what_is_held_first(transport: JoinedTransport, below: Recorder) -> None:
    transport.write(b"last words")
    transport.close()
    assert below.sent == [b"last words"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert below.sent == [b"last words"]
