"""Check a model's input against its JSON Schema and say per field what is wrong."""

from collections.abc import Mapping
from typing import Any

from mediagen.errors import InvalidRequest

_MOST = 20  # complaints in one answer


def check_input(schema: Mapping[str, Any], value: Mapping[str, Any], *, model: str) -> None:
    """Raise `InvalidRequest` naming each bad field when `value` does not fit the model's schema."""
    from jsonschema import Draft202012Validator  # 70 ms to import, needed only once a job comes

    errors = sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: e.json_path)[:_MOST]
    if not errors:
        return
    fields = {_field(error): _complaint(error) for error in errors}
    listed = "; ".join(f"{name}: {text}" for name, text in fields.items())
    raise InvalidRequest(f"The model {model!r} does not take this input: {listed}", fields)


def _field(error: Any) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    if path == "prompt":
        return path
    return f"parameters.{path}" if path else "parameters"


def _complaint(error: Any) -> str:
    text = str(error.message)
    return text if len(text) <= 200 else f"{text[:200]}…"
