"""Check what is asked for: that every database can keep it, and that it fits the model's JSON Schema."""

import math
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from mediagen.addresses import check_port, is_ip_address, is_public, parse_url
from mediagen.errors import FetchBlocked, InvalidRequest

_MOST = 20  # complaints in one answer
_SHOWN = 200  # characters of a complaint, or of the path that it is about
_DEPTH = 64
_INT = 2**63


def check_storable(value: Any, path: str = "") -> None:
    """Raise `InvalidRequest` for a JSON value that not every database keeps and gives back as it came."""
    if not _is_plain(value, 0):
        _check(value, path, 0)


def _is_plain(value: Any, depth: int) -> bool:
    """Tell whether the value is surely storable: most are, and this takes less than half of finding a fault."""
    kind = type(value)
    if kind is str:
        return value.isascii() and "\x00" not in value
    if value is None or kind is bool:
        return True
    if kind is int:
        return bool(-_INT <= value < _INT)
    if kind is dict and depth < _DEPTH:
        for name, item in value.items():  # noqa: SIM110  a generator takes twice as long
            if not (_is_plain(name, 0) and _is_plain(item, depth + 1)):
                return False
        return True
    return False


def _check(value: Any, path: str, depth: int) -> None:
    match value:
        case str():
            check_text(value, path)
        case int():
            if not -_INT <= value < _INT:
                raise _unstorable(path, "an integer beyond 64 bits")
        case float():
            if not math.isfinite(value):
                raise _unstorable(path, "not a finite number")
        case list() | dict() | Mapping():
            if depth > _DEPTH:
                raise _unstorable(path, f"nested deeper than {_DEPTH} levels")
            _check_parts(value, path, depth + 1)


def _check_parts(value: list[Any] | Mapping[str, Any], path: str, depth: int) -> None:
    if isinstance(value, list):
        for idx, item in enumerate(value):
            _check(item, f"{path}.{idx}" if path else str(idx), depth)
        return
    for name, item in value.items():
        check_text(name, path or "body")
        _check(item, f"{path}.{name}" if path else name, depth)


def check_text(text: str, path: str) -> None:
    """Raise `InvalidRequest` for text with a NUL or half a character, which databases refuse."""
    if "\x00" in text:
        raise _unstorable(path, "contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _unstorable(path, "contains half a character (a lone surrogate)") from error


def check_webhook(url: str, *, allow_private: bool) -> None:
    """Raise `InvalidRequest` for an address that can't be rung whatever its name resolves to."""
    try:
        target = parse_url(url)
        if not allow_private:
            check_port(target)
            host = target.host or ""
            if target.scheme != "https":
                raise FetchBlocked("it must be https")
            if host == "localhost" or (is_ip_address(host) and not is_public(host)):
                raise FetchBlocked(f"{host!r} is private")
    except FetchBlocked as error:
        text = f"{error} (WEBHOOK_ALLOW_PRIVATE allows http, private addresses and other ports)"
        raise InvalidRequest(f"webhook_url: {text}", {"webhook_url": text}) from error


def _unstorable(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{path[:_SHOWN] or 'The body'}: {what}", {path[:_SHOWN] or "body": what})


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
