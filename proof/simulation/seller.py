"""The provider at its own end of the network: takes creates, sells, answers, rings, lists, stops."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from mediagen.providers.base import (
    Accepted,
    Call,
    Outcome,
    Prediction,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from proof.simulation.book import START_MS, Book, Fate, OutputFate, Sale
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Kernel, Mail
from proof.simulation.profiles import Profile

NET_MS = 3_000
"""A create that was sent arrives within this time, or never."""

LAG_MS = 1_500
"""A prediction is listed within this time. With `NET_MS` it is less than the engine's settle time."""

SKEW_MS, LATEST_MS = 60_000, 120_000
"""When a prediction that nothing proves to be ours may have been made, before and after the call's intent."""

_DURATIONS_MS = (20, 300, 300, 1_500, 1_500, 4_000, 20_000)
_REFUSALS = {
    Fault.RATE_LIMITED: (RejectReason.RATE_LIMITED, 3.0),
    Fault.BUSY: (RejectReason.BUSY, None),
    Fault.UNAUTHORIZED: (RejectReason.UNAUTHORIZED, None),
}
_FATES = {Fault.FAILURE: Fate.FAILS, Fault.HICCUP: Fate.HICCUPS, Fault.STOPPED: Fate.STOPPED}
_OUTPUTS = {Fault.OUTPUT_GONE: OutputFate.GONE, Fault.OUTPUT_BAD: OutputFate.BAD}


@dataclass(frozen=True, kw_only=True)
class Ledgers:
    """What the seller may ask and tell of the rest of the world."""

    job_of: Callable[[str], str | None]  # call id -> job id, from our ledger
    sold: Callable[[Sale], None]
    ring: Callable[[str, str], None]  # call id and ref, to our webhook
    tell: Callable[[str, str], None]  # actor and action, for the trace


