"""What the fake Replicate shows of a prediction: all of it, or with the input changed, renamed, removed, odd."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.replicate_data import ENDED, Kept, iso

HUGE_CHARACTERS = 24 * 1024**2
_LEVELS = 150

Input = dict[str, Any]


def _default(given: Input) -> Input:
    return {**given, "go_fast": True}


def _link(given: Input) -> Input:
    return {
        name: "https://replicate.delivery/xezq/abc/input.png" if str(value).startswith("data:") else value
        for name, value in given.items()
    }


def _text(given: Input) -> Input:
    return {
        name: str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
        for name, value in given.items()
    }


def _strip(given: Input) -> Input:
    return {name: value.strip() if isinstance(value, str) else value for name, value in given.items()}


def _order(given: Input) -> Input:
    return dict(reversed(given.items()))


def _removed(_given: Input) -> Input:
    return {}


ECHOES: Mapping[str, Callable[[Input], Input]] = {
    "default": _default,  # a default is filled in
    "link": _link,  # a link in place of a data URI
    "text": _text,  # numbers as text
    "strip": _strip,  # spaces at the ends are gone
    "order": _order,  # the keys come in another order
    "removed": _removed,  # never shown at all
}


def shown(kept: Kept, url: str, output: Any) -> dict[str, Any]:
    """Return the prediction as a look shows it; `output` is None where there is none."""
    removed = kept.data_is_removed
    at = f"{url}/v1/predictions/{kept.id}"
    view = {
        "id": kept.id,
        "model": kept.switches.shown_model or kept.model,
        "version": kept.version,
        "input": {} if removed else echoed(kept),
        "logs": "" if removed else kept.logs,
        "output": None if removed else output,
        "data_removed": removed,
        "error": kept.error,
        "source": "api",
        "status": kept.status,
        "created_at": iso(kept.created_ms),
        "started_at": iso(kept.started_ms),
        "completed_at": iso(kept.completed_ms),
        "metrics": {"predict_time": 0.5} if kept.completed_ms else {},
        "urls": {"get": at, "cancel": f"{at}/cancel", "web": f"https://replicate.com/p/{kept.id}"},
    }
    if kept.webhook and kept.switches.echo_webhook:
        view |= {"webhook": kept.webhook, "webhook_events_filter": kept.events}
    return {**view, **odd(kept.switches.odd)} if kept.status in ENDED else view


def has_output(kept: Kept) -> bool:
    """Tell whether it shows its outputs, if they are not removed."""
    partial = kept.switches.partial and kept.status in ENDED
    return kept.status == "succeeded" or partial


def echoed(kept: Kept) -> Input:
    """Return the input as it is shown."""
    given = dict(kept.input)
    for name in filter(None, kept.switches.echo.split(",")):
        given = ECHOES[name](given)
    return given


def odd(kind: str) -> dict[str, Any]:
    """Return what makes a prediction hard to read."""
    match kind:
        case "nan":
            return {"metrics": {"predict_time": math.nan}}
        case "deep":
            return {"metrics": {"spans": nested()}}
        case "huge":
            return {"logs": huge()}
    return {}


def outputs(kind: str, links: list[str]) -> Any:
    """Return the output of this shape."""
    shapes: dict[str, Callable[[], Any]] = {
        "list": lambda: links,
        "string": lambda: links[0],
        "dict": lambda: {"image": links[0], "seed": 42},
        "none": lambda: None,
        "nan": lambda: {"image": links[0], "score": math.nan},
        "deep": lambda: {"image": links[0], "layers": nested()},
        "huge": lambda: {"image": links[0], "mask": huge()},
    }
    return shapes[kind]() if kind in shapes else ["A ", "cat", "."]


def nested() -> list[Any]:
    """Return lists in lists, deeper than JSON that means well."""
    levels: list[Any] = []
    for _ in range(_LEVELS):
        levels = [levels]
    return levels


@functools.cache
def huge() -> str:
    return "x" * HUGE_CHARACTERS
