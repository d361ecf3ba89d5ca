"""One odd part of an answer does not lose the rest, and what is not a provider's own is told from what is."""

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagen.providers.answers import MAX_DEPTH, Answer, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"<html>", b"[" * 200_000, b'"' * 200_001, b'{"a": ' * 90_000]
)
def test_what_is_no_json_parses_to_none(body: bytes) -> None:
    assert parse_json(body) is None


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"id": "a", "x": [NaN, -Infinity, Infinity, 1e999, 1]}', {"id": "a", "x": [None] * 4 + [1]}),
        (b'{"id": "a", "n": ' + b"9" * 5000 + b"}", {"id": "a", "n": None}),
        (b'{"id": "a", "n": -' + b"9" * 30 + b"}", {"id": "a", "n": -int("9" * 30)}),
        (b'{"id": "a", "id": "b"}', {"id": "b"}),
        (b'\xef\xbb\xbf{"id": "a"}', {"id": "a"}),
        ('{"id": "ä"}'.encode("utf-16"), {"id": "ä"}),
        (b'{"id": "a", "logs": "\xff"}', {"id": "a", "logs": "\ufffd"}),
        (b'{"id": "a", "logs": "one\ntwo"}', {"id": "a", "logs": "one\ntwo"}),
    ],
)
def test_one_odd_part_does_not_lose_the_rest(body: bytes, value: Any) -> None:
    assert parse_json(body) == value


def nested(levels: int) -> bytes:
    return b'{"id": "a", "x": ' + b"[" * levels + b"1" + b"]" * levels + b', "y": "]["}'


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth


def test_json_nested_a_hundred_deep_is_read_whole() -> None:
    assert depth_of(parse_json(nested(MAX_DEPTH - 1))["x"]) == MAX_DEPTH - 1


@pytest.mark.parametrize("levels", [MAX_DEPTH, 150, 990, 5_000, 200_000])
def test_what_is_nested_deeper_is_cut_and_the_rest_is_read(levels: int) -> None:
    read = parse_json(nested(levels))
    assert (read["id"], read["y"], depth_of(read["x"])) == ("a", "][", MAX_DEPTH - 1)


def test_deep_json_is_cut_in_a_thread_too() -> None:
    read: list[Any] = []
    thread = threading.Thread(target=lambda: read.append(parse_json(nested(100_000))))
    thread.start()
    thread.join()
    assert read[0]["id"] == "a"


@given(JSON)
def test_good_json_is_read_as_it_is(value: Any) -> None:
    text = json.dumps(value)
    assert parse_json(text.encode()) == json.loads(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(body: bytes) -> None:
    parse_json(body)


@pytest.mark.parametrize(
    ("body", "own"),
    [
        (b'{"detail": "Not found", "status": 404}', True),
        (b'{"title": "x"}', True),
        (b'{"error": {"message": "x"}}', True),
        (b'{"errors": []}', True),
        (b'{"id": "a", "status": "failed"}', True),
        (b"<html><h1>404 Not Found</h1></html>", False),
        (b"", False),
        (b'"Not found"', False),
        (b'["Not found"]', False),
        (b"{}", False),
        (b"null", False),
        (b"404", False),
    ],
)
def test_only_an_object_that_says_what_is_the_matter_is_a_providers_own(body: bytes, own: bool) -> None:
    assert Answer(status=404, headers={}, body=body, json=parse_json(body)).own is own
