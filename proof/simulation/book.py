"""The provider's own book: what was really sold. Nothing of ours writes it, so it can't be wrong about money."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from mediagen.providers.base import Output, Prediction, PredictionStatus
from mediagen.providers.markers import Marker

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
    ODD = "odd, but whole"


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
    says_so: bool = False  # that it had it and forgot it, or else only that there is none
    mislaid: float = -math.inf  # until then looks say by mistake that there is none
    empty_until: float = -math.inf  # until then it shows no output
    partial: bool = False  # it has outputs however it ended
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

    @property
    def content(self) -> bytes:
        """Return its whole output."""
        whole = content_of(self.ref)
        return whole[: -len(END)] if self.output is OutputFate.ODD else whole

    @property
    def is_ours(self) -> bool:
        """Whether one of our calls bought it, and not somebody else with the same account."""
        return bool(self.call_id)

    def stop(self, now: int) -> None:
        """Stop it, unless it has ended."""
        if self.status(now) is PredictionStatus.RUNNING:
            self.stopped = now

    def seen(self, now: int, *, inline: bool, marker: Marker | None, made_ms: int) -> Prediction:
        """Return what the provider says of it."""
        status = self.status(now)
        failed = status is PredictionStatus.FAILED
        return Prediction(
            ref=self.ref,
            status=status,
            outputs=self._outputs(inline) if self._has_outputs(now) else (),
            error_code="prediction_failed" if failed else None,
            error_message=f"it {self.fate}" if failed else None,
            retryable=failed and self.fate is Fate.HICCUPS,
            marker=marker,
            created_at_ms=made_ms,
        )

    def _has_outputs(self, now: float) -> bool:
        status = self.status(now)
        has = status is PredictionStatus.SUCCEEDED or (
            self.partial and status is not PredictionStatus.RUNNING
        )
        return has and now >= self.empty_until

    def _outputs(self, inline: bool) -> tuple[Output, ...]:
        if inline:
            return (Output(data=self.content),)
        return (Output(url=f"sim:{self.ref}:{self.issue}"),)


END = b"."
"""The last byte of every whole file."""


def content_of(ref: str) -> bytes:
    """Return the output of a prediction."""
    return f"the output of {ref}".encode() + END


@dataclass(kw_only=True)
class Book:
    """All sales to us, in their order, and those to others."""

    sales: list[Sale] = field(default_factory=list)
    others: list[Sale] = field(default_factory=list)  # that somebody else bought with the same account

    def of_job(self, job_id: str) -> list[Sale]:
        """Return what was sold for a job."""
        return [sale for sale in self.sales if sale.job_id == job_id]

    def of_call(self, call_id: str) -> Sale | None:
        """Return the first sale of a call."""
        return next((sale for sale in self.sales if sale.call_id == call_id), None)

    def by_ref(self, ref: str | None) -> Sale | None:
        """Return the sale of that name."""
        return next((sale for sale in (*self.sales, *self.others) if sale.ref == ref), None)
