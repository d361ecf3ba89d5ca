"""Reading hostile JSON: what is not plain, bounded and storable in every database is refused here."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from mediagen.errors import InvalidRequest, TooLarge
from mediagen.jobs.validation import check_storable

Body = TypeVar("Body", bound=BaseModel)

_SHOWN = 200


async def read_json(request: Request, most_bytes: int) -> Any:
    """Return the JSON body. Raises `InvalidRequest` or `TooLarge`."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise InvalidRequest(f"The body must be sent as application/json, not as {content_type[:100]!r}")
    return parse_json(await _read(request, most_bytes))


async def _read(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise TooLarge(f"The body is larger than {most_bytes} bytes")
    except ClientDisconnect as error:  # nobody hears the answer, and nothing here is broken
        raise InvalidRequest("The body was cut off") from error
    return bytes(body)


def parse_json(raw: bytes | str) -> Any:
    """Return what the JSON text says. Raises `InvalidRequest` for what no database could keep."""
    try:
        value = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from error
    check_storable(value)
    return value


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
