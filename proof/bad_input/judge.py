"""What an answer may be: never 5xx, and every refusal a problem document that says why."""

import json
from enum import StrEnum
from typing import Any

from proof.bad_input.wire import Answer

PROBLEM = "application/problem+json"
# Said by the HTTP layer, which ends a connection that it does not understand before the API sees a request;
# so it does with 431 when a head is too long.
_PARSER = b"Invalid HTTP request received."


class Fault(StrEnum):
    """What may be wrong with an answer."""

    SERVER_ERROR = "an answer of 5xx"
    NO_ANSWER = "no answer at all"
    NO_PROBLEM = "a refusal that is no problem document"
    NO_JSON = "JSON that is none"
    ROWS = "rows written by a refused request"
    CHANGED = "a text that came back changed"


def is_parsers(answer: Answer) -> bool:
    """Tell whether the HTTP layer refused, not the API."""
    broken = answer.status == 400 and answer.body == _PARSER
    return answer.media_type == "text/plain" and (broken or answer.status == 431)


def fault_of(answer: Answer, method: str, *, api: bool) -> Fault | None:
    """Return what is wrong with the answer itself; pages and their files may refuse in plain text."""
    if answer.status >= 500:
        return Fault.SERVER_ERROR
    if method == "HEAD" or is_parsers(answer):
        return None
    if answer.status >= 400:
        return Fault.NO_PROBLEM if api and not _is_problem(answer) else None
    if answer.media_type == "application/json" and json_of(answer) is None:
        return Fault.NO_JSON
    return None


def json_of(answer: Answer) -> Any:
    """Return the JSON of the answer; None when it is none by the letter."""
    try:
        return json.loads(answer.body.decode("utf-8"), parse_constant=_refuse)
    except ValueError:
        return None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_problem(answer: Answer) -> bool:
    said = json_of(answer)
    if answer.media_type != PROBLEM or not isinstance(said, dict):
        return False
    texts = [said.get(name) for name in ("type", "title", "detail", "code")]
    return said.get("status") == answer.status and all(isinstance(text, str) and text for text in texts)
