"""How slow the other side may be."""

from mediagen.errors import FetchError


class Pace:
    """The least rate: in each window of waiting for the other side, so many bytes must come.

    Only waiting counts, so a slow reader is not taken for a slow server.
    """

    def __init__(self, min_bytes_per_s: int, window_s: float) -> None:
        self._min_bytes = min_bytes_per_s * window_s
        self._window_s = window_s
        self._begin()

    def _begin(self) -> None:
        self.left_s = self._window_s
        self._received = 0

    def count(self, received: int, waited_s: float) -> None:
        """Add what came and how long it took. Raises `FetchError` at the end of a window with too little."""
        self.left_s -= waited_s
        self._received += received
        if self.left_s > 0:
            return
        if self._received < self._min_bytes:
            raise FetchError(f"only {self._received} bytes came in {self._window_s} s; try again later")
        self._begin()
