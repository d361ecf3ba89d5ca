"""Turns: a client's questions come one after the other, and hold up nobody else's."""

import asyncio

from mediagen.api.turns import Turns


async def test_a_client_s_turns_come_one_after_the_other_and_others_do_not_wait() -> None:
    turns, at_work, most = Turns(), 0, 0
    go = asyncio.Event()

    async def ask(client: str) -> None:
        nonlocal at_work, most
        async with turns.of(client):
            at_work += client == "a"
            most = max(most, at_work)
            if client == "a":
                await go.wait()
            at_work -= client == "a"

    asking = [asyncio.create_task(ask("a")) for _ in range(5)]
    await ask("b")
    go.set()
    await asyncio.gather(*asking)
    assert most == 1


async def test_a_turn_that_was_given_up_is_the_next_one_s() -> None:
    turns = Turns()
    async with turns.of("a"):
        waiting = asyncio.create_task(turns.of("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), turns.of("a"):
        assert set(turns._locks) == {"a"}
    assert turns._locks == {}
