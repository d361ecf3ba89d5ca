"""Check a model's input against its JSON Schema and say per field what is wrong."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from mediagen.errors import InvalidRequest

_MOST = 20  # complaints in one answer
_SHOWN = 200  # characters of a complaint


class InputChecker:
    """Checks inputs; compiles each schema once. One instance per process."""

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[Mapping[str, Any], jsonschema_rs.Draft202012Validator]] = {}

    def check(self, model: str, schema: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        """Raise `InvalidRequest` naming each bad field when `value` does not fit the model's schema."""
        compiled = self._compile(model, schema)
        if compiled.is_valid(value):
            return
        errors = sorted(compiled.iter_errors(value), key=lambda error: str(error.instance_path))[:_MOST]
        fields = {_field(error.instance_path): _complaint(error.message) for error in errors}
        listed = "; ".join(f"{name}: {text}" for name, text in fields.items())
        raise InvalidRequest(f"The model {model!r} does not take this input: {listed}", fields)

    def _compile(self, model: str, schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
        known = self._compiled.get(model)
        if known is None or known[0] is not schema:
            known = (schema, jsonschema_rs.Draft202012Validator(dict(schema)))
            self._compiled[model] = known
        return known[1]


def _field(path: list[str | int]) -> str:
    if path == ["prompt"]:
        return "prompt"
    return ".".join(["parameters", *map(str, path)])


def _complaint(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
