"""Our wall clock, which may be wrong from the beginning and jump later."""

from collections.abc import Callable
from random import Random

from proof.simulation.book import START_MS
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Kernel
from proof.simulation.traits import Traits

_JUMP_MS = 3_600_000


class Wall:
    """One clock for all processes and the database."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        rng: Random,
        faults: Faults,
        traits: Traits,
        tell: Callable[[str, str], None],
        moved: Callable[[], None],
        over: Callable[[], bool],
    ) -> None:
        self.offset_ms = traits.own_off_ms
        self.missed = False  # a process began right after the clock was set
        self._set_at: int | None = None  # virtual ms
        self._to_correct_ms = traits.own_off_ms
        self._kernel = kernel
        self._rng = rng
        self._faults = faults
        self._tell = tell
        self._moved = moved
        self._over = over

    def now(self) -> int:
        """Return what it shows, in ms since 1970."""
        return START_MS + self._kernel.now + self.offset_ms

    def run(self) -> None:
        """Let it jump now and then."""
        self._kernel.after(self._rng.randrange(60_000), self._perhaps_jump)

    def _perhaps_jump(self) -> None:
        if self._over() or self._faults.over:
            return
        if self._faults.strikes(Fault.CLOCK_JUMP):
            self.jump()
        self._kernel.after(self._rng.randrange(1, 30_000), self._perhaps_jump)

    def jump(self) -> None:
        """Go forth or back by an hour."""
        self._move(self._rng.choice((-_JUMP_MS, _JUMP_MS)))

    def process_begins(self, written_at: int) -> None:
        """Note that a process writes for the first time: it can't know of a step that no other has seen yet."""
        self.missed |= self._set_at is not None and written_at <= self._set_at

    def correct(self) -> None:
        """Set it right if it was wrong from the beginning."""
        off_ms, self._to_correct_ms = self._to_correct_ms, 0
        if off_ms:
            self._move(-off_ms)

    def _move(self, ms: int) -> None:
        self.offset_ms += ms
        self._set_at = self._kernel.now
        self._tell("clock", f"the wall clock jumps by {ms / 1000:g} s")
        self._moved()
