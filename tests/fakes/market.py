"""A provider with bad manners, for many workers at once: it loses answers, lists late, and hiccups, by chance.

It forgets what it sold for a moment, shows half a list or one with strangers in it, and stops only now and then when
told to. It sells only while a request can still be on its way, as never-pay-twice.md assumes; all else may happen.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from mediagen.clock import Clock
from mediagen.errors import FetchError, PredictionGone, ProviderError
from mediagen.providers.base import (
    Accepted,
    Call,
    Capabilities,
    Dedupe,
    Findings,
    MaySend,
    Model,
    Outcome,
    Output,
    Prediction,
    PredictionStatus,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Unknown,
    always,
)
from mediagen.safefetch import Download
from tests.fakes.scripted import PNG, _once

STRANGERS = tuple(Prediction(ref=f"stranger-{n}", status=PredictionStatus.RUNNING) for n in range(2))
"""What others bought that looks just like a call of ours: more than can be ours."""


@dataclass
class Sale:
    """One prediction that was bought."""

    ref: str
    call_id: str
    listed_at: float
    ends_at: float
    end: PredictionStatus

    def seen_at(self, now: float) -> Prediction:
        if now < self.ends_at:
            return Prediction(ref=self.ref, status=PredictionStatus.RUNNING, call_id=self.call_id)
        good = self.end is PredictionStatus.SUCCEEDED
        return Prediction(
            ref=self.ref,
            status=self.end,
            call_id=self.call_id,
            outputs=(Output(url="market:1"),) if good else (),
            error_code=None if good else "prediction_failed",
            retryable=self.end is PredictionStatus.FAILED,
        )


@dataclass
class Market:
    """What was sold, to whomever."""

    clock: Clock
    chance: random.Random
    sales: dict[str, Sale] = field(default_factory=dict)  # by ref
    on_their_way: set["asyncio.Task[None]"] = field(default_factory=set)

    async def deliver(self, call_id: str, send_by: float) -> None:
        """Carry a request to the provider, whether its sender lives or not."""
        await self.clock.sleep(self.chance.uniform(0, 2))
        now = self.clock.monotonic()
        if now < send_by + 2:  # what is later than that was dropped under way
            ref = f"sale-{len(self.sales)}"
            end = PredictionStatus.SUCCEEDED if self.chance.random() < 0.85 else PredictionStatus.FAILED
            self.sales[ref] = Sale(
                ref=ref,
                call_id=call_id,
                listed_at=now + self.chance.uniform(0, 1),
                ends_at=now + self.chance.uniform(0, 6),
                end=end,
            )


class MarketProvider(Provider):
    """One worker's view of the market."""

    name = "market"
    default_model = "market/one"

    def __init__(self, market: Market) -> None:
        self.capabilities = Capabilities(
            dedupe=Dedupe.RECONCILE, billed=True, synchronous=False, creates_per_s=1000
        )
        self._market = market
        self._chance = market.chance

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        return None

    def accepts(self, model: str) -> bool:
        return model.startswith("market/")

    async def models(self) -> Sequence[Model]:
        return [Model(id=self.default_model, provider=self.name)]

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        return None

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        if self._market.clock.monotonic() > send_by:
            return Rejected(reason=RejectReason.UNREACHABLE, message="too late")
        luck = self._chance.random()
        if luck < 0.05:
            return Rejected(reason=RejectReason.RATE_LIMITED, message="429", retry_after_s=1)
        if luck < 0.15:
            return Unknown(message="the request was lost")
        sending = asyncio.create_task(self._market.deliver(call.id, send_by))
        self._market.on_their_way.add(sending)
        sending.add_done_callback(self._market.on_their_way.discard)
        await asyncio.shield(sending)
        sold = next((s for s in self._market.sales.values() if s.call_id == call.id), None)
        if sold is None or luck < 0.35:
            return Unknown(message="the answer was lost")
        return Accepted(prediction=sold.seen_at(self._market.clock.monotonic()))

    async def get(self, call: Call) -> Prediction:
        await self._trouble()
        if self._chance.random() < 0.05:
            raise PredictionGone("404")
        assert call.ref is not None
        return self._market.sales[call.ref].seen_at(self._market.clock.monotonic())

    async def shows(self, call: Call) -> bool | None:
        await self._trouble()
        return None if self._chance.random() < 0.2 else call.ref in self._market.sales

    async def find(self, call: Call) -> Findings:
        """Show the call by its marker, or not at all; what else is there belongs to other calls, or to strangers."""
        await self._trouble()
        now = self._market.clock.monotonic()
        listed = [sale for sale in self._market.sales.values() if sale.listed_at <= now]
        luck = self._chance.random()
        if luck < 0.1:
            return Findings(whole=False, seen="half of it")
        return Findings(
            ours=next((sale.seen_at(now) for sale in listed if sale.call_id == call.id), None),
            alike=STRANGERS if luck < 0.2 else (),
            doubtful=["stranger"] if luck > 0.9 else (),
            seen="strangers" if luck < 0.2 or luck > 0.9 else "",
        )

    async def cancel(self, call: Call) -> None:
        await self._trouble()
        if self._chance.random() < 0.5:
            return
        assert call.ref is not None
        sale, now = self._market.sales[call.ref], self._market.clock.monotonic()
        if sale.ends_at > now:
            sale.ends_at, sale.end = now, PredictionStatus.CANCELED

    @asynccontextmanager
    async def open(self, output: Output) -> AsyncIterator[Download]:
        await self._market.clock.sleep(self._chance.uniform(0, 0.2))
        if self._chance.random() < 0.15:
            raise FetchError("reset")
        yield Download(chunks=_once(PNG), size_bytes=len(PNG), media_type="image/png")

    async def _trouble(self) -> None:
        await self._market.clock.sleep(self._chance.uniform(0, 0.5))
        if self._chance.random() < 0.1:
            raise ProviderError("502")
