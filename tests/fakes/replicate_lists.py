"""The fake Replicate's list of predictions, in pages, with what does not belong there."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes import replicate_views as views
from tests.fakes.replicate_data import Kept, Switches, iso

View = dict[str, Any]
_GAP = "gap-"


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one page holds, before anything is done to it."""

    kept: Sequence[Kept]
    following: str | None  # cursor of the next one


def page_of(newest: Sequence[Kept], cursor: str, size: int, kind: str) -> Page:
    """Return the page at this cursor; `kind` is the switch `list_pages`."""
    if cursor.startswith(_GAP):
        return Page(kept=(), following=cursor.removeprefix(_GAP))
    start = next((i + 1 for i, kept in enumerate(newest) if kept.id == cursor), 0)
    found = newest[start : start + size]
    more = len(newest) > start + size
    match kind:
        case "repeats" if found:  # the cursor of this very page
            return Page(kept=found, following=newest[start - 1].id if start else found[0].id)
        case "empty" if more:
            return Page(kept=found, following=f"{_GAP}{found[-1].id}")
        case "cut":
            return Page(kept=found, following=None)
    return Page(kept=found, following=found[-1].id if more else None)


def entry(view: View, kept: Kept) -> View:
    """Return the prediction as the list shows it."""
    if kept.switches.list_webhook:
        return view
    return {name: value for name, value in view.items() if not name.startswith("webhook")}


def with_odd(entries: list[Any], switches: Switches, now_ms: int) -> list[Any]:
    """Return the entries with those that `list_adds` names."""
    for name in filter(None, switches.list_adds.split(",")):
        entries = ADDS[name](entries, now_ms)
    return entries


def strange(now_ms: int, **changes: Any) -> View:
    """Return a prediction that another user of the account bought."""
    ref = secrets.token_hex(13)
    return {
        "id": ref,
        "model": "elsewhere/model",
        "version": "hidden",
        "input": {"prompt": f"somebody's {ref}"},
        "output": None,
        "error": None,
        "logs": "",
        "data_removed": False,
        "source": "web",
        "status": "succeeded",
        "created_at": iso(now_ms),
        "started_at": iso(now_ms),
        "completed_at": iso(now_ms),
        "metrics": {},
        "urls": {},
        **changes,
    }


def _put(make: Callable[[int], Any]) -> Callable[[list[Any], int], list[Any]]:
    return lambda entries, now_ms: [make(now_ms), *entries]


ADDS: Mapping[str, Callable[[list[Any], int], list[Any]]] = {
    "null": _put(lambda _: None),
    "string": _put(lambda _: "prediction"),
    "empty": _put(lambda _: {}),
    "nan": _put(lambda now_ms: strange(now_ms, **views.odd("nan"))),
    "deep": _put(lambda now_ms: strange(now_ms, **views.odd("deep"))),
    "huge": _put(lambda now_ms: strange(now_ms, **views.odd("huge"))),
    "others": _put(strange),
    "hooked": _put(lambda now_ms: strange(now_ms, webhook="https://elsewhere.example/hooks/1")),
    "repeated": lambda entries, _: [*entries, *entries],
    "shuffled": lambda entries, _: entries[::2] + entries[1::2],
}
