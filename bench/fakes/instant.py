"""A provider inside the worker whose predictions end at once without an output: what is left is the engine.

`Lab.instant()` installs it as a third party would, by an entry point.
"""

from collections.abc import Sequence
from typing import Self

from mediagen.providers.base import (
    TAKEN_OVER,
    Accepted,
    Call,
    Capabilities,
    Dedupe,
    MaySend,
    Model,
    Outcome,
    Prediction,
    PredictionStatus,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    agrees,
    always,
)

MODEL = "instant/end"


class InstantProvider(Provider):
    """Refuses everything that it took, which is an end without an output."""

    name = "instant"
    default_model = MODEL
    capabilities = Capabilities(dedupe=Dedupe.KEY, billed=False, creates_per_s=100_000)

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self:
        return cls(context)

    def accepts(self, model: str) -> bool:
        return model == MODEL

    async def models(self) -> Sequence[Model]:
        return [Model(id=MODEL, provider=self.name)]

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        if not await agrees(may_send):  # the question is a part of what a call costs
            return Rejected(reason=RejectReason.UNREACHABLE, message=f"not sent: {TAKEN_OVER}")
        return Accepted(prediction=self._ended(call))

    async def get(self, call: Call) -> Prediction:
        return self._ended(call)

    async def cancel(self, call: Call) -> None:
        """There is nothing to stop."""

    def _ended(self, call: Call) -> Prediction:
        return Prediction(ref=call.id, status=PredictionStatus.FAILED, call_id=call.id)
