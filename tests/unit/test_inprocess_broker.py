"""The bell inside one process."""

import asyncio

import pytest

from mediagen.brokers.inprocess import InProcessBroker


async def test_a_ring_wakes_who_waits() -> None:
    broker = InProcessBroker()
    waiting = asyncio.create_task(broker.wait(60))
    await asyncio.sleep(0)
    broker.ring("job-1")
    async with asyncio.timeout(5):
        await waiting


async def test_rings_while_nobody_waits_are_one_ring_later() -> None:
    broker = InProcessBroker()
    broker.ring("job-1")
    broker.ring("job-2")
    async with asyncio.timeout(5):
        await broker.wait(60)
    waiting = asyncio.create_task(broker.wait(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_without_a_ring_waiting_ends_after_the_time() -> None:
    await InProcessBroker().wait(0.01)


async def test_a_cancellation_that_meets_a_ring_is_not_lost() -> None:
    broker = InProcessBroker()
    waiting = asyncio.create_task(broker.wait(60))
    await asyncio.sleep(0)
    broker.ring("job-1")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