class Seller:
    """The remote provider. It never forgets what it sold, whatever becomes of its answers."""

    def __init__(
        self, *, kernel: Kernel, rng: Random, faults: Faults, profile: Profile, book: Book, ledgers: Ledgers
    ) -> None:
        self._kernel = kernel
        self._rng = rng
        self._faults = faults
        self._profile = profile
        self._book = book
        self._ledgers = ledgers
        self._refused: set[str] = set()  # call ids whose input is refused whenever it comes
        self._holding: dict[str, list[Mail[Outcome]]] = {}  # creates whose answer waits for the end, by ref

    # ------------------------------------------------------------------------------------------ create

    def post(self, call: Call) -> Mail[Outcome]:
        """Send a create; from here on nothing can call it back."""
        answer: Mail[Outcome] = Mail()
        if self._faults.strikes(Fault.POST_LOST):
            return answer
        late = self._faults.strikes(Fault.POST_LATE)
        self._kernel.after(
            self._rng.randrange(NET_MS // 2, NET_MS) if late else self._rng.randrange(1, 60),
            partial(self._arrive, call, answer),
        )
        return answer

    def _arrive(self, call: Call, answer: Mail[Outcome]) -> None:
        sale = self._book.of_call(call.id) if self._profile.keyed else None
        if refusal := self._refusal(call, known=sale is not None):
            self._ledgers.tell("provider", f"refuses {call.id}: {refusal.message}")
            self._answer(answer, refusal)
            return
        if sale is None:
            sale = self._sell(call)
        if self._profile.synchronous and sale.status(self._kernel.now) is PredictionStatus.RUNNING:
            self._holding.setdefault(sale.ref, []).append(answer)
        else:
            self._answer(answer, self._accepted(sale))

    def _refusal(self, call: Call, *, known: bool) -> Rejected | Unknown | None:
        if call.id in self._refused or (not known and self._faults.strikes(Fault.INVALID)):
            self._refused.add(call.id)
            return Rejected(reason=RejectReason.INVALID, message=Fault.INVALID.value)
        for fault, (reason, retry_after_s) in _REFUSALS.items():
            if self._faults.strikes(fault):
                return Rejected(reason=reason, message=fault.value, retry_after_s=retry_after_s)
        if self._faults.strikes(Fault.REFUSED_502):
            return Unknown(message=Fault.REFUSED_502.value)
        return None

    def _sell(self, call: Call) -> Sale:
        now = self._kernel.now
        fate = next((fate for fault, fate in _FATES.items() if self._faults.strikes(fault)), Fate.SUCCEEDS)
        ends = self._ends(call)
        late_ms = self._rng.randrange(LAG_MS) if self._faults.strikes(Fault.LIST_LATE) else 0
        sale = Sale(
            # Where nothing can be asked later, no other name of it is needed than the call's own.
            ref=call.id if self._profile.synchronous else f"sale-{len(self._book.sales) + 1}",
            call_id=call.id,
            job_id=self._ledgers.job_of(call.id) or "",
            prompt=str(call.input["prompt"]),
            bought=now,
            listed=now + late_ms,
            ends=ends,
            fate=Fate.FAILS if self._cut_at(call, ends) else fate,
            output=next((o for fault, o in _OUTPUTS.items() if self._faults.strikes(fault)), OutputFate.FINE),
        )
        if self._faults.strikes(Fault.FORGOTTEN):
            sale.forgotten = now + self._rng.randrange(20_000)
        self._book.sales.append(sale)
        self._ledgers.tell(
            "provider", f"sells {sale.ref} for {call.id}: it {fate}, ready at {ends / 1000:g} s"
        )
        self._ledgers.sold(sale)
        self._follow_up(sale)
        return sale

    def _ends(self, call: Call) -> float:
        ends = self._kernel.now + self._rng.choice(_DURATIONS_MS) * self._rng.choice((1, 1, 1, 2))
        if not self._faults.strikes(Fault.ENDLESS):
            return ends
        # Where nothing can be asked later, a generation ends with the create that ordered it.
        return self._kernel.now + call.timeout_s * 1000 if self._profile.synchronous else math.inf

    def _cut_at(self, call: Call, ends: float) -> bool:
        return self._profile.synchronous and ends >= self._kernel.now + call.timeout_s * 1000

    def _follow_up(self, sale: Sale) -> None:
        if self._profile.rings:
            self._ring(sale, 0)
            if sale.ends < math.inf:
                self._ring(sale, int(sale.ends) - self._kernel.now)
        if self._profile.synchronous:
            self._kernel.after(int(sale.ends) - self._kernel.now, partial(self._release, sale))

    def _ring(self, sale: Sale, after_ms: int) -> None:
        times = 0 if self._faults.strikes(Fault.HOOK_LOST) else 1 + self._faults.strikes(Fault.HOOK_TWICE)
        for _ in range(times):
            most_ms = 100_000 if self._faults.strikes(Fault.HOOK_LATE) else 300
            self._kernel.after(
                after_ms + self._rng.randrange(most_ms), partial(self._ledgers.ring, sale.call_id, sale.ref)
            )

    # ------------------------------------------------------------------------------------------ answers

    def _answer(self, mail: Mail[Outcome], outcome: Outcome) -> None:
        if self._faults.strikes(Fault.ANSWER_LOST):
            return
        if isinstance(outcome, Accepted) and self._faults.strikes(Fault.ANSWER_502):
            outcome = Unknown(message=Fault.ANSWER_502.value)
        most_ms = 90_000 if self._faults.strikes(Fault.ANSWER_LATE) else 100
        self._kernel.after(self._rng.randrange(1, most_ms), partial(mail.put, outcome))

    def _accepted(self, sale: Sale) -> Accepted:
        return Accepted(prediction=self.show(sale))

    def _release(self, sale: Sale) -> None:
        for mail in self._holding.pop(sale.ref, []):
            self._answer(mail, self._accepted(sale))

    def show(self, sale: Sale) -> Prediction:
        """Return what it says of a sale at this moment."""
        return sale.seen(self._kernel.now, inline=self._profile.synchronous, marked=self._profile.rings)

    # ------------------------------------------------------------------------------------------ the rest

    def known(self, ref: str | None) -> Sale | None:
        """Return a sale that it has not forgotten."""
        sale = self._book.by_ref(ref)
        return None if sale is None or self._kernel.now >= sale.forgotten else sale

    def listed(self, call: Call) -> Sequence[Prediction]:
        """Return what its list shows that may be the call, the surest first."""
        found = [
            sale for sale in self._book.sales if sale.listed <= self._kernel.now and self._may_be(call, sale)
        ]
        return [self.show(sale) for sale in sorted(found, key=lambda sale: abs(_made_ms(call, sale)))]

    def _may_be(self, call: Call, sale: Sale) -> bool:
        if self._profile.rings:
            return sale.call_id == call.id
        return sale.prompt == call.input["prompt"] and -SKEW_MS <= _made_ms(call, sale) <= LATEST_MS

    def stop(self, call: Call) -> None:
        """Stop the call, or the create that is still held open."""
        sale = self._book.of_call(call.id) if call.ref is None else self.known(call.ref)
        if sale is not None:
            sale.stop(self._kernel.now)
            self._ledgers.tell("provider", f"is told to stop {sale.ref}: {sale.status(self._kernel.now)}")
            self._release(sale)


def _made_ms(call: Call, sale: Sale) -> int:
    """Return how long after the call's intent it was sold, by our clock."""
    return START_MS + sale.bought - call.created_at_ms
