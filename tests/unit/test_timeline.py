"""What counts as the database's time while its clock is set, and as a step of it."""

import pytest

from mediagen.db.timeline import LocalClock, Timeline
from tests.fakes.clock import ManualClock

HOUR_S = 3600


def clock_of(manual: ManualClock) -> LocalClock:
    return LocalClock(Timeline(), manual.now_ms, manual.monotonic)


@pytest.mark.parametrize("by_s", [-HOUR_S, -11, 11, 2 * HOUR_S])
def test_a_step_counts_only_once_it_is_adopted(by_s: int) -> None:
    manual = ManualClock()
    clock = clock_of(manual)
    before = clock.now_ms()
    manual.jump(by_s)
    manual.advance(5)
    reading = clock.read()
    assert (reading.step_ms, clock.now_ms()) == (by_s * 1000, before + 5_000)
    clock.adopt(reading, 0)
    assert (clock.read().step_ms, clock.now_ms()) == (0, manual.now_ms())


@pytest.mark.parametrize("by_s", [-9, 9])
def test_a_clock_that_is_slewed_is_followed_at_once(by_s: int) -> None:
    manual = ManualClock()
    clock = clock_of(manual)
    clock.now_ms()
    for _ in range(10):
        manual.jump(by_s)
        assert (clock.read().step_ms, clock.now_ms()) == (0, manual.now_ms())


def test_time_that_passes_is_no_step() -> None:
    manual = ManualClock()
    clock = clock_of(manual)
    clock.now_ms()
    manual.advance(30 * 24 * HOUR_S)
    assert (clock.read().step_ms, clock.now_ms()) == (0, manual.now_ms())


def test_a_process_that_stands_still_while_it_looks_sees_no_step() -> None:
    timeline = Timeline()
    timeline.read(1_000_000, 0.0, 0.0)
    assert timeline.read(1_000_000 + 60_000, 0.0, 600.0).step_ms == 0  # asked at 0, stopped, read at 600 s
    assert timeline.read(1_000_000 + 600_000, 600.0, 600.0).step_ms == 0
