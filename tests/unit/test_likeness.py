"""What a provider does to an input that it shows never makes it another one; another prompt always does."""

import json
import string
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mediagen.providers.likeness import Likeness, compare

EQUAL, UNCLEAR, OTHER = Likeness.EQUAL, Likeness.UNCLEAR, Likeness.OTHER
PROMPT = "a red fox in the snow"
LONG = "a red fox in the snow, " * 10
DATA, LINK = "data:image/png;base64,AAAA", "https://files.example/1.png"


@pytest.mark.parametrize(
    ("sent", "shown", "likeness"),
    [
        ({"prompt": PROMPT, "seed": 1}, {"seed": 1, "prompt": PROMPT}, EQUAL),
        ({"prompt": PROMPT}, {"prompt": PROMPT, "width": 512, "go_fast": True}, EQUAL),
        ({"prompt": PROMPT, "n": 1, "g": 3.0}, {"prompt": PROMPT, "n": "1", "g": 3}, EQUAL),
        ({"prompt": PROMPT, "fast": True}, {"prompt": PROMPT, "fast": "True"}, EQUAL),
        ({"prompt": PROMPT, "seed": None}, {"prompt": PROMPT, "seed": 4711}, EQUAL),
        ({"prompt": f"  {PROMPT}\n"}, {"prompt": PROMPT}, EQUAL),
        ({"prompt": "Tom & Jerry"}, {"prompt": "Tom &amp; Jerry"}, EQUAL),
        ({"prompt": "cafe\u0301 au lait\x00"}, {"prompt": "café au lait"}, EQUAL),
        ({"prompt": PROMPT, "image": DATA}, {"prompt": PROMPT, "image": LINK}, EQUAL),
        ({"prompt": PROMPT, "images": [DATA, DATA]}, {"prompt": PROMPT, "images": [LINK, LINK]}, EQUAL),
        ({"prompt": PROMPT, "size": (1, 2)}, {"prompt": PROMPT, "size": [1, 2.0]}, EQUAL),
        ({"image": LINK, "scale": 2}, {"image": LINK, "scale": 2}, EQUAL),
        ({"scale": 2}, {"scale": 2}, EQUAL),
        ({"text": PROMPT, "voice": "anna"}, {"text": PROMPT, "voice": "anna"}, EQUAL),
        # It may be the one that was sent:
        ({"prompt": PROMPT}, {}, UNCLEAR),
        ({"prompt": PROMPT}, None, UNCLEAR),
        ({"prompt": PROMPT}, "removed", UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": None}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": ""}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": "[REDACTED]"}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": "***"}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": ["a red fox"]}, UNCLEAR),
        ({"prompt": PROMPT}, {"text": PROMPT}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": "a red fox…"}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": "a red fox ... snow"}, UNCLEAR),
        ({"prompt": PROMPT}, {"prompt": "a red fox [truncated]"}, UNCLEAR),
        ({"prompt": LONG}, {"prompt": LONG[:100]}, UNCLEAR),
        (
            {"prompt": "ein Fuchs im Schnee, für mich 🦊"},
            {"prompt": "ein Fuchs im Schnee, f?r mich ?"},
            UNCLEAR,
        ),
        ({"prompt": "A Red Fox"}, {"prompt": "a red fox"}, UNCLEAR),
        ({"prompt": "für mich 🦊"}, {"prompt": "für mich 🦊".encode().decode("latin-1")}, UNCLEAR),
        ({"prompt": "Füchse’ Schnee"}, {"prompt": "Füchse’ Schnee".encode().decode("cp1252")}, UNCLEAR),
        ({"prompt": "für mich 🦊"}, {"prompt": "f\\u00fcr mich \\ud83e\\udd8a"}, UNCLEAR),
        ({"prompt": 'the "fox"'}, {"prompt": 'the \\"fox\\"'}, UNCLEAR),
        ({"prompt": PROMPT, "seed": 1}, {"prompt": PROMPT, "seed": 2}, UNCLEAR),
        ({"prompt": PROMPT, "seed": 1}, {"prompt": PROMPT}, UNCLEAR),
        ({"prompt": PROMPT, "fast": True}, {"prompt": PROMPT, "fast": 1}, UNCLEAR),
        ({"image": DATA, "scale": 2}, {"image": LINK, "scale": 2}, UNCLEAR),
        ({"image": DATA}, {"image": LINK}, UNCLEAR),
        ({"graph": json.dumps({"a b": 1}, indent=8)}, {"graph": '{"a b": 1}'}, UNCLEAR),
        ({}, {"prompt": PROMPT}, UNCLEAR),
        # It is another one:
        ({"prompt": PROMPT}, {"prompt": "a red fox in the rain"}, OTHER),
        ({"prompt": PROMPT}, {"prompt": "a red fox"}, OTHER),
        ({"prompt": PROMPT, "seed": 1}, {"prompt": "a pond", "seed": 1}, OTHER),
        ({"prompt": PROMPT}, {"prompt": "a blue … fox"}, OTHER),
        ({"prompt": "雪中的红狐"}, {"prompt": "池塘?"}, OTHER),
        ({"text": PROMPT, "voice": "anna"}, {"text": "good morning to you", "voice": "anna"}, OTHER),
    ],
)
def test_an_echo_is_compared_with_what_was_sent(sent: Any, shown: Any, likeness: Likeness) -> None:
    assert compare(sent, shown) is likeness


