"""Structures: nesting, many and double names, nothing where something should be, and JSON that is none."""

import json
from collections.abc import Iterator

from proof.bad_input.value import Kind, Value


def _nested(opening: str, closing: str, depth: int, inner: str = "") -> str:
    return opening * depth + inner + closing * depth


_SMALL = [
    "null", "{}", "[]", "[[]]", "[{}]", '{"": ""}', '{"": null}', '{"a": null}', "[null]", "[null, null]",
    '[""]', "[0]",
    '{"a": {}}', '{"a": []}', '{"a": [null, {"b": null}]}', '["a", "b"]', "[true]", '{"width": null, "height": null}',
    '{"prompt": "another"}', '{"prompt": null}', '{"prompt": ["a"]}', '{"model": "x"}', '{"id": 1}', '{"seed": 1.5}',
    '{"width": 64, "width": 128}', '{"width": 64, "width": "x"}', '{"a": 1, "a": {"b": 2}}', '{"a": 1, "A": 2}',
    '{"\\u0061": 1, "a": 2}', '{"caf\\u00e9": 1, "cafe\\u0301": 2}', '{"__proto__": {"x": 1}}', '{"constructor": 1}',
    '{"a.b": 1}', '{"a/b": 1}', '{"a~b": 1}', '{"$ref": "#/x"}', '{"$ref": "file:///etc/passwd"}', '{"0": 1}',
    '{" ": 1}',
    '{"a\\u0000b": 1}', '{"\\ud800": 1}', '{"a": "\\u0000"}', '{"a": "\\udfff"}', '["\\ud800"]', '{"a": NaN}',
    "[1e999]",
    '{"a": 9223372036854775808}', '{"a": -9223372036854775809}', '{"fake": {"fail": "x"}}', '{"num_outputs": 100000}',
    '{"width": 64, "height": 64, "width ": 1}', '{"\\n": 1}', '{"a": "\\u2028"}', '{"width": {"a": 64}}',
    '{"width": [64]}',
]  # fmt: skip
_NOT_JSON = [
    '{"a": 1,}', "[1,]", "[,1]", "{,}", "{'a': 1}", "{a: 1}", '{"a" 1}', '{"a": }', '{"a": 1 "b": 2}', "{1: 2}",
    '{"a"}',
    '{"a": 1} // x', '/* x */ {"a": 1}', "#x", "undefined", "nil", "None", "function(){}", '{"a": 1}}', "[1]]",
    "[1", "{",
    '{"a": "x', '"\\x41"', '"\\u12"', '"\\uZZZZ"', '"\\', '"a\tb"', '"a\nb"', "'a'", '"a" "b"', "nulll", "tru",
    "<xml/>", "---",
    "!!python/object:os.system",
]  # fmt: skip
_DEPTHS = (10, 61, 62, 63, 64, 65, 66, 200, 1000, 5000)
_LARGE = {
    **{f"{depth:,} arrays in one another": _nested("[", "]", depth) for depth in _DEPTHS},
    **{f"{depth:,} objects in one another": _nested('{"a":', "}", depth, "1") for depth in _DEPTHS},
    "100,000 arrays in one another": _nested("[", "]", 100_000),
    "100,000 arrays opened": "[" * 100_000,
    "5,000 objects opened": '{"a":' * 5000,
    "arrays and objects by turns, 5,000 deep": _nested('[{"a":', "}]", 2500, "1"),
    "64 names": json.dumps({f"name {n}": n for n in range(64)}),
    "65 names": json.dumps({f"name {n}": n for n in range(65)}),
    "10,000 names": json.dumps({f"n{n}": n for n in range(10_000)}),
    "100,000 names": json.dumps({str(n): 0 for n in range(100_000)}),
    "one name 10,000 times": "{" + ",".join(f'"a":{n}' for n in range(10_000)) + "}",
    "100,000 items": json.dumps([0] * 100_000),
    "100,000 nulls": json.dumps([None] * 100_000),
    "10,000 empty objects": json.dumps([{}] * 10_000),
    "a name of 10,000 letters": json.dumps({"n" * 10_000: 1}),
    "a name of 900,000 letters": json.dumps({"n" * 900_000: 1}),
    "names that all but collide": json.dumps({f"{n:032b}": n for n in range(2000)}),
    "JSON in JSON in JSON": json.dumps(json.dumps(json.dumps({"width": 64}))),
    "900,000 spaces before": " " * 900_000 + "{}",
    "escapes for each letter": '{"' + "".join(f"\\u{ord(c):04x}" for c in "width") + '": 64}',
}  # fmt: skip


def structures() -> Iterator[Value]:
    for family, named in (
        ("structures", {literal: literal for literal in _SMALL}),
        ("no JSON", {literal: literal for literal in _NOT_JSON}),
        ("large structures", _LARGE),
    ):
        for name, literal in named.items():
            yield Value(family=family, name=ascii(name)[1:61], kind=Kind.JSON, raw=literal.encode())
