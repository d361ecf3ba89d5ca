"""The seller's list: what it shows of each prediction, of ours and of other customers' of the same account."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from mediagen.providers.base import Call
from mediagen.providers.markers import Marker, marker_in
from proof.simulation.book import Book, Fate, OutputFate, Sale
from proof.simulation.faults import Fault, Faults
from proof.simulation.names import call_id, job_id

PAGE = 3
"""Entries of a page; few, so that a schedule's short list has several."""

_BARE_AFTER_MS = (500, 5_000, 20_000, 60_000)
_UNREADABLE_MS = (5_000, 60_000, 300_000, math.inf)
_ENDS_MS = (300, 4_000, 60_000)
_STRANGE_HOOKS = (
    None,
    None,
    "https://shop.example/hooks/done",
    f"https://other.example/hooks/sim/token/{'a' * 16}.{job_id(0)}.{call_id(0)}",
)
LINK = "https://files.example/in/1"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the list shows of one prediction at one moment."""

    sale: Sale
    webhook: str | None
    model: str
    input: Mapping[str, Any]
    made_ms: int  # by the seller's clock
    removed: bool
    readable: bool

    @property
    def marker(self) -> Marker | None:
        return marker_in(self.webhook)


@dataclass(frozen=True, kw_only=True)
class _Line:
    sale: Sale
    webhook: str | None
    model: str
    input: Mapping[str, Any]
    made_ms: int
    bare_from: float  # from then on its input is not shown
    unreadable_until: float

    def row(self, now: int, *, marks: bool, keeps: bool) -> Row:
        bare = now >= self.bare_from
        return Row(
            sale=self.sale,
            webhook=self.webhook if marks and (keeps or not bare) else None,
            model=self.model,
            input={} if bare else self.input,
            made_ms=self.made_ms,
            removed=bare,
            readable=now >= self.unreadable_until,
        )


@dataclass(kw_only=True)
class Listing:
    """All lines, the newest last."""

    book: Book
    rng: Random
    faults: Faults
    now: Callable[[], int]
    clock: Callable[[], int]  # the seller's own
    marks: bool  # whether it shows webhooks
    keeps: bool  # even of what has lost its input
    sorts: bool  # by date, not as they came in
    _lines: list[_Line] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def enter(self, call: Call, sale: Sale) -> None:
        """List what was just sold to us."""
        changed = self.faults.strikes(Fault.ECHO_CHANGED)
        model, input_ = self._echo(call) if changed else (call.model, dict(call.input))
        self._enter(sale, call.webhook_url, model, input_)

    def _enter(self, sale: Sale, webhook: str | None, model: str, input_: Mapping[str, Any]) -> None:
        removed = self.faults.strikes(Fault.INPUT_REMOVED)
        unreadable = self.faults.strikes(Fault.LIST_UNREADABLE_ENTRY)
        self._lines.append(
            _Line(
                sale=sale,
                webhook=webhook,
                model=model,
                input=input_,
                made_ms=self.clock(),
                bare_from=self.now() + self.rng.choice(_BARE_AFTER_MS) if removed else math.inf,
                unreadable_until=self.now() + self.rng.choice(_UNREADABLE_MS) if unreadable else -math.inf,
            )
        )

    def _echo(self, call: Call) -> tuple[str, Mapping[str, Any]]:
        """Return the model and the input as providers are seen to change them."""
        prompt = str(call.input["prompt"])
        return self.rng.choice(
            (
                (call.model, {**call.input, "guidance": 3.5}),
                (call.model, {**call.input, **{name: LINK for name in call.input if name == "image"}}),
                (f"{call.model}-2", dict(call.input)),
                (call.model, {**call.input, "prompt": f" {prompt}\n"}),
                (call.model, {**call.input, "prompt": prompt[:5] + "..."}),
            )
        )

    def stranger(self, call: Call, *, alike: bool = True) -> Sale:
        """Let somebody else buy with the same account, what the call asks for or something else.

        What shows no mark of its owner never has the very same input: that nobody could tell from ours.
        """
        hook = self.rng.choice(_STRANGE_HOOKS)
        tells = hook is not None and self.marks
        alike = alike and (tells or "steps" in call.input) and self.rng.random() < 0.6
        input_: dict[str, Any] = dict(call.input) if alike else {"prompt": "a stranger's picture"}
        if not tells:
            input_["steps"] = 50
        sale = self._strange_sale(str(input_["prompt"]))
        self.book.others.append(sale)
        self._enter(sale, hook, call.model, input_)
        return sale

    def _strange_sale(self, prompt: str) -> Sale:
        now = self.now()
        return Sale(
            ref=f"strange-{next(self._numbers)}",
            call_id="",
            job_id="",
            prompt=prompt,
            bought=now,
            listed=now,
            ends=now + self.rng.choice(_ENDS_MS),
            fate=Fate.SUCCEEDS,
            output=OutputFate.FINE,
        )

    def row_of(self, sale: Sale) -> Row:
        """Return what it shows of one prediction."""
        line = next(line for line in self._lines if line.sale is sale)
        return line.row(self.now(), marks=self.marks, keeps=self.keeps)

    def rows(self) -> Sequence[Row]:
        """Return the list, newest first."""
        now = self.now()
        lines = [line for line in self._lines if line.sale.listed <= now]
        if self.sorts:
            lines.sort(key=lambda line: line.made_ms)
        return [line.row(now, marks=self.marks, keeps=self.keeps) for line in reversed(lines)]
