"""The clocks of a schedule: one wall clock that jumps, and a monotonic clock of each process's own."""

from collections.abc import Callable, Iterator
from random import Random

from mediagen.clock import Clock
from proof.simulation.kernel import Kernel, Pause
from proof.simulation.names import call_id


class SimClock(Clock):
    """One process's clock. `monotonic` starts anywhere: only its differences mean something."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        rng: Random,
        wall: Callable[[], int],
        numbers: Iterator[int],
        stood_still_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        """`stood_still_ms` tells how long its machine was suspended: `monotonic` stands still then."""
        self._stood_still_ms = stood_still_ms
        self._kernel = kernel
        self._rng = rng
        self._wall = wall
        self._numbers = numbers
        self._started_s = rng.randrange(100_000)

    def now_ms(self) -> int:
        return self._wall()

    def monotonic(self) -> float:
        return self._started_s + (self._kernel.now - self._stood_still_ms()) / 1000

    async def sleep(self, seconds: float) -> None:
        await Pause(int(seconds * 1000))

    def new_id(self) -> str:
        return call_id(next(self._numbers))

    def new_secret(self) -> str:
        return f"secret-{next(self._numbers)}"

    def chance(self) -> float:
        return self._rng.random()
