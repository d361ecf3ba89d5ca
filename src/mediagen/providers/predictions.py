"""Reads the prediction objects of hosted model servers: `id`, `status`, `output`, `error`, `logs`, `webhook`.

They come one by one, or as a list in pages, newest first: `results` and, unless it is the last page, `next`.
Nothing in it is trusted: a field of the wrong type counts as missing, and only an object without a usable id
is no prediction at all.

What proves that a prediction is ours is the webhook URL that it echoes: **the id of the call (a UUID) stands
anywhere in the path of that URL**. `calls_named_by` is the one place that reads it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mediagen.errors import ProviderError
from mediagen.providers.base import Call, Output, Prediction, PredictionStatus

_REF = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://\S+|data:[^\s,]*,\S*", re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3})%\|")  # a tqdm progress bar
_LOG_TAIL = 20_000  # characters of the logs that are searched for one
_MAX_NEXT = 4096  # characters of the address of a next page

_STATUSES = {  # any other word is a prediction on its way
    "succeeded": PredictionStatus.SUCCEEDED,
    "failed": PredictionStatus.FAILED,
    **dict.fromkeys(("canceled", "cancelled", "aborted"), PredictionStatus.CANCELED),
}

_MODERATION = re.compile(
    r"\bnsfw\b|\bE005\b|\bflagged\b|\bmoderat(ed|ion)\b|safety (check|filter|system)|content polic"
    r"|sensitive content",
    re.IGNORECASE,
)
# The host's own machinery failed (interrupted, did not start, stopped, unhealthy, lost files), not the model
# or the input; its documents advise another try for these codes and texts.
_TRANSIENT = re.compile(
    r"interrupted; please retry|\(code: PA\)|unexpected error handling prediction|\bE00[34]\b|\bE1000\b"
    r"|\bE6716\b|\bE8367\b|\bE8765\b|\bE9243\b|\bE98\d\d\b|queue is full|high demand|temporarily unavailable",
    re.IGNORECASE,
)
_LASTING = re.compile(r"\bE1001\b|out of memory|\bOOM\b", re.IGNORECASE)  # the same input fails again


def read_prediction(raw: Any, clean: Callable[[str], str], call: Call | None = None) -> Prediction | None:
    """Return the prediction, or None when `raw` is none.

    `clean` makes the provider's words fit to keep. With `call`, `call_id` is set where the webhook proves it.
    """
    if not isinstance(raw, dict) or not is_ref(ref := text_of(raw.get("id"))):
        return None
    status = _STATUSES.get(text_of(raw.get("status")), PredictionStatus.RUNNING)
    return Prediction(
        ref=ref,
        status=status,
        progress=_progress(raw.get("logs")),
        outputs=tuple(_outputs(raw.get("output"))) if status is PredictionStatus.SUCCEEDED else (),
        call_id=call.id if call and call.id.lower() in calls_named_by(raw) else None,
        created_at_ms=created_ms(raw),
        **(_failure(clean(_words(raw.get("error")))) if status is PredictionStatus.FAILED else {}),
    )


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the list, newest first, and the query of the next one."""

    items: Sequence[Any]
    next: Mapping[str, str] | None

    def following(self, since_ms: int) -> Mapping[str, str] | None:
        """Return the query of the next page, None when there is none, or none with later predictions."""
        times = [
            made for raw in self.items if isinstance(raw, dict) and (made := created_ms(raw)) is not None
        ]
        return None if times and times[-1] < since_ms else self.next


def read_page(raw: Any) -> Page:
    """Return the page. Raises `ProviderError` when it is none."""
    said = raw if isinstance(raw, dict) else {}
    items, following = said.get("results"), said.get("next")
    if not isinstance(items, list) or not isinstance(following, (str, type(None))):
        raise ProviderError("the answer is no list of predictions")
    return Page(items=items, next=_query_of(following) if following else None)


def _query_of(following: str) -> Mapping[str, str]:
    # Only the query is used, and at our own address: the provider can't lead us and our token elsewhere.
    try:
        query = dict(parse_qsl(urlsplit(following[:_MAX_NEXT]).query))
    except ValueError:
        query = {}
    if not query:
        raise ProviderError("the list of predictions goes on nowhere")
    return query


def is_ref(text: str) -> bool:
    """Tell whether the text can be a prediction's id."""
    return bool(_REF.fullmatch(text))


def calls_named_by(raw: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids, in lower case, in the path of the webhook URL that the prediction echoes."""
    try:
        path = urlsplit(text_of(raw.get("webhook"))).path
    except ValueError:
        return frozenset()
    return frozenset(found.lower() for found in _UUID.findall(path))


def created_ms(raw: Mapping[str, Any]) -> int | None:
    """Return when it was created, in milliseconds since 1970 UTC, or None when it does not say."""
    try:
        time = datetime.fromisoformat(text_of(raw.get("created_at")))
        return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def is_moderation(message: str) -> bool:
    """Tell whether the words say that safety rules refused the input or the output."""
    return bool(_MODERATION.search(message))


def same_json(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: tuples are lists, and 1 is 1.0 but not true."""
    return bool(normal_json(one) == normal_json(other))


def normal_json(value: Any) -> Any:
    """Return the value in the one form in which the same JSON is equal, as `same_json` tells."""
    if isinstance(value, Mapping):
        return {key: normal_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal_json(part) for part in value]
    return ("bool", value) if isinstance(value, bool) else value


def text_of(value: Any) -> str:
    """Return the value if it is a string, else the empty one."""
    return value if isinstance(value, str) else ""


def _failure(message: str) -> dict[str, Any]:
    if is_moderation(message):
        return {"error_code": "moderation", "error_message": message}
    return {
        "error_code": "prediction_failed",
        "error_message": message or "the provider gives no reason",
        "retryable": bool(_TRANSIENT.search(message)) and not _LASTING.search(message),
    }


def _words(error: Any) -> str:
    return error if isinstance(error, str) else "" if error is None else json.dumps(error)


def _progress(logs: Any) -> float | None:
    shown = _PERCENT.findall(text_of(logs)[-_LOG_TAIL:])
    return min(int(shown[-1]), 100) / 100 if shown else None


def _outputs(output: Any) -> Iterator[Output]:
    """Yield each address as a file, in order, then what else the model said, so that nothing paid is lost.

    Words of a language model come in pieces and become one text; an output of numbers and names becomes JSON.
    """
    leaves = list(_leaves(output))
    files = [leaf for leaf in leaves if _is_address(leaf)]
    words = [leaf for leaf in leaves if isinstance(leaf, str) and not _is_address(leaf)]
    yield from (Output(url=file) for file in files)
    if files:
        text = "\n".join(words)
    elif len(words) == len(leaves) and not (leaves and isinstance(output, dict)):
        text = "".join(words)
    else:
        text = json.dumps(output, ensure_ascii=False)
    if text.strip():
        yield Output(data=text.encode(errors="replace"))


def _is_address(leaf: Any) -> bool:
    return isinstance(leaf, str) and bool(_ADDRESS.fullmatch(leaf))


def _leaves(output: Any) -> Iterator[Any]:
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list):
        for part in output:
            yield from _leaves(part)
    elif output is not None:
        yield output
