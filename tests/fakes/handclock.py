"""A clock that tests move by hand."""

from mediagen.clock import SystemClock


class HandClock(SystemClock):
    """Real sleep, ids and chance; both times stand still until a test moves them."""

    def __init__(self) -> None:
        self.now_s = 1000.0  # monotonic
        self.wall_ms = 1_700_000_000_000

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return self.wall_ms