WORDS = st.lists(st.text(string.ascii_letters, min_size=1, max_size=8), min_size=1, max_size=12)
PROSE = WORDS.map(" ".join)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)
REST = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "prompt"), VALUES, max_size=5
)


@given(PROSE, REST, REST)
def test_defaults_and_another_order_leave_it_equal(
    prompt: str, rest: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    sent = {"prompt": prompt, **rest}
    shown = {**defaults, **dict(reversed(sent.items()))}
    assert compare(sent, shown) is EQUAL


@given(st.text(), REST, st.integers(0, 200), st.sampled_from(["...", "…", " [truncated]"]))
def test_a_prompt_that_was_cut_is_never_another_one(
    prompt: str, rest: Mapping[str, Any], cut: int, mark: str
) -> None:
    shown = {"prompt": prompt[:cut] + mark}
    assert compare({"prompt": prompt, **rest}, shown) is not OTHER


@given(PROSE, REST, st.text(max_size=30))
def test_links_in_place_of_data_are_never_another_input(
    prompt: str, rest: Mapping[str, Any], path: str
) -> None:
    sent = {**rest, "prompt": prompt, "image": DATA, "masks": [DATA, LINK]}
    shown = {**sent, "image": f"https://files.example/{path}", "masks": [LINK, DATA]}
    assert compare(sent, shown) is EQUAL


@given(st.text(), VALUES, REST, REST)
def test_no_difference_beside_the_prompt_makes_it_another_one(
    prompt: str, removed: Any, sent: Mapping[str, Any], shown: Mapping[str, Any]
) -> None:
    assert compare({**sent, "prompt": prompt}, {**shown, "prompt": prompt}) is not OTHER
    assert compare({**sent, "prompt": prompt}, {**shown, "prompt": None}) is not OTHER


@given(PROSE, PROSE, REST)
def test_another_prompt_is_always_another_input(one: str, other: str, rest: Mapping[str, Any]) -> None:
    hidden = {"redacted", "removed", "hidden", "masked", "filtered", "deleted"}
    assume(
        one.lower() != other.lower()
        and other.lower() not in hidden
        and not (len(other) >= 64 and one.startswith(other))
    )
    assert compare({**rest, "prompt": one}, {**rest, "prompt": other}) is OTHER


@given(REST | st.dictionaries(st.text(max_size=5), VALUES), VALUES | REST)
def test_any_echo_is_survived(sent: Mapping[str, Any], shown: Any) -> None:
    compare(sent, shown)
