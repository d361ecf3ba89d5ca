"""Takes the JSON Schema of a model's input out of the OpenAPI document that describes the model."""

import json
from collections.abc import Mapping
from typing import Any

_MOST_NODES = 20_000
_PREFIX = "#/components/schemas/"


def input_schema(document: Any) -> Mapping[str, Any]:
    """Return the schema `Input` with its references replaced, so that it stands alone.

    `{}`, which accepts all, where the document has none, or one that is too large or no text for the wire.
    A reference to nothing, or to a schema that it stands in itself, becomes `{}` too.
    """
    components = document.get("components") if isinstance(document, dict) else None
    schemas = components.get("schemas") if isinstance(components, dict) else None
    if not isinstance(schemas, dict):
        return {}
    try:
        found = _Inliner(schemas).inline(schemas.get("Input"))
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _Inliner:
    """Replaces references, and gives up on schemas that unfold into something huge."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._nodes = 0

    def inline(self, node: Any, inside: frozenset[str] = frozenset()) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise ValueError(f"the schema has more than {_MOST_NODES} parts")
        if isinstance(node, list):
            return [self.inline(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        inlined = {key: self.inline(value, inside) for key, value in node.items() if key != "$ref"}
        if not isinstance(reference := node.get("$ref"), str):
            return inlined
        name = reference.removeprefix(_PREFIX)
        target = {} if name in inside else self.inline(self._schemas.get(name), inside | {name})
        return {**(target if isinstance(target, dict) else {}), **inlined}
