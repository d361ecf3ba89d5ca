"""What an HTTP answer of a provider says: its JSON, read as far as it can be, and whether the words are its own."""

import json as jsonlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 100  # nesting of JSON that is read; Python's own limit lies near 1,000
_MAX_DIGITS = 300  # of a whole number; more are no number that anybody means
_OWN_WORDS = frozenset({"detail", "title", "error", "message", "errors", "status"})
# A string, whole or cut off, or a bracket. Possessive: one look at each character, whatever the text is.
_PARTS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole HTTP answer of any status. `json` is its parsed body, None when that is no JSON."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes
    json: Any = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def own(self) -> bool:
        """Whether the body is a provider's own: an object that says what is the matter.

        Gateways, proxies and load balancers on the way answer with pages, bare texts or nothing.
        """
        return isinstance(self.json, dict) and not _OWN_WORDS.isdisjoint(self.json)


def parse_json(body: bytes) -> Any:
    """Return the parsed JSON, or None when it is none.

    One odd part does not lose the rest: numbers that are none (NaN, Infinity, 1e999) and what is nested deeper than
    `MAX_DEPTH` become null, wrong bytes become U+FFFD, a byte order mark is skipped, and of the same key twice the
    last one counts.
    """
    text = body.decode(jsonlib.detect_encoding(body), errors="replace")
    try:
        value = _loads(text)
    except RecursionError:
        pass
    except ValueError:
        return None
    else:
        if _is_shallow(value):
            return value
    try:
        return _loads("".join(_shallow(text)))
    except (ValueError, RecursionError):
        return None


def _loads(text: str) -> Any:
    return jsonlib.loads(
        text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole, strict=False
    )


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    return int(text) if len(text) <= _MAX_DIGITS else None


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return True
    return False


def _shallow(text: str) -> Iterator[str]:
    """Yield the text with null in place of all that is nested too deep."""
    depth, kept = 0, 0
    for part in _PARTS.finditer(text):
        if part[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                yield text[kept : part.start()]
                yield "null"
        elif part[0] in "]}":
            if depth == MAX_DEPTH + 1:
                kept = part.end()
            depth -= 1
    if depth <= MAX_DEPTH:
        yield text[kept:]


def said_in(problem: Any) -> str | None:
    """Return the most telling text of an error answer: problem details, or `{"error": {"message": ...}}`."""
    if isinstance(problem, str):
        return problem
    if isinstance(problem, dict):
        texts = (said_in(problem.get(name)) for name in ("detail", "message", "msg", "error", "title"))
        return next((text for text in texts if text), None)
    if isinstance(problem, list):
        return next((text for item in problem if (text := said_in(item))), None)
    return None


def number_of(value: Any) -> float | None:
    """Return a number of seconds that a provider may mean, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None
