"""A seeded bug: what of the product it replaces, and how that is done and undone.

A mutant replaces functions of the product wherever they are bound. What the database's own constraints and
triggers refuse surfaces as a crashed step, and that counts: they are the last net.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from mediagen.jobs.states import JobState
from mediagen.worker import steps
from proof.simulation.faults import Fault


class Named(NamedTuple):
    """A name in a module or a class, where what it is bound to is no function of its own."""

    owner: Any
    name: str


Swap = tuple[Any, Any]
"""A function of the product, or a name in it, and what takes its place."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A bug: its name, what it does wrong, and what it replaces."""

    name: str
    wrong: str
    swaps: Sequence[Swap]
    faults: frozenset[Fault] | None = None  # that it takes to notice it; None: no certain ones


@contextmanager
def swapped(swaps: Sequence[Swap]) -> Iterator[None]:
    """Let the product have the bug for as long as the context lasts."""
    undo = [undo for old, new in swaps for undo in _swap(old, new)]
    try:
        yield
    finally:
        for step in reversed(undo):
            step()


def _swap(old: Any, new: Any) -> list[Callable[[], None]]:
    if isinstance(old, Named):
        return [_set(old.owner, old.name, new)]
    places = [
        (module, name)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith(("mediagen.", "proof.simulation.provider"))
        for name, value in vars(module).items()
        if value is old
    ]
    assert places, f"{old!r} is bound nowhere"
    return [_set(module, name, new) for module, name in places] + _swap_step(old, new)


def _set(owner: Any, name: str, new: Any) -> Callable[[], None]:
    old = getattr(owner, name)
    setattr(owner, name, new)
    return lambda: setattr(owner, name, old)


def _swap_step(old: Any, new: Any) -> list[Callable[[], None]]:
    table = cast("dict[JobState, Any]", steps.STEPS)
    states = [state for state, step in table.items() if step is old]
    for state in states:
        table[state] = new
    return [lambda state=state: table.__setitem__(state, old) for state in states]  # type: ignore[misc]
