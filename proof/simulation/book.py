"""The provider's own book: what was really sold. Nothing of ours writes it, so it can't be wrong about money."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from mediagen.providers.base import Output, Prediction, PredictionStatus

START_MS = 1_800_000_000_000
"""The wall-clock time at which every schedule starts."""


class Fate(StrEnum):
    """How a prediction ends unless it is stopped."""

    SUCCEEDS = "succeeds"
    FAILS = "fails for good"
    HICCUPS = "fails and may be tried again"
    STOPPED = "is canceled by the provider"


class OutputFate(StrEnum):
    """What becomes of a prediction's output."""

    FINE = "fine"
    GONE = "gone"
    BAD = "damaged"


@dataclass(kw_only=True, eq=False)
class Sale:
    """One prediction that the provider carries out, and that is paid for."""

    ref: str
    call_id: str
    job_id: str
    prompt: str
    bought: int  # virtual ms, as all times here
    listed: int  # from then on the list shows it
    ends: float  # inf: never
    fate: Fate
    output: OutputFate
    forgotten: float = math.inf  # from then on it can't be looked at; the list still shows it
    stopped: int | None = None  # when it was told to stop, if that was before its end
    issue: int = 0  # the link to its output that is alive
    troubles: int = 0  # looks and downloads that went wrong
    cut_off: int = 0

    def status(self, now: float) -> PredictionStatus:
        """Return the truth at that moment."""
        if self.stopped is not None:
            return PredictionStatus.CANCELED
        if now < self.ends:
            return PredictionStatus.RUNNING
        return {
            Fate.SUCCEEDS: PredictionStatus.SUCCEEDED,
            Fate.STOPPED: PredictionStatus.CANCELED,
        }.get(self.fate, PredictionStatus.FAILED)

    def stop(self, now: int) -> None:
        """Stop it, unless it has ended."""
        if self.status(now) is PredictionStatus.RUNNING:
            self.stopped = now

    def seen(self, now: int, *, inline: bool, marked: bool) -> Prediction:
        """Return what the provider says of it."""
        status = self.status(now)
        failed = status is PredictionStatus.FAILED
        return Prediction(
            ref=self.ref,
            status=status,
            outputs=self._outputs(inline) if status is PredictionStatus.SUCCEEDED else (),
            error_code="prediction_failed" if failed else None,
            error_message=f"it {self.fate}" if failed else None,
            retryable=failed and self.fate is Fate.HICCUPS,
            call_id=self.call_id if marked else None,
            created_at_ms=START_MS + self.bought,
        )

    def _outputs(self, inline: bool) -> tuple[Output, ...]:
        if inline:
            return (Output(data=content_of(self.ref)),)
        return (Output(url=f"sim:{self.ref}:{self.issue}"),)


END = b"."
"""The last byte of every whole file."""


def content_of(ref: str) -> bytes:
    """Return the output of a prediction."""
    return f"the output of {ref}".encode() + END


@dataclass(kw_only=True)
class Book:
    """All sales, in their order."""

    sales: list[Sale] = field(default_factory=list)

    def of_call(self, call_id: str) -> Sale | None:
        """Return the first sale of a call."""
        return next((sale for sale in self.sales if sale.call_id == call_id), None)

    def by_ref(self, ref: str | None) -> Sale | None:
        """Return the sale of that name."""
        return next((sale for sale in self.sales if sale.ref == ref), None)
