"""A server's clock as the `Date` of its answers tells it: known, or honestly unknown."""

from email.utils import formatdate

import pytest

from mediagen.providers.clocks import FRESH_S, MOST_READINGS, STEADY_S, ServerClock
from tests.fakes.handclock import HandClock

THERE_S = 1_800_000_000  # the server's time when ours, monotonic, is 1000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def server(clock: HandClock) -> ServerClock:
    return ServerClock(clock)


def hear(server: ServerClock, clock: HandClock, *, ahead_s: float = 0, took_s: float = 0.1) -> None:
    """Let the server answer now; its clock is `ahead_s` away from where it was."""
    date = formatdate(THERE_S + clock.now_s - 1000 + ahead_s, usegmt=True)
    server.heard(date, clock.now_s - took_s, clock.now_s)


def test_nothing_heard_is_nothing_known(server: ServerClock) -> None:
    assert server.now_ms() is None
    assert not server.heard_lately


def test_one_answer_tells_the_time_to_about_a_second(server: ServerClock, clock: HandClock) -> None:
    hear(server, clock)
    now = server.now_ms()
    assert now is not None
    assert abs(now - THERE_S * 1000) <= 1100


def test_it_is_the_servers_time_and_not_ours(server: ServerClock, clock: HandClock) -> None:
    hear(server, clock)
    clock.wall_ms += 7_200_000
    clock.now_s += 60
    now = server.now_ms()
    assert now is not None
    assert abs(now - (THERE_S + 60) * 1000) <= 1100


def test_more_answers_tell_it_better(server: ServerClock, clock: HandClock) -> None:
    for _ in range(MOST_READINGS):
        clock.now_s += 0.3
        hear(server, clock, took_s=0.01)
    now = server.now_ms()
    assert now is not None
    assert abs(now - (THERE_S + clock.now_s - 1000) * 1000) <= 200


def test_servers_that_differ_a_little_are_one_clock(server: ServerClock, clock: HandClock) -> None:
    hear(server, clock)
    hear(server, clock, ahead_s=STEADY_S - 1)
    assert server.now_ms() is not None


def test_servers_that_differ_much_are_none(server: ServerClock, clock: HandClock) -> None:
    hear(server, clock)
    hear(server, clock, ahead_s=STEADY_S + 2)
    assert server.now_ms() is None
    assert server.heard_lately


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_after_a_step_of_its_clock_nothing_is_known_until_the_old_answers_are_forgotten(
    server: ServerClock, clock: HandClock, step_s: float
) -> None:
    hear(server, clock)
    for _ in range(MOST_READINGS - 1):
        hear(server, clock, ahead_s=step_s)
        assert server.now_ms() is None
    hear(server, clock, ahead_s=step_s)
    now = server.now_ms()
    assert now is not None
    assert abs(now - (THERE_S + step_s) * 1000) <= 1100


def test_what_was_heard_long_ago_is_forgotten(server: ServerClock, clock: HandClock) -> None:
    hear(server, clock)
    clock.now_s += FRESH_S + 1
    assert server.now_ms() is None
    assert not server.heard_lately


def test_an_answer_that_took_long_tells_nothing_alone_and_spoils_nothing(
    server: ServerClock, clock: HandClock
) -> None:
    hear(server, clock, took_s=20)
    assert server.now_ms() is None
    hear(server, clock)
    assert server.now_ms() is not None


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Foo 2024 99:99:99 GMT", "0", "\ud800", "9" * 10_000])
def test_odd_dates_count_for_nothing(server: ServerClock, clock: HandClock, date: str) -> None:
    server.heard(date, clock.now_s, clock.now_s)
    assert server.now_ms() is None
