"""The provider as a worker's process sees it: the product's interface, over a network that fails."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from mediagen.clock import Clock
from mediagen.errors import FetchError, FetchGone, PredictionGone, ProviderError
from mediagen.providers.base import (
    Call,
    Model,
    Outcome,
    Output,
    Prediction,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.safefetch import Download
from proof.simulation.book import Book, OutputFate, Sale, content_of
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Pause
from proof.simulation.profiles import Profile
from proof.simulation.seller import Seller

CREATE_TIMEOUT_MS = 30_000


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
    ) -> None:
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

    async def create(self, call: Call, *, send_by: float) -> Outcome:
        await Pause(self._delay())
        if self._clock.monotonic() > send_by:
            return Rejected(reason=RejectReason.UNREACHABLE, message="it was too late to send anything")
        if self._faults.strikes(Fault.UNREACHABLE):
            return Rejected(reason=RejectReason.UNREACHABLE, message=Fault.UNREACHABLE.value)
        answer = self._seller.post(call)  # no pause before: the check and the first byte are one moment
        outcome = await answer.receive(self._patience_ms(call))
        await Pause(self._delay())
        return outcome or Unknown(message="no answer came")

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
            raise PredictionGone(f"there is no {call.ref!r}")
        said = self._seller.show(sale)
        await Pause(self._delay())
        return said

    async def cancel(self, call: Call) -> None:
        await self._ask(Fault.CANCEL_FAILS)
        self._seller.stop(call)
        await Pause(self._delay())

    async def find(self, call: Call) -> Sequence[Prediction]:
        await self._ask(Fault.LIST_FAILS)
        found = self._seller.listed(call)
        await Pause(self._delay())
        return found

    async def _ask(self, fault: Fault) -> None:
        await Pause(self._delay())
        if self._faults.strikes(fault):
            raise ProviderError(fault.value)

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
        whole = content_of(sale.ref)
        if sale.output is OutputFate.BAD or self._faults.strikes(Fault.CUT_OFF):
            sale.troubles += 1
            sale.cut_off += 1
            return whole[:-1]
        return whole

    def look_again_s(self, elapsed_s: float) -> float:
        """Return longer pauses than real providers are given, so that time is not spent on looks."""
        return max(4.0, min(30.0, elapsed_s))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def look(provider: Provider, call: Call) -> Prediction:
    """Look at one call; the shared looks of a real worker need an event loop."""
    return await provider.get(call)
