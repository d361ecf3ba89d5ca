"""The time that a database goes by: that of its clock, without the steps that people and services set it by.

A wall clock can be set by hours at any moment. What is stored was measured by the time before, so a process goes on
counting in that until all of it has been moved (`db/clock_steps.py`), in one transaction. From its commit on the
new time counts. What tells a step from time that passes is the machine's monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass

STEP_MS = 10_000
"""Clocks that differ by less were slewed, or read at different moments: the new time counts at once."""

_READ_AT_ONCE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at the database's clock."""

    shown_ms: int  # what it shows
    now_ms: int  # what counts
    read_at_s: float  # monotonic

    @property
    def step_ms(self) -> int:
        """By how much it was set since the last look, 0 for not."""
        return self.shown_ms - self.now_ms


@dataclass(frozen=True)
class _Anchor:
    shown_ms: int
    at_s: float

    def at(self, monotonic_s: float) -> int:
        return self.shown_ms + round((monotonic_s - self.at_s) * 1000)


class Timeline:
    """Compares what one database's clock shows with the time that passes on this machine. Safe from several threads."""

    def __init__(self) -> None:
        self._anchor: _Anchor | None = None
        self.moved_ms: int | None = None  # as this process knows; None before it has written

    def read(self, shown_ms: int, asked_at_s: float, read_at_s: float) -> Reading:
        """Return what counts, for a clock that showed `shown_ms` somewhere between two monotonic times."""
        anchor = self._anchor
        if anchor is None:
            anchor = self._anchor = _Anchor(shown_ms, read_at_s)
        now_ms = shown_ms
        if not anchor.at(asked_at_s) - STEP_MS <= shown_ms <= anchor.at(read_at_s) + STEP_MS:
            now_ms = anchor.at(read_at_s)
        elif read_at_s - asked_at_s < _READ_AT_ONCE_S:  # clocks drift apart
            self._anchor = _Anchor(shown_ms, read_at_s)
        return Reading(shown_ms=shown_ms, now_ms=now_ms, read_at_s=read_at_s)

    def adopt(self, reading: Reading, moved_ms: int) -> None:
        """Count by what the clock shows from now on: what is stored was moved, by so much in all its life."""
        self._anchor = _Anchor(reading.shown_ms, reading.read_at_s)
        self.moved_ms = moved_ms


class LocalClock:
    """The clock of this machine as a database's."""

    def __init__(
        self, timeline: Timeline, shown_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._timeline = timeline
        self._shown_ms = shown_ms
        self._monotonic = monotonic

    def read(self) -> Reading:
        """Look at it."""
        asked_at_s = self._monotonic()
        shown_ms = self._shown_ms()
        return self._timeline.read(shown_ms, asked_at_s, self._monotonic())

    def now_ms(self) -> int:
        """Return the time that counts."""
        return self.read().now_ms

    @property
    def moved_ms(self) -> int | None:
        """By how much what is stored was moved in all, as this process knows; None before it has written."""
        return self._timeline.moved_ms

    def adopt(self, reading: Reading, moved_ms: int) -> None:
        """Count by what it shows from now on."""
        self._timeline.adopt(reading, moved_ms)
