"""The pauses between tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagen.clock import SystemClock
from mediagen.jobs.retry import CAP_S, Backoff
from tests.fakes.clock import ManualClock


class _Luck(ManualClock):
    def __init__(self, chance: float) -> None:
        super().__init__()
        self._chance = chance

    def chance(self) -> float:
        return self._chance


@pytest.mark.parametrize(
    ("tries", "bound_s"), [(1, 2), (2, 4), (3, 8), (4, 16), (9, 512), (10, 600), (99, 600)]
)
def test_the_bound_doubles_with_every_failure_up_to_the_cap(tries: int, bound_s: float) -> None:
    almost = _Luck(0.9999)
    assert Backoff(base_s=2).pause_ms(tries, almost) == pytest.approx(bound_s * 1000, rel=1e-3)


def test_luck_takes_it_anywhere_down_to_nothing() -> None:
    assert [Backoff(base_s=2).pause_ms(3, _Luck(luck)) for luck in (0.0, 0.25, 0.5)] == [0, 2000, 4000]


def test_a_base_of_zero_tries_again_at_once() -> None:
    assert Backoff(base_s=0).pause_ms(5, _Luck(0.9)) == 0


def test_a_first_try_counts_as_the_first_failure() -> None:
    assert Backoff(base_s=2).pause_ms(0, _Luck(0.5)) == Backoff(base_s=2).pause_ms(1, _Luck(0.5))


@given(base_s=st.floats(0, 600), tries=st.integers(0, 10**6))
def test_a_pause_is_never_negative_nor_beyond_the_cap(base_s: float, tries: int) -> None:
    assert 0 <= Backoff(base_s=base_s).pause_ms(tries, SystemClock()) <= CAP_S * 1000
