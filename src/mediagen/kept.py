"""Answers that are kept for a while, because they are asked for more often than they can be worked out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from mediagen.clock import Clock

T = TypeVar("T")

CHEAP_S = 0.25
"""What takes less is worked out anew each time: a busy machine makes little things take long, too."""

_SHARE = 20  # of the time that goes by, so much more than an answer took


class Kept(Generic[T]):
    """One answer for all who ask at a time. A costly one is kept: working it out takes a twentieth of the time."""

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._asking: asyncio.Task[T] | None = None
        self._until = 0.0  # monotonic; until then the last answer is good

    async def get(self) -> T:
        """Return the answer. Raises what asking raises, to all who wait for it."""
        asking = self._asking
        if asking is None or (asking.done() and not self._is_good(asking)):
            asking = self._asking = asyncio.create_task(self._work(), name="kept answer")
        return await asyncio.shield(asking)

    def _is_good(self, asking: "asyncio.Task[T]") -> bool:
        is_answer = not asking.cancelled() and asking.exception() is None
        return is_answer and self._clock.monotonic() < self._until

    async def _work(self) -> T:
        begun = self._clock.monotonic()
        found = await self._ask()
        took_s = self._clock.monotonic() - begun
        self._until = begun + (_SHARE * took_s if took_s > CHEAP_S else 0)
        return found
