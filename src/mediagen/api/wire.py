"""Reading hostile JSON: what is not plain, bounded and storable in every database is refused here."""

import math
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from mediagen.errors import InvalidRequest, TooLarge

Body = TypeVar("Body", bound=BaseModel)

_DEPTH = 64
_INT = 2**63
_SHOWN = 200


async def read_json(request: Request, most_bytes: int) -> Any:
    """Return the JSON body. Raises `InvalidRequest` or `TooLarge`."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise InvalidRequest(f"The body must be sent as application/json, not as {content_type[:100]!r}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise TooLarge(f"The body is larger than {most_bytes} bytes")
    return parse_json(bytes(body))


def parse_json(raw: bytes | str) -> Any:
    """Return what the JSON text says. Raises `InvalidRequest` for what no database could keep."""
    try:
        value = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from error
    _check(value, "", 0)
    return value


def _check(value: Any, path: str, depth: int) -> None:
    if depth > _DEPTH:
        raise _bad(path, f"nested deeper than {_DEPTH} levels")
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _bad(path, "not a finite number")
    elif isinstance(value, int) and not -_INT <= value < _INT:
        raise _bad(path, "an integer beyond 64 bits")
    elif isinstance(value, list):
        for idx, item in enumerate(value):
            _check(item, f"{path}.{idx}" if path else str(idx), depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            check_text(name, path or "body")
            _check(item, f"{path}.{name}" if path else name, depth + 1)


def check_text(text: str, path: str) -> None:
    """Raise `InvalidRequest` for text with a NUL or half a character, which databases refuse."""
    if "\x00" in text:
        raise _bad(path, "contains a NUL character")
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _bad(path, "contains half a character (a lone surrogate)")


def read_model(kind: type[Body], value: Any) -> Body:
    """Return the value as a model. Raises `InvalidRequest` naming each bad field."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fields = {
            ".".join(str(part) for part in e["loc"])[:_SHOWN] or "body": e["msg"].removeprefix(
                "Value error, "
            )
            for e in error.errors(include_input=False, include_url=False)
        }
        listed = "; ".join(f"{name}: {text}" for name, text in fields.items())
        raise InvalidRequest(f"The request is not valid: {listed}", fields) from error


def _bad(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{path[:_SHOWN] or 'The body'}: {what}", {path[:_SHOWN] or "body": what})
