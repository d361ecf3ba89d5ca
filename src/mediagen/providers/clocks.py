"""A server's clock, read from the `Date` header of its answers.

What a server says of times (when a prediction was made) is said by its own clock, which can be minutes away from
ours, and ours can jump. Only its own time, heard lately and steadily, tells how far back its list must be read.
"""

from collections import deque
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from mediagen.clock import Clock

MOST_READINGS = 16
FRESH_S = 900.0  # how long a reading counts
STEADY_S = 5.0  # how far the readings may lie apart: servers behind one address differ a little


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """Between which bounds the server's time lies ahead of our monotonic time, both in seconds."""

    least_s: float
    most_s: float
    heard_at: float  # monotonic


class ServerClock:
    """The time by one server's clock, as its last answers tell it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings: deque[_Reading] = deque(maxlen=MOST_READINGS)

    def heard(self, date: str, sent_at: float, received_at: float) -> None:
        """Note the `Date` of an answer to a request of that time (by `Clock.monotonic`). Odd dates count for nothing.

        The answer was made somewhere between the two times, and its date is cut to the second.
        """
        try:
            parsed = parsedate_to_datetime(date)
            said_s = parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        reading = _Reading(least_s=said_s - received_at, most_s=said_s + 1 - sent_at, heard_at=received_at)
        self._readings.append(reading)

    @property
    def heard_lately(self) -> bool:
        """Whether there is a reading that still counts, steady or not."""
        return bool(self._fresh())

    def now_ms(self) -> int | None:
        """Return the server's time, in ms since 1970 UTC.

        None when nothing was heard lately, when the answers took too long to tell, and while readings from before
        and after a step of the server's clock are both kept.
        """
        fresh = self._fresh()
        if not fresh:
            return None
        least_s, most_s = max(r.least_s for r in fresh), min(r.most_s for r in fresh)
        if abs(most_s - least_s) > STEADY_S:
            return None
        return round((self._clock.monotonic() + (least_s + most_s) / 2) * 1000)

    def _fresh(self) -> list[_Reading]:
        since = self._clock.monotonic() - FRESH_S
        return [reading for reading in self._readings if reading.heard_at >= since]
