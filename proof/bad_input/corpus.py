"""The corpus: every odd value of every family, each of them once."""

from functools import cache

from proof.bad_input.bodies import bodies
from proof.bad_input.headers import headers
from proof.bad_input.numbers import numbers
from proof.bad_input.structures import structures
from proof.bad_input.targets import lines, paths, queries
from proof.bad_input.texts import texts
from proof.bad_input.value import Value


@cache
def corpus() -> tuple[Value, ...]:
    """Return all odd values; no two of the same kind are the same bytes."""
    sources = (texts(), numbers(), structures(), bodies(), paths(), queries(), headers(), lines())
    distinct = {(value.kind, value.raw): value for source in sources for value in source}
    return tuple(distinct.values())
