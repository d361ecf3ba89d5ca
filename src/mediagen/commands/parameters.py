"""Reads a model's inputs from the command line."""

import json
from typing import Any

from mediagen.errors import InvalidRequest


def parameter(text: str) -> tuple[str, Any]:
    """Return name and value of `name=value`; the value is JSON where it is JSON, else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidRequest(f"-p {text!r} is not a parameter; write -p name=value")
    try:
        return name.strip(), json.loads(value, parse_constant=_refuse)
    except ValueError:
        return name.strip(), value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is text: JSON has no such number")
