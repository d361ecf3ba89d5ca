"""A paid request asks once more, with the connection open and before its first byte, whether it may still go."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mediagen.providers.answers import Answer
from mediagen.providers.base import TAKEN_OVER, MaySend
from mediagen.providers.http import Ambiguous, NotSent, ProviderHTTP
from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import RawServer, answering, http_answer, raw_server


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server(answering(http_answer(b"{}"))) as running:
        yield running


@pytest.fixture
async def http(server: RawServer, clock: HandClock) -> AsyncIterator[ProviderHTTP]:
    made = ProviderHTTP(server.url, clock=clock)
    yield made
    await made.close()


async def send(
    http: ProviderHTTP, may_send: MaySend, *, size: int = 1, send_by: float = 1001.0
) -> Answer | NotSent | Ambiguous:
    return await http.send_once(
        "POST", "/create", {"x": "x" * size}, send_by=send_by, timeout_s=5, may_send=may_send
    )


async def no() -> bool:
    return False


async def fails() -> bool:
    raise OSError("the database is gone")


@pytest.mark.parametrize("may_send", [no, fails])
async def test_without_a_yes_not_a_byte_is_sent(
    http: ProviderHTTP, server: RawServer, may_send: MaySend
) -> None:
    sent = await send(http, may_send)
    assert isinstance(sent, NotSent)
    assert TAKEN_OVER in sent.message
    assert await asyncio.wait_for(server.ends.get(), 5) in ("reset", "incomplete after 0")
    assert server.requests == []


async def test_it_is_asked_when_the_connection_stands_and_once_for_all_pieces(
    http: ProviderHTTP, server: RawServer
) -> None:
    stood: list[int] = []

    async def yes() -> bool:
        await asyncio.wait_for(server.connected.wait(), 5)
        stood.append(server.connections)
        return True

    assert isinstance(await send(http, yes, size=3_000_000), Answer)
    assert stood == [1]


async def test_time_that_passes_while_it_is_asked_counts(
    http: ProviderHTTP, server: RawServer, clock: HandClock
) -> None:
    async def slowly() -> bool:
        clock.now_s = 1001.5
        return True

    assert isinstance(await send(http, slowly), NotSent)
    assert server.requests == []


async def test_a_question_without_an_answer_is_given_up_at_the_time_to_send_by(
    http: ProviderHTTP, server: RawServer
) -> None:
    asked = asyncio.Event()

    async def never() -> bool:
        asked.set()
        await asyncio.Event().wait()
        return True

    assert isinstance(await send(http, never, send_by=1000.2), NotSent)
    assert (asked.is_set(), server.requests) == (True, [])


async def test_whoever_is_stopped_while_it_is_asked_sends_nothing(
    http: ProviderHTTP, server: RawServer
) -> None:
    asked = asyncio.Event()

    async def never() -> bool:
        asked.set()
        await asyncio.Event().wait()
        return True

    sending = asyncio.create_task(send(http, never))
    await asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await asyncio.wait_for(server.ends.get(), 5)
    assert server.requests == []
