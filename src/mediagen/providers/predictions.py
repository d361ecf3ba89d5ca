"""Reads the prediction objects of hosted model servers: `id`, `status`, `output`, `error`, `logs`, `webhook`.

They come one by one, or as a list in pages, newest first: `results` and, unless it is the last page, `next`.
Nothing in it is trusted: a field of the wrong type counts as missing, and only an object without a usable id
is no prediction at all. What proves that a prediction is ours is the marker in the webhook address that it shows.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mediagen.errors import Unreadable
from mediagen.providers.base import Prediction, PredictionStatus
from mediagen.providers.evidence import Entry
from mediagen.providers.markers import marker_in
from mediagen.providers.outputs import read_output

_REF = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PERCENT = re.compile(r"(\d{1,3})%\|")  # a tqdm progress bar
_LOG_TAIL = 20_000  # characters of the logs that are searched for one
_MAX_NEXT = 4096  # characters of the address of a next page

_NOT_BEGUN = ("starting", "queued")  # it waits for a free machine, which may take minutes
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


def read_prediction(raw: Any, clean: Callable[[str], str]) -> Prediction | None:
    """Return the prediction, or None when `raw` is none. `clean` makes the provider's words fit to keep."""
    if not isinstance(raw, dict) or not is_ref(ref := text_of(raw.get("id"))):
        return None
    status = _STATUSES.get(text_of(raw.get("status")), PredictionStatus.RUNNING)
    has_ended = status is not PredictionStatus.RUNNING
    outputs, document = read_output(raw.get("output")) if has_ended else ((), None)
    return Prediction(
        ref=ref,
        status=status,
        progress=_progress(raw.get("logs")),
        outputs=outputs,
        document=document,
        marker=marker_in(raw.get("webhook")),
        created_at_ms=time_ms(raw.get("created_at")),
        begun=text_of(raw.get("status")) not in _NOT_BEGUN,
        queued_ms=_queued_ms(raw),
        **(_failure(clean(_words(raw.get("error")))) if status is PredictionStatus.FAILED else {}),
    )


def read_entry(raw: Any, clean: Callable[[str], str]) -> Entry:
    """Return an entry of a list, read as far as it can be; nothing in it keeps the others from being read."""
    said = raw if isinstance(raw, dict) else {}
    return Entry(
        prediction=read_prediction(raw, clean),
        webhook=text_of(said.get("webhook")) or None,
        input=said.get("input"),
        removed=said.get("data_removed") is True,
        made_ms=time_ms(said.get("created_at")),
        model=said.get("model"),
        version=said.get("version"),
    )


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the list, newest first, and the query of the next one."""

    entries: Sequence[Entry]
    next: Mapping[str, str] | None  # None after the last page, and where the list can't be read further
    why: str = ""  # why it can't be read further; empty when this is the last page or another follows

    def is_older_than(self, since_ms: int | None) -> bool:
        """Tell whether this page and so, newest first, all after it were made before that time."""
        times = [entry.made_ms for entry in self.entries if entry.made_ms is not None]
        return since_ms is not None and bool(times) and max(times) < since_ms and times[0] >= times[-1]


def read_page(raw: Any, clean: Callable[[str], str]) -> Page:
    """Return the page. Raises `Unreadable` when it is none."""
    said = raw if isinstance(raw, dict) else {}
    items, following = said.get("results"), said.get("next")
    if not isinstance(items, list):
        beginning = "".join(islice(json.JSONEncoder().iterencode(raw), 200))
        raise Unreadable("the answer is no list of predictions", raw=clean(beginning))
    is_last = following is None or following == ""
    query = None if is_last else _query_of(following)
    why = "" if is_last or query else "the list of predictions goes on nowhere"
    return Page(entries=[read_entry(item, clean) for item in items], next=query, why=why)


def _query_of(following: Any) -> Mapping[str, str] | None:
    # Only the query is used, and at our own address: the provider can't lead us and our token elsewhere.
    try:
        return dict(parse_qsl(urlsplit(text_of(following)[:_MAX_NEXT]).query)) or None
    except ValueError:
        return None


def is_ref(text: str) -> bool:
    """Tell whether the text can be a prediction's id."""
    return bool(_REF.fullmatch(text))


def time_ms(value: Any) -> int | None:
    """Return a time, in milliseconds since 1970 UTC, or None when it is none."""
    try:
        time = datetime.fromisoformat(text_of(value))
        return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def is_moderation(message: str) -> bool:
    """Tell whether the words say that safety rules refused the input or the output."""
    return bool(_MODERATION.search(message))


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


def _queued_ms(raw: Mapping[str, Any]) -> int | None:
    made, started = time_ms(raw.get("created_at")), time_ms(raw.get("started_at"))
    return None if made is None or started is None else max(0, started - made)


def _progress(logs: Any) -> float | None:
    shown = _PERCENT.findall(text_of(logs)[-_LOG_TAIL:])
    return min(int(shown[-1]), 100) / 100 if shown else None
