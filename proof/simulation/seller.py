"""The provider at its own end of the network: takes creates, sells, answers, rings, lists, stops."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
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
from mediagen.providers.likeness import Likeness, compare
from mediagen.providers.markers import Marker, marker_in
from proof.simulation.book import START_MS, Book, Fate, OutputFate, Sale
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Kernel, Mail
from proof.simulation.listing import PAGE, Listing, Row
from proof.simulation.profiles import Profile
from proof.simulation.traits import Traits

NET_MS = 3_000
"""A create that was sent arrives within this time, or never."""

LAG_MS = 1_500
"""A prediction is listed within this time. With `NET_MS` it is less than the engine's settle time."""

_DURATIONS_MS = (20, 300, 300, 1_500, 1_500, 4_000, 20_000)
_REFUSALS = {
    Fault.RATE_LIMITED: (RejectReason.RATE_LIMITED, 3.0),
    Fault.BUSY: (RejectReason.BUSY, None),
    Fault.UNAUTHORIZED: (RejectReason.UNAUTHORIZED, None),
}
_FATES = {Fault.FAILURE: Fate.FAILS, Fault.HICCUP: Fate.HICCUPS, Fault.STOPPED: Fate.STOPPED}
_EMPTY_MS = (1_000, 10_000, 60_000)
_MISLAID_MS = (1_000, 20_000, 120_000)
_OUTPUTS = {
    Fault.OUTPUT_ODD: OutputFate.ODD,
    Fault.OUTPUT_GONE: OutputFate.GONE,
    Fault.OUTPUT_BAD: OutputFate.BAD,
}


@dataclass(frozen=True, kw_only=True)
class Ledgers:
    """What the seller may ask and tell of the rest of the world."""

    job_of: Callable[[str], str | None]  # call id -> job id, from our ledger
    sold: Callable[[Sale], None]
    ring: Callable[[Marker, str], None]  # whose it is, and its ref
    tell: Callable[[str, str], None]  # actor and action, for the trace


