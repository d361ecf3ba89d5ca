"""What is read from a provider's words, and what may stand in a path."""

from email.utils import formatdate
from typing import Any

import pytest

from mediagen.providers.answers import Answer
from mediagen.providers.http import ProviderHTTP, path_of
from tests.fakes.handclock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def answer_of(json: Any = None, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=429, headers=named, body=body, json=json)


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (answer_of(Retry_After="30"), 30.0),
        (answer_of(Retry_After="1.5"), 1.5),
        (answer_of(Retry_After=formatdate(1_700_000_060, usegmt=True)), 60.0),
        (answer_of(Retry_After=formatdate(1_600_000_000, usegmt=True)), 0.0),
        (answer_of(Retry_After="999999999"), 3600.0),
        (answer_of({"detail": "Request was throttled. Your rate limit resets in ~30s."}), 30.0),
        (answer_of({"detail": "resets in 2m"}), 120.0),
        (answer_of(body=b"resets in ~500ms"), 0.5),
        (answer_of({"detail": "throttled", "retry_after": 4}), 4.0),
        (answer_of({"retry_after": True}), None),
        (answer_of({"retry_after": 10**400}), None),
        (answer_of(Retry_After="-5"), None),
        (answer_of(Retry_After="soon"), None),
        (answer_of(Retry_After="Mon, 99 Foo 2024 99:99:99 GMT"), None),
        (answer_of(), None),
    ],
)
def test_the_pause_is_read_from_wherever_the_provider_puts_it(
    clock: HandClock, answer: Answer, pause: float | None
) -> None:
    assert ProviderHTTP("http://h", clock=clock).retry_after_s(answer) == pause


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answer_of({"title": "Bad", "detail": "the width"}), "the width"),
        (answer_of({"error": {"message": "no money", "type": "x"}}), "no money"),
        (answer_of({"detail": [{"loc": ["a"], "msg": "too long"}]}), "too long"),
        (answer_of("plain"), "plain"),
        (answer_of(body=b"a\x00b\r\n\xffc"), "a b \ufffdc"),
        (answer_of({"code": 5}, body=b'{"code":5}'), '{"code":5}'),
        (answer_of(), ""),
    ],
)
def test_the_problem_is_the_providers_own_words(clock: HandClock, answer: Answer, said: str) -> None:
    assert ProviderHTTP("http://h", clock=clock).problem(answer) == said


def test_a_long_text_is_cut_and_its_control_and_direction_characters_go(clock: HandClock) -> None:
    cleaned = ProviderHTTP("http://h", clock=clock).clean("\x1b[31m\ud800\u202ex\n" + "y" * 10_000_000)
    assert cleaned.startswith("[31m x y")
    assert (len(cleaned), cleaned[-1]) == (500, "…")


def test_a_path_segment_can_not_leave_its_place() -> None:
    assert path_of("v1", "models", "a/../b?c#d%2e") == "/v1/models/a%2F..%2Fb%3Fc%23d%252e"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_that_moves_through_paths_is_refused(segment: str) -> None:
    with pytest.raises(ValueError, match="no part of a path"):
        path_of("v1", segment)
