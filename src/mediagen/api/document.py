"""What the OpenAPI document says beside the types: request headers, and answers that are no JSON."""

from typing import Any

Responses = dict[int | str, dict[str, Any]]

UNCHANGED: Responses = {304: {"description": "It is still what the ETag in If-None-Match names"}}


def request_headers(**described: str) -> dict[str, Any]:
    """Return the `openapi_extra=` of a route that reads these request headers, named with _ for -."""
    return {
        "parameters": [
            {
                "in": "header",
                "name": name.replace("_", "-"),
                "schema": {"type": "string"},
                "description": description,
            }
            for name, description in described.items()
        ]
    }


def answers(status: int, description: str, *media_types: str, **headers: str) -> Responses:
    """Return the `responses=` entry of an answer with a body of one of these types, or with none."""
    schema = {"type": "string", "format": "binary"}
    entry: dict[str, Any] = {"description": description}
    if media_types:
        entry["content"] = {media_type: {"schema": schema} for media_type in media_types}
    if headers:
        entry["headers"] = {
            name.replace("_", "-"): {"schema": {"type": "string"}, "description": text}
            for name, text in headers.items()
        }
    return {status: entry}