class Seller:
    """The remote provider. It never forgets what it sold, whatever becomes of its answers."""

    def __init__(
        self,
        *,
        kernel: Kernel,
        rng: Random,
        faults: Faults,
        profile: Profile,
        book: Book,
        traits: Traits,
        ledgers: Ledgers,
    ) -> None:
        self._kernel = kernel
        self._rng = rng
        self._faults = faults
        self._profile = profile
        self._book = book
        self._traits = traits
        self._ledgers = ledgers
        self.listing = Listing(
            book=book,
            rng=rng,
            faults=faults,
            now=lambda: kernel.now,
            clock=self.clock,
            marks=traits.shows_markers,
            keeps=traits.keeps_markers,
            sorts=traits.sorts_by_date,
        )
        self.refused: set[str] = set()  # call ids whose input is refused whenever it comes
        self._holding: dict[str, list[Mail[Outcome]]] = {}  # creates whose answer waits for the end, by ref

    def clock(self) -> int:
        """Return the time by its own clock."""
        return START_MS + self._kernel.now + self._traits.seller_off_ms

    def date(self) -> str:
        """Return the `Date` header of its answers."""
        return formatdate(self.clock() // 1000, usegmt=True)

    def page_through(self, since_ms: int | None) -> tuple[Sequence[Row], str]:
        """Return its list back to a time, and what kept it from being read so far."""
        rows = self.listing.rows()
        if self._traits.is_cut(self._rng, self._faults, self._kernel.now):
            return rows[:PAGE], Fault.LIST_CUT.value
        if since_ms is not None:
            for end in range(PAGE, len(rows), PAGE):
                if rows[end - 1].made_ms < since_ms:
                    return rows[:end], ""
        return rows, ""

    # ------------------------------------------------------------------------------------------ create

    def post(self, call: Call) -> Mail[Outcome]:
        """Send a create; from here on nothing can call it back."""
        answer: Mail[Outcome] = Mail()
        if self._faults.strikes(Fault.LIST_FOREIGN):
            self.listing.stranger(call)
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
            self._answer(answer, self._accepted(self._mistaken(call, sale)))

    def _mistaken(self, call: Call, sale: Sale) -> Sale:
        """Return whom the answer is about."""
        # With a key the answer names the key, and is checked by the provider's own class.
        if (
            self._profile.synchronous
            or self._profile.keyed
            or not self._faults.strikes(Fault.ANSWER_OF_ANOTHER)
        ):
            return sale
        others = [other for other in self._book.sales if other is not sale and self._is_told(call, other)]
        return self._rng.choice(others) if others else self.listing.stranger(call, alike=False)

    def _is_told(self, call: Call, other: Sale) -> bool:
        """Tell whether something that is shown of another sale can tell that it is not the call's."""
        row = self.listing.row_of(other)
        return not row.removed and (self._profile.asks or compare(call.input, row.input) is Likeness.OTHER)

    def _refusal(self, call: Call, *, known: bool) -> Rejected | Unknown | None:
        if call.id in self.refused or (not known and self._faults.strikes(Fault.INVALID)):
            self.refused.add(call.id)
            return Rejected(reason=RejectReason.INVALID, message=Fault.INVALID.value)
        if call.webhook_url and self._traits.refuses_markers:
            return Rejected(reason=RejectReason.MARKER, message=Fault.MARKER_REFUSED.value)
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
            sale.says_so = self._rng.random() < 0.5
        if self._faults.strikes(Fault.OUTPUT_EMPTY) and not self._profile.synchronous:
            sale.empty_until = ends + self._rng.choice(_EMPTY_MS)
        sale.partial = self._faults.strikes(Fault.PARTIAL_OUTPUT)
        if self._faults.strikes(Fault.SELLER_CLOCK_UNSTEADY):
            self._traits.disturb(self._rng)
        self._book.sales.append(sale)
        self.listing.enter(call, sale)
        self._ledgers.tell(
            "provider", f"sells {sale.ref} for {call.id}: it {fate}, ready at {ends / 1000:g} s"
        )
        self._ledgers.sold(sale)
        self._follow_up(call, sale)
        return sale

    def _ends(self, call: Call) -> float:
        ends = self._kernel.now + self._rng.choice(_DURATIONS_MS) * self._rng.choice((1, 1, 1, 2))
        if not self._faults.strikes(Fault.ENDLESS):
            return ends
        # Where nothing can be asked later, a generation ends with the create that ordered it.
        return self._kernel.now + call.timeout_s * 1000 if self._profile.synchronous else math.inf

    def _cut_at(self, call: Call, ends: float) -> bool:
        return self._profile.synchronous and ends >= self._kernel.now + call.timeout_s * 1000

    def _follow_up(self, call: Call, sale: Sale) -> None:
        marker = marker_in(call.webhook_url)
        if self._profile.rings and marker is not None:
            self._ring(marker, sale, 0)
            if sale.ends < math.inf:
                self._ring(marker, sale, int(sale.ends) - self._kernel.now)
        if self._profile.synchronous:
            self._kernel.after(int(sale.ends) - self._kernel.now, partial(self._release, sale))

    def _ring(self, marker: Marker, sale: Sale, after_ms: int) -> None:
        times = 0 if self._faults.strikes(Fault.HOOK_LOST) else 1 + self._faults.strikes(Fault.HOOK_TWICE)
        for _ in range(times):
            most_ms = 100_000 if self._faults.strikes(Fault.HOOK_LATE) else 300
            self._kernel.after(
                after_ms + self._rng.randrange(most_ms), partial(self._ledgers.ring, marker, sale.ref)
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
        return self.shown_in(self.listing.row_of(sale))

    def shown_in(self, row: Row) -> Prediction:
        """Return what a row of its list comes to."""
        return row.sale.seen(
            self._kernel.now, inline=self._profile.synchronous, marker=row.marker, made_ms=row.made_ms
        )

    # ------------------------------------------------------------------------------------------ the rest

    def removed(self, ref: str | None) -> bool:
        """Tell whether it says that it had a sale and removed it."""
        sale = self._book.by_ref(ref)
        return sale is not None and self._kernel.now >= sale.forgotten and sale.says_so

    def known(self, ref: str | None) -> Sale | None:
        """Return a sale that it has not forgotten, and can see now."""
        sale = self._book.by_ref(ref)
        if sale is None or self._kernel.now >= sale.forgotten:
            return None
        if self._faults.strikes(Fault.MISTAKEN_404):
            sale.mislaid = self._kernel.now + self._rng.choice(_MISLAID_MS)
        return None if self._kernel.now < sale.mislaid else sale

    def stop(self, call: Call) -> None:
        """Stop the call, or the create that is still held open."""
        sale = self._book.of_call(call.id) if call.ref is None else self._book.by_ref(call.ref)
        if (
            sale is not None
            and self._kernel.now < sale.forgotten
            and not self._faults.strikes(Fault.CANCEL_IGNORED)
        ):
            sale.stop(self._kernel.now)
            self._ledgers.tell("provider", f"is told to stop {sale.ref}: {sale.status(self._kernel.now)}")
            self._release(sale)
