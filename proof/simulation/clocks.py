"""The clocks of a schedule: one wall clock that jumps, and a monotonic clock of each process's own."""

from collections.abc import Callable, Iterator
from random import Random

from mediagen.clock import Clock
from proof.simulation.kernel import Kernel, Pause


class SimClock(Clock):
    """One process's clock. `monotonic` starts anywhere: only its differences mean something."""

    def __init__(
        self, *, kernel: Kernel, rng: Random, wall: Callable[[], int], numbers: Iterator[int]
    ) -> None:
        self._kernel = kernel
        self._rng = rng
        self._wall = wall
        self._numbers = numbers
        self._started_s = rng.randrange(100_000)

    def now_ms(self) -> int:
        return self._wall()

    def monotonic(self) -> float:
        return self._started_s + self._kernel.now / 1000

    async def sleep(self, seconds: float) -> None:
        await Pause(int(seconds * 1000))

    def new_id(self) -> str:
        return f"call-{next(self._numbers)}"

    def new_secret(self) -> str:
        return f"secret-{next(self._numbers)}"

    def chance(self) -> float:
        return self._rng.random()
