"""Reading hostile JSON: what is not plain, bounded and storable in every database is refused here. Writing our own."""

import asyncio
import json as jsonlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from mediagen.api.guard import header_of
from mediagen.errors import InvalidRequest, TooLarge
from mediagen.jobs.validation import check_storable

Body = TypeVar("Body", bound=BaseModel)
Headers = Sequence[tuple[bytes, bytes]]

_SHOWN = 200


async def read_json(request: Request, most_bytes: int) -> Any:
    """Return the JSON body. Raises `InvalidRequest` or `TooLarge`."""
    content_type = (header_of(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise InvalidRequest(f"The body must be sent as application/json, not as {content_type[:100]!r}")
    encoding = (header_of(request.scope, b"content-encoding") or "").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidRequest(f"The body must be sent plain, without the content encoding {encoding[:100]!r}")
    return parse_json(await _read(request, most_bytes))


_DRAINED = 16  # times what is allowed: so much of a body is read and thrown away before it is refused
_DRAINED_WITHIN_S = 10.0


async def _read(request: Request, most_bytes: int) -> bytes:
    body, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":  # nobody hears the answer, and nothing here is broken
            raise InvalidRequest("The body was cut off")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most_bytes or (more and _announced(request) > most_bytes):
            if more:
                await _drain(request, most_bytes * _DRAINED - len(body))
            raise TooLarge(f"The body is larger than {most_bytes:,} bytes (MAX_BODY_BYTES)")
    return body


async def _drain(request: Request, most_bytes: int) -> None:
    """Read on, for a while: a client that still writes when the connection is closed never sees the answer."""
    if _announced(request) > most_bytes:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAINED_WITHIN_S):
            while most_bytes > 0:
                message = await request.receive()
                most_bytes -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _announced(request: Request) -> int:
    """Return the size that the client says the body has, 0 when it does not say."""
    return int(header_of(request.scope, b"content-length") or 0)  # the parser refuses what is no number


def parse_json(raw: bytes | str) -> Any:
    """Return what the JSON text says. Raises `InvalidRequest` for what no database could keep."""
    try:
        value = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from error
    check_storable(value)
    if raw.count(b":" if isinstance(raw, bytes) else ":") != _count(value):  # type: ignore[arg-type]
        _demand_unique(raw)
    return value


def _count(value: Any) -> int:
    """Count the names in a JSON value. A text of it without names that come twice has no fewer colons."""
    count, left = 0, [value]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            count += len(node)
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)
    return count


def _demand_unique(raw: bytes | str) -> None:
    """Raise `InvalidRequest` for a name that comes twice in one object: which one is meant can't be told."""

    def pairs(found: list[tuple[str, Any]]) -> None:
        seen = set()
        for name, _ in found:
            if name in seen:
                message = f"{name[:_SHOWN]!r} comes twice in one object"
                raise InvalidRequest(message, {name[:_SHOWN]: "comes twice"})
            seen.add(name)

    try:
        jsonlib.loads(raw, object_pairs_hook=pairs)
    except ValueError as error:  # it takes less than the other reader, such as whole numbers of 5,000 digits
        raise InvalidRequest(f"The body is not valid JSON: {error}") from error


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


class JSONBytes(Response):
    """An answer whose JSON and headers are bytes already: nothing is left to encode."""

    def __init__(self, content: bytes, status: int, headers: Headers) -> None:
        self.status_code = status
        self.body = content
        self.background = None
        length = str(len(content)).encode()
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", length), *headers]
