"""The provider as a worker's process sees it: the product's interface, over a network that fails."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Self

from mediagen.clock import Clock
from mediagen.errors import FetchError, FetchGone, PredictionGone, ProviderError
from mediagen.providers.base import (
    Accepted,
    Call,
    Findings,
    MaySend,
    Model,
    Outcome,
    Output,
    Prediction,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Sold,
    Unknown,
    always,
)
from mediagen.providers.clocks import ServerClock
from mediagen.providers.evidence import Entry, Search, Shown, Window
from mediagen.providers.likeness import Likeness, compare
from mediagen.safefetch import Download
from proof.simulation.book import Book, OutputFate, Sale
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Pause
from proof.simulation.listing import Row
from proof.simulation.profiles import Profile
from proof.simulation.seller import Seller

CREATE_TIMEOUT_MS = 30_000

_UNSTEADY_MS = 10_000
"""Since a call our time and the provider's went on alike, up to this, or one of the two clocks was set."""


class SimProvider(Provider):
    """One worker's client of the seller. Every method may stop its caller on the way there and back."""

    name = "sim"
    default_model = "sim/one"

    def __init__(
        self,
        *,
        seller: Seller,
        book: Book,
        profile: Profile,
        faults: Faults,
        clock: Clock,
        delay: Callable[[], int],
        suspend: Callable[[], None],
    ) -> None:
        self._suspend = suspend  # of this worker's machine
        self._sending = 0  # creates that take their last look
        self._shown = Shown()
        self._server_clock = ServerClock(clock)
        self.capabilities = profile.capabilities
        self._seller = seller
        self._book = book
        self._profile = profile
        self._faults = faults
        self._clock = clock
        self._delay = delay

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        return None

    def accepts(self, model: str) -> bool:
        return model == self.default_model

    async def models(self) -> Sequence[Model]:
        return []

    async def now_ms(self) -> int | None:
        if not self._profile.asks:
            return None
        if not self._server_clock.heard_lately:
            with suppress(ProviderError):
                await self._ask(Fault.LOOK_FAILS)
        return self._server_clock.now_ms()

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        await Pause(self._delay())
        # Not while another create of this worker is past its last look: nothing could stop that one.
        if not self._sending and self._faults.strikes(Fault.SUSPEND):
            self._suspend()
            await Pause(0)
        self._sending += 1
        try:
            allowed = await may_send()
        finally:
            self._sending -= 1
        if not allowed:
            return Rejected(reason=RejectReason.UNREACHABLE, message="another worker took over")
        if self._clock.monotonic() > send_by:
            return Rejected(reason=RejectReason.UNREACHABLE, message="it was too late to send anything")
        if self._faults.strikes(Fault.UNREACHABLE):
            return Rejected(reason=RejectReason.UNREACHABLE, message=Fault.UNREACHABLE.value)
        answer = self._seller.post(call)  # no pause before: the check and the first byte are one moment
        sent_at = self._clock.monotonic()
        outcome = await answer.receive(self._patience_ms(call))
        if outcome is not None:
            self._server_clock.heard(self._seller.date(), sent_at, self._clock.monotonic())
        await Pause(self._delay())
        return self._judged(call, outcome or Unknown(message="no answer came"))

    def _judged(self, call: Call, outcome: Outcome) -> Outcome:
        """Return the answer, or that it is unknown what happened when it is about another call."""
        if self._profile.synchronous or not isinstance(outcome, Accepted):
            return outcome
        ref = outcome.prediction.ref
        sale = self._book.by_ref(ref)
        assert sale is not None
        row = replace(self._seller.listing.row_of(sale), readable=True)  # that is said of the list alone
        if contradicts(call, self._entry(row)):
            return Unknown(message=f"the answer is about {ref}, which is another prediction")
        return outcome

    def _patience_ms(self, call: Call) -> int:
        return int(call.timeout_s * 1000) + 5_000 if self._profile.synchronous else CREATE_TIMEOUT_MS

    async def get(self, call: Call) -> Prediction:
        if self._profile.synchronous:
            raise ProviderError("nothing can be asked later")
        sale = self._book.by_ref(call.ref)
        try:
            await self._ask(Fault.LOOK_FAILS)
        except ProviderError:
            if sale is not None:
                sale.troubles += 1
            raise
        sale = self._seller.known(call.ref)
        if sale is None:
            sure = self._seller.removed(call.ref)
            raise PredictionGone(f"there is no {call.ref!r}", sure=sure)
        said = self._seller.show(sale)
        await Pause(self._delay())
        return said

    async def cancel(self, call: Call) -> None:
        await self._ask(Fault.CANCEL_FAILS)
        if self._faults.strikes(Fault.CANCEL_404):
            raise PredictionGone(Fault.CANCEL_404.value)
        self._seller.stop(call)
        await Pause(self._delay())

    # ------------------------------------------------------------------------------------------ the list

    async def shows(self, call: Call) -> bool | None:
        await self._ask(Fault.LIST_FAILS)
        rows, why = self._seller.page_through(None)
        await Pause(self._delay())
        if any(row.sale.ref == call.ref and row.readable for row in rows):
            return True
        return None if why or not all(row.readable for row in rows) else False

    async def find(self, call: Call) -> Findings:
        await self._ask(Fault.LIST_FAILS)
        sought = self._by_its_clock(call)
        window = Window.of(sought)
        rows, why = self._seller.page_through(window.back_to_ms if window else None)
        search = Search(sought, lambda entry: entry.model == call.model)
        for row in rows:
            entry = self._entry(row)
            self._shown.learn(entry)
            search.weigh(entry)
        findings = search.findings(self._shown, why=why)
        await Pause(self._delay())
        return findings

    def _by_its_clock(self, call: Call) -> Call:
        """Return the call, without the time at which it was sent where that tells nothing any more.

        A clock that was set in the meantime, theirs or ours, would cut the list at the wrong time.
        """
        now = self._server_clock.now_ms()
        if now is None or call.asked_at_ms is None:
            return replace(call, asked_at_ms=None)
        ours_ms, theirs_ms = self._clock.now_ms() - call.created_at_ms, now - call.asked_at_ms
        return call if abs(ours_ms - theirs_ms) <= _UNSTEADY_MS else replace(call, asked_at_ms=None)

    async def sold(self, since_ms: int) -> Sold:
        await self._ask(Fault.LIST_FAILS)
        rows, why = self._seller.page_through(since_ms)
        await Pause(self._delay())
        entries = [self._entry(row) for row in rows]
        found = [entry.prediction for entry in entries if entry.prediction is not None]
        return Sold(predictions=found, unreadable=len(entries) - len(found), why=why)

    def _entry(self, row: Row) -> Entry:
        return Entry(
            prediction=self._seller.shown_in(row) if row.readable else None,
            webhook=row.webhook if row.readable else None,
            input=row.input if row.readable else None,
            removed=row.removed,
            made_ms=row.made_ms,
            model=row.model,
        )

    async def _ask(self, fault: Fault) -> None:
        sent_at = self._clock.monotonic()
        await Pause(self._delay())
        if self._faults.strikes(fault):
            raise ProviderError(fault.value)
        self._server_clock.heard(self._seller.date(), sent_at, self._clock.monotonic())

    @asynccontextmanager
    async def open(self, output: Output) -> AsyncIterator[Download]:
        await Pause(self._delay())
        data = output.data if output.data is not None else self._fetch(output.url)
        yield Download(chunks=_once(data), size_bytes=None, media_type=None)

    def _fetch(self, url: str) -> bytes:
        _, ref, issue = url.split(":")
        sale = self._book.by_ref(ref)
        if sale is None:
            raise FetchGone(f"there is no {ref}")
        try:
            return self._bytes_of(sale, int(issue))
        except FetchError:
            sale.troubles += 1
            raise

    def _bytes_of(self, sale: Sale, issue: int) -> bytes:
        if self._faults.strikes(Fault.LINK_DIES):
            sale.issue += 1
        if sale.output is OutputFate.GONE or issue != sale.issue:
            raise FetchGone("the link is dead")
        if self._faults.strikes(Fault.FETCH_FAILS):
            raise FetchError(Fault.FETCH_FAILS.value)
        whole = sale.content
        if sale.output is OutputFate.BAD or self._faults.strikes(Fault.CUT_OFF):
            sale.troubles += 1
            sale.cut_off += 1
            return whole[: -1 - sale.cut_off % 7]  # never the same bytes twice in a row
        return whole

    def look_again_s(self, elapsed_s: float) -> float:
        """Return longer pauses than real providers are given, so that time is not spent on looks."""
        return max(4.0, min(30.0, elapsed_s))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def look(provider: Provider, call: Call) -> Prediction:
    """Look at one call; the shared looks of a real worker need an event loop."""
    return await provider.get(call)


def contradicts(call: Call, entry: Entry) -> bool:
    """Tell whether something that an answer shows says that it is about another call."""
    if entry.marker is not None:
        return entry.marker.call != call.id.lower()
    if entry.webhook is not None:
        return entry.webhook != call.webhook_url
    window = Window.of(call)
    if window is not None and entry.made_ms is not None and not window.holds(entry.made_ms):
        return True
    return entry.removed or compare(call.input, entry.input) is Likeness.OTHER
