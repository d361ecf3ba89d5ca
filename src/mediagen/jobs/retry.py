"""When to try again. Exponential backoff with full jitter: random in 0..min(cap, base * 2^n)."""

from dataclasses import dataclass

from mediagen.clock import Clock

CAP_S = 600.0
"""The longest pause between two tries."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses that grow: with base 2 s the upper bounds are 2, 4, 8, 16 ... 600 s.

    Full jitter, because many jobs fail at the same moment and must not come back at the same moment:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    base_s: float
    cap_s: float = CAP_S

    def pause_ms(self, tries: int, clock: Clock) -> int:
        """Return the pause after the `tries`-th failure in a row (from 1), in milliseconds."""
        bound_s = min(self.cap_s, self.base_s * 2.0 ** min(max(tries, 1) - 1, 30))
        return int(clock.chance() * bound_s * 1000)
