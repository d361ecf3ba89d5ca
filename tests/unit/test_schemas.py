"""The schema of a model's input, taken out of a document that may be anything."""

from typing import Any

import pytest

from mediagen.providers.schemas import input_schema


def document(**schemas: Any) -> Any:
    return {"components": {"schemas": schemas}}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_references_are_replaced_so_that_the_schema_stands_alone() -> None:
    ratio = {"type": "string", "enum": ["1:1", "16:9"]}
    schema = {"properties": {"ratio": {"allOf": [ref("Ratio")], "default": "1:1"}}}
    expected = {"properties": {"ratio": {"allOf": [ratio], "default": "1:1"}}}
    assert input_schema(document(Input=schema, Ratio=ratio)) == expected


def test_what_stands_beside_a_reference_is_kept() -> None:
    schema = {"properties": {"x": {**ref("X"), "title": "mine"}}}
    expected = {"properties": {"x": {"type": "integer", "title": "mine"}}}
    assert input_schema(document(Input=schema, X={"type": "integer", "title": "theirs"})) == expected


def test_a_reference_to_itself_accepts_all() -> None:
    assert input_schema(document(Input={"items": ref("Input")})) == {"items": {"items": {}}}


def test_a_property_that_is_called_ref_is_no_reference() -> None:
    schema = {"properties": {"$ref": {"type": "string"}}}
    assert input_schema(document(Input=schema)) == {"properties": {}}


@pytest.mark.parametrize("target", [None, "text", 7, ["x"]])
def test_a_reference_to_no_schema_accepts_all(target: Any) -> None:
    assert input_schema(document(Input={"items": ref("X")}, X=target)) == {"items": {}}


def test_a_schema_that_unfolds_into_something_huge_is_given_up() -> None:
    doubling = {f"S{i}": {"a": ref(f"S{i + 1}"), "b": ref(f"S{i + 1}")} for i in range(40)}
    assert input_schema(document(Input=ref("S0"), **doubling)) == {}


def test_a_long_chain_of_references_is_given_up_or_followed() -> None:
    chain = {f"S{i}": {"a": ref(f"S{i + 1}")} for i in range(5000)}
    assert isinstance(input_schema(document(Input=ref("S0"), **chain)), dict)


def test_a_schema_that_is_no_text_for_the_wire_is_given_up() -> None:
    assert input_schema(document(Input={"title": "\ud800"})) == {}


@pytest.mark.parametrize(
    "junk", [None, [], "x", {}, {"components": 1}, {"components": {"schemas": []}}, document(Input=[1])]
)
def test_a_document_without_a_schema_gives_one_that_accepts_all(junk: Any) -> None:
    assert input_schema(junk) == {}
