"""Where odd values go: every field, header, segment of a path and query of every operation of the API.

The operations are read from the running server's own document, so that a new one is under test at once.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote

from proof.bad_input.bodies import with_length
from proof.bad_input.value import Kind, Value

_MOST_TARGET_BYTES = 1_000_000  # of what is put into a request line or a header
_JSON = b"Content-Type: application/json\r\n"
_CHEAP = {"parameters": {"width": 64, "height": 64, "latency_s": 0}}  # so that what is accepted is soon made
_BODY_SLOTS = ("whole body", "unknown field")
_TEXT_HEADERS = ("Idempotency-Key", "Last-Event-ID", "If-None-Match", "Range", "Accept", "Origin", "X-Fox")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path."""

    method: str
    path: str  # {name} stands for a segment
    queries: tuple[str, ...] = ()
    fields: Mapping[str, Any] | None = None  # of its JSON body, with their schemas; None: it takes no body
    required: tuple[str, ...] = ()
    api: bool = True  # False: a page for people, or a file of it

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One value in one place of one operation."""

    operation: Operation
    place: str
    value: Value
    request: Callable[[], bytes]
    method: str

    @property
    def label(self) -> str:
        return f"{self.operation.label}, {self.place}: {self.value.label}"


def operations(document: Mapping[str, Any], prefix: str) -> list[Operation]:
    """Return the operations of an OpenAPI document, with and without the prefix, and those it does not name."""
    named = [
        _operation(method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]
    plain = [replace(operation, path=operation.path.removeprefix(prefix)) for operation in named]
    return [*named, *plain, *_unnamed(prefix)]


def _operation(method: str, path: str, described: Mapping[str, Any]) -> Operation:
    content = described.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return Operation(
        method=method,
        path=path,
        queries=tuple(p["name"] for p in described.get("parameters", ()) if p["in"] == "query"),
        fields=None if schema is None else schema["properties"],
        required=() if schema is None else tuple(schema.get("required", ())),
    )


def _unnamed(prefix: str) -> Iterator[Operation]:
    hook = "/hooks/{provider}/{token}/{call_id}"
    yield Operation(method="POST", path=hook, fields={"id": {}}, required=("id",))
    yield Operation(method="HEAD", path=f"{prefix}/media/{{key}}", queries=("variant", "download"))
    for path in (f"{prefix}/openapi.json", f"{prefix}/{{rest}}", "/{rest}"):
        yield Operation(method="GET", path=path)
    for path in ("/", "/docs", "/redoc", "/assets/{file}"):
        yield Operation(method="GET", path=path, queries=("url", "configUrl"), api=False)


def cases(operation: Operation, known: Mapping[str, str], values: Iterable[Value]) -> Iterator[Case]:
    """Yield every value in every place of an operation where it fits; `known` holds honest path segments."""
    for value in values:
        for place, build in _places(operation, value):
            yield Case(
                operation=operation,
                place=place,
                value=value,
                request=partial(build, _Request(operation, known), value),
                method=_method(operation, value),
            )


Build = Callable[["_Request", Value], bytes]


def _places(operation: Operation, value: Value) -> Iterator[tuple[str, Build]]:
    match value.kind:
        case Kind.HEADER:
            yield "headers", _put_lines
        case Kind.LINE:
            yield "request line", _put_line
        case Kind.BODY:
            yield "body", _put_body
        case Kind.PATH:
            yield from _in_path(operation)
        case Kind.QUERY:
            yield from _in_query(operation)
        case Kind.TEXT | Kind.JSON:
            yield from _in_body(operation, value)
            if value.text is not None and len(value.text) <= _MOST_TARGET_BYTES:
                yield from _in_path(operation)
                yield from _in_query(operation)
                yield from ((f"header {name}", partial(_put_header, name)) for name in _TEXT_HEADERS)


def _in_path(operation: Operation) -> Iterator[tuple[str, Build]]:
    for name in _names(operation.path):
        yield f"path {name}", partial(_put_segment, name)


def _in_query(operation: Operation) -> Iterator[tuple[str, Build]]:
    for name in (*operation.queries, "unknown"):
        yield f"query {name}", partial(_put_query, f"{name}=")
    yield "query", partial(_put_query, "")


def _in_body(operation: Operation, value: Value) -> Iterator[tuple[str, Build]]:
    if operation.fields is not None:
        for slot in _slots(operation):
            if value.kind is Kind.TEXT or not slot.endswith(" name"):
                yield slot, partial(_put_field, slot)


def _put_lines(request: "_Request", value: Value) -> bytes:
    return request.raw(lines=value.raw, drops=value.drops)


def _put_line(request: "_Request", value: Value) -> bytes:
    return request.raw(line=value.raw)


def _put_body(request: "_Request", value: Value) -> bytes:
    return request.raw(body=value.raw)


def _put_segment(name: str, request: "_Request", value: Value) -> bytes:
    return request.raw(segments={name: _escaped(value)})


def _put_query(start: str, request: "_Request", value: Value) -> bytes:
    return request.raw(query=start.encode() + _escaped(value))


def _put_header(name: str, request: "_Request", value: Value) -> bytes:
    line = name.encode() + b": " + _utf8(value) + b"\r\n"
    return request.raw(lines=line, drops=frozenset({name.lower()}))


def _put_field(slot: str, request: "_Request", value: Value) -> bytes:
    return request.raw(body=_json_body(request.operation, slot, value))


def _slots(operation: Operation) -> Iterator[str]:
    yield from _BODY_SLOTS
    for name, schema in (operation.fields or {}).items():
        yield name
        if "object" in json.dumps(schema):
            yield from (f"{name} value", f"{name} known value", f"{name} name", f"{name} as text")


def _json_body(operation: Operation, slot: str, value: Value) -> bytes:
    if slot == "whole body":
        return with_length(_JSON, value.raw)
    field, _, part = slot.partition(" ")
    literal = {
        "": value.raw,
        "value": b'{"a":' + value.raw + b"}",
        "known value": b'{"width":' + value.raw + b',"height":64,"latency_s":0}',
        "name": b"{" + value.raw + b":1}",
        "as text": json.dumps(value.raw.decode()).encode(),
        "field": value.raw,
    }[part]
    honest = _honest_fields(operation)
    honest.pop(field, None)
    start = json.dumps(honest).encode()[:-1]
    comma = b"," if honest else b""
    return with_length(_JSON, start + comma + json.dumps(field).encode() + b":" + literal + b"}")


def _honest_fields(operation: Operation) -> dict[str, Any]:
    return dict.fromkeys(operation.required, "x") | {
        name: value for name, value in _CHEAP.items() if name in (operation.fields or {})
    }


def _utf8(value: Value) -> bytes:
    return (value.text or "").encode("utf-8", "surrogatepass")


def _escaped(value: Value) -> bytes:
    """Return paths and queries as they are, and texts percent-encoded."""
    return value.raw if value.text is None else quote(_utf8(value), safe="").encode()


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _method(operation: Operation, value: Value) -> str:
    method = value.raw.strip().split(b" ")[0].decode("latin-1") if value.kind is Kind.LINE else ""
    return "HEAD" if method == "HEAD" or (operation.method == "HEAD" and method in ("", "METHOD")) else "GET"


class _Request:
    """An honest request of an operation, in which one thing at a time is replaced."""

    def __init__(self, operation: Operation, known: Mapping[str, str]) -> None:
        self.operation = operation
        self._known = known

    def raw(
        self,
        *,
        line: bytes = b"METHOD TARGET HTTP/1.1",
        segments: Mapping[str, bytes] | None = None,
        query: bytes | None = None,
        lines: bytes = b"",
        drops: frozenset[str] = frozenset(),
        body: bytes | None = None,
    ) -> bytes:
        target = self._target(line, segments or {}) + (b"" if query is None else b"?" + query)
        start = line.replace(b"METHOD", self.operation.method.encode()).replace(b"TARGET", target)
        host = b"" if "host" in drops else b"Host: localhost\r\n"
        return start + b"\r\n" + host + lines + (self._honest_body(drops) if body is None else body)

    def _target(self, line: bytes, segments: Mapping[str, bytes]) -> bytes:
        if line.startswith(b"DELETE "):  # what exists is still needed
            segments = {"job_id": b"x", **segments}
        target = self.operation.path.encode()
        for name in _names(self.operation.path):
            segment = segments.get(name, self._known.get(name, "x").encode())
            target = target.replace(f"{{{name}}}".encode(), segment)
        return target

    def _honest_body(self, drops: frozenset[str]) -> bytes:
        if self.operation.fields is None:
            return b"\r\n"
        return with_length(
            b"" if "content-type" in drops else _JSON, json.dumps(_honest_fields(self.operation)).encode()
        )
