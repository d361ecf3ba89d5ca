"""How often running calls are looked at: often where nothing else tells, seldom where the provider rings."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mediagen.worker.ports import Marks
from tests.unit.conftest import Engine

HEARD = Marks(installation="0" * 16, address=lambda *_: "https://media.example/hooks", heard=True)
"""Calls carry an address at which providers reach us."""


async def looks_at(engine: Engine, seconds: float) -> Sequence[float]:
    """Let a call run for so long; return after how many seconds it was looked at."""
    begun = engine.clock.now_ms()
    seen: list[float] = []
    get = engine.provider.get

    async def spying(call):  # type: ignore[no-untyped-def]
        seen.append((engine.clock.now_ms() - begun) / 1000)
        return await get(call)

    engine.provider.get = spying  # type: ignore[method-assign]
    await engine.submit()
    await engine.work_for(seconds)
    return seen


def let_it_ring(engine: Engine) -> None:
    engine.provider.capabilities = replace(engine.provider.capabilities, rings=True)


async def test_a_call_that_nobody_rings_for_is_looked_at_often(engine: Engine) -> None:
    let_it_ring(engine)  # but there is no PUBLIC_URL at which it could
    assert len(await looks_at(engine, 20)) >= 15


async def test_a_call_whose_provider_rings_is_looked_at_when_the_time_has_doubled(engine: Engine) -> None:
    let_it_ring(engine)
    engine.ports = replace(engine.ports, marks=HEARD)
    assert await looks_at(engine, 45) == pytest.approx([5, 10, 20, 40], abs=1)


async def test_a_call_whose_provider_rings_is_still_stopped_at_its_deadline(engine: Engine) -> None:
    let_it_ring(engine)
    engine.ports = replace(engine.ports, marks=HEARD)
    await engine.submit()
    await engine.work_for(engine.ports.timing.job_timeout_s + 20)  # it counts from the last moment of sending
    assert engine.provider.canceled
