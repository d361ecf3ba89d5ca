"""Answers that are kept: one for all who ask together, a costly one for a while."""

import asyncio

import pytest

from mediagen.kept import Kept
from tests.fakes.clock import ManualClock


class Count:
    """Something that is asked; each answer is another number and takes as long as it is told."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.takes_s, self.asked = clock, 0.0, 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self) -> int:
        self.asked += 1
        await self.gate.wait()
        self.clock.advance(self.takes_s)
        if self.asked == 13:
            raise ValueError("thirteen")
        return self.asked


@pytest.fixture
def count() -> Count:
    return Count(ManualClock())


async def test_a_cheap_answer_is_worked_out_each_time(count: Count) -> None:
    kept = Kept(count.ask, count.clock)
    assert [await kept.get() for _ in range(3)] == [1, 2, 3]


async def test_a_costly_answer_is_kept_for_twenty_times_what_it_took(count: Count) -> None:
    kept, count.takes_s = Kept(count.ask, count.clock), 0.5
    assert await kept.get() == 1
    count.clock.advance(9)
    assert await kept.get() == 1
    count.clock.advance(1)
    assert await kept.get() == 2


async def test_all_who_ask_together_get_one_answer(count: Count) -> None:
    kept = Kept(count.ask, count.clock)
    count.gate.clear()
    asking = [asyncio.create_task(kept.get()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # whoever asked first may leave
    count.gate.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 19


async def test_an_error_is_not_kept(count: Count) -> None:
    kept, count.takes_s, count.asked = Kept(count.ask, count.clock), 5.0, 12
    with pytest.raises(ValueError, match="thirteen"):
        await kept.get()
    assert await kept.get() == 14
