"""The batcher: nobody waits when it is quiet, one run serves many when it is not."""

import asyncio
from collections.abc import Sequence

import pytest

from mediagen.db.batch import Batcher
from mediagen.errors import Conflict


class Press:
    """Something that takes batches; it remembers them and works only while its gate is open."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.at_work = 0
        self.failing: Exception | None = None

    async def run(self, items: Sequence[int]) -> Sequence[str | Exception]:
        self.at_work += 1
        assert self.at_work == 1
        self.batches.append(list(items))
        self.begun.set()
        await self.gate.wait()
        self.at_work -= 1
        if self.failing is not None:
            raise self.failing
        return [Conflict(f"{item} is odd") if item % 2 else f"done {item}" for item in items]


@pytest.fixture
def press() -> Press:
    return Press()


async def test_an_item_alone_is_run_at_once(press: Press) -> None:
    assert await Batcher(press.run, 10).add(2) == "done 2"
    assert press.batches == [[2]]


async def test_what_arrives_at_the_same_time_is_one_batch_in_order(press: Press) -> None:
    batcher = Batcher(press.run, 10)
    results = await asyncio.gather(*(batcher.add(n) for n in (2, 4, 6)))
    assert results == ["done 2", "done 4", "done 6"]
    assert press.batches == [[2, 4, 6]]


async def test_what_arrives_during_a_run_is_the_next_batch(press: Press) -> None:
    batcher = Batcher(press.run, 10)
    press.gate.clear()
    first = asyncio.create_task(batcher.add(0))
    await press.begun.wait()
    rest = [asyncio.create_task(batcher.add(n)) for n in (2, 4)]
    await asyncio.sleep(0)
    press.gate.set()
    await asyncio.gather(first, *rest)
    assert press.batches == [[0], [2, 4]]


async def test_a_batch_has_no_more_items_than_allowed(press: Press) -> None:
    batcher = Batcher(press.run, 3)
    await asyncio.gather(*(batcher.add(2 * n) for n in range(7)))
    assert [len(batch) for batch in press.batches] == [3, 3, 1]


async def test_an_item_that_fails_raises_for_its_own_caller_alone(press: Press) -> None:
    batcher = Batcher(press.run, 10)
    results = await asyncio.gather(*(batcher.add(n) for n in (2, 3, 4)), return_exceptions=True)
    assert (results[0], results[2]) == ("done 2", "done 4")
    assert isinstance(results[1], Conflict)


async def test_a_run_that_fails_raises_for_all_of_its_batch_and_the_next_is_run_anew(press: Press) -> None:
    batcher = Batcher(press.run, 10)
    press.failing = Conflict("the disk is full")
    results = await asyncio.gather(*(batcher.add(n) for n in (2, 4)), return_exceptions=True)
    assert results == [press.failing, press.failing]
    press.failing = None
    assert await batcher.add(6) == "done 6"


async def test_a_caller_that_gave_up_does_not_hurt_the_others(press: Press) -> None:
    batcher = Batcher(press.run, 10)
    press.gate.clear()
    impatient, patient = (asyncio.create_task(batcher.add(n)) for n in (2, 4))
    await press.begun.wait()
    impatient.cancel()
    press.gate.set()
    assert await patient == "done 4"
    assert await batcher.add(6) == "done 6"


async def test_a_batch_holds_no_more_bytes_than_it_may(press: Press) -> None:
    batcher = Batcher(press.run, 10, size=lambda item: item, most_bytes=10)
    press.gate.clear()
    first = asyncio.create_task(batcher.add(2))
    await press.begun.wait()
    others = [asyncio.create_task(batcher.add(item)) for item in (4, 6, 2, 40, 2)]
    await asyncio.sleep(0)
    press.gate.set()
    await asyncio.gather(first, *others)
    assert press.batches == [[2], [4, 6], [2], [40], [2]]
