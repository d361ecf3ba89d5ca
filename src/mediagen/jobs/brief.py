"""What lists show of large values: a page of jobs with pictures in their parameters must stay a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

MOST_BYTES = 4096
"""Of one value, as JSON; a larger one is cut."""

WHOLE_BYTES = 64 * 1024
"""Of all values of a field; what comes after that is left out."""

_SHOWN = 200  # characters of a text that is cut

FIELDS = ("parameters", "metadata")


def size_of(value: Mapping[str, Any]) -> int:
    """Return how many bytes a field has as JSON."""
    return len(to_json(value, fallback=dict)) if value else 0


def brief(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return what lists show of the fields, with the names of those that are cut; None when nothing is.

    A text that is cut ends with "…"; of anything else that is too large a text says what it is.
    """
    shown = {name: _brief(value) for name, value in fields.items()}
    cut = [name for name, value in fields.items() if shown[name] != value]
    return {**shown, "cut": cut} if cut else None


def _brief(values: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    held = 0
    for name, value in values.items():
        short = _cut(value)
        held += len(name) + len(to_json(short, fallback=dict))
        if held > WHOLE_BYTES:
            break
        shown[name] = short
    return shown


def _cut(value: Any) -> Any:
    size = len(to_json(value, fallback=dict))
    if size <= MOST_BYTES:
        return value
    if isinstance(value, str):
        return f"{value[:_SHOWN]}…"
    if isinstance(value, Mapping):
        return f"{len(value)} fields, {size:,} bytes …"
    if isinstance(value, Sequence):
        return f"{len(value)} items, {size:,} bytes …"
    return f"{size:,} bytes …"
