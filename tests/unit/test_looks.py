"""A look alone goes at once; looks that come while one is on its way share a request."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from mediagen.providers.base import Call, Capabilities, Dedupe, Prediction, PredictionStatus, Provider
from mediagen.worker.looks import Looks


class Slow:
    """As much of a provider as is looked at; single looks wait until they are released."""

    name = "slow"
    capabilities = Capabilities(dedupe=Dedupe.KEY, billed=False, lists=True)

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.asked: list[str] = []
        self.listed: list[int] = []

    async def get(self, call: Call) -> Prediction:
        self.asked.append(call.id)
        await self.released.wait()
        return Prediction(ref=call.id, status=PredictionStatus.RUNNING)

    async def follow(self, calls: Sequence[Call]) -> Mapping[str, Prediction]:
        self.listed.append(len(calls))
        return {call.id: Prediction(ref=call.id, status=PredictionStatus.RUNNING) for call in calls}


def call(name: str) -> Call:
    return Call(id=name, model="m", input={}, created_at_ms=0, timeout_s=1.0, ref=name)


async def test_a_look_alone_waits_for_nothing() -> None:
    provider, looks = Slow(), Looks()
    look = asyncio.create_task(looks(cast(Provider, provider), call("a")))
    for _ in range(5):  # turns of the loop, in which no time has to pass
        await asyncio.sleep(0)
    assert provider.asked == ["a"]
    provider.released.set()
    assert (await look).ref == "a"


async def test_looks_that_meet_one_on_its_way_share_a_request() -> None:
    provider, looks = Slow(), Looks()
    first = asyncio.create_task(looks(cast(Provider, provider), call("first")))
    for _ in range(5):
        await asyncio.sleep(0)
    others = await asyncio.gather(*(looks(cast(Provider, provider), call(str(n))) for n in range(10)))
    assert [other.ref for other in others] == [str(n) for n in range(10)]
    assert provider.listed == [10]
    provider.released.set()
    await first
