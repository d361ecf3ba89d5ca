"""A clock that stands still until a test moves it."""

from mediagen.clock import Clock


class ManualClock(Clock):
    """Virtual time: `advance`, `sleep` and `jump` move it, nothing else does. Ids and secrets are counted up."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._start_ms = now_ms
        self._elapsed_s = 0.0
        self._made = 0

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed_s * 1000)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Return at once, that much later."""
        self.advance(max(0.0, seconds))

    def new_id(self) -> str:
        self._made += 1
        stamp = f"{self.now_ms():012x}"
        return f"{stamp[:8]}-{stamp[8:]}-7000-8000-{self._made:012x}"

    def new_secret(self) -> str:
        self._made += 1
        return f"{self._made:x}".translate(str.maketrans("0189", "wxyz")).rjust(26, "w")

    def chance(self) -> float:
        """Return the middle: jitter neither shortens nor lengthens."""
        return 0.5

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._elapsed_s += seconds

    def jump(self, seconds: float) -> None:
        """Let the wall clock alone be set to another time."""
        self._start_ms += round(seconds * 1000)
