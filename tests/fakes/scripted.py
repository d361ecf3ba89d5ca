"""A provider that does what the test says, and counts what it sold."""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

from mediagen.errors import FetchError, ProviderError
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
    Sold,
    always,
)
from mediagen.safefetch import Download


class ScriptedProvider(Provider):
    """Accepts every call, unless `script` says otherwise; a prediction runs until the test ends it."""

    name = "scripted"
    default_model = "scripted/one"

    def __init__(
        self, *, dedupe: Dedupe = Dedupe.RECONCILE, billed: bool = True, synchronous: bool = False
    ) -> None:
        self.capabilities = Capabilities(
            dedupe=dedupe, billed=billed, synchronous=synchronous, creates_per_s=1000, retention_s=600.0
        )
        self.script: deque[Outcome] = deque()
        self.creates: list[Call] = []
        self.canceled: list[str] = []
        self.predictions: dict[str, Prediction] = {}
        self.found: list[Prediction] = []  # in its list: those that name the call, and those like it
        self.sees = Findings()  # what else the list shows
        self.shown: bool | None = None  # whether the list has an accepted call
        self.failing: deque[ProviderError] = deque()
        self.listed = Sold(predictions=())  # what its list says beside the predictions
        self.bytes: deque[bytes | FetchError] = deque()

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        return None

    def accepts(self, model: str) -> bool:
        return model.startswith("scripted/")

    async def models(self) -> Sequence[Model]:
        return [Model(id=self.default_model, provider=self.name)]

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        return {"type": "object", "properties": {"width": {"type": "integer", "maximum": 2048}}}

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        if not await may_send():
            return Rejected(reason=RejectReason.UNREACHABLE, message="it may not be sent any more")
        self.creates.append(call)
        if self.script:
            return self.script.popleft()
        return Accepted(prediction=self.run(call))

    def run(self, call: Call, **changes: Any) -> Prediction:
        """Let a prediction of the call exist, running."""
        ref = f"ref-{len(self.predictions)}"
        self.predictions[ref] = replace(
            Prediction(ref=ref, status=PredictionStatus.RUNNING, call_id=call.id), **changes
        )
        return self.predictions[ref]

    def end(
        self, ref: str = "ref-0", status: PredictionStatus = PredictionStatus.SUCCEEDED, **changes: Any
    ) -> None:
        """Let a prediction come to its end."""
        outputs = (Output(url="scripted:0"),) if status is PredictionStatus.SUCCEEDED else ()
        changes.setdefault("outputs", outputs)
        self.predictions[ref] = replace(self.predictions[ref], status=status, **changes)

    async def get(self, call: Call) -> Prediction:
        if self.failing:
            raise self.failing.popleft()
        assert call.ref is not None
        return self.predictions[call.ref]

    async def cancel(self, call: Call) -> None:
        assert call.ref is not None
        self.canceled.append(call.ref)

    async def find(self, call: Call) -> Findings:
        if self.failing:
            raise self.failing.popleft()
        ours = next((each for each in self.found if each.call_id == call.id), None)
        return replace(self.sees, ours=ours, alike=[each for each in self.found if each is not ours])

    async def shows(self, call: Call) -> bool | None:
        return self.shown

    async def sold(self, since_ms: int) -> Sold:
        if self.failing:
            raise self.failing.popleft()
        since = [each for each in self.predictions.values() if (each.created_at_ms or since_ms) >= since_ms]
        return replace(self.listed, predictions=since)

    @asynccontextmanager
    async def open(self, output: Output) -> AsyncIterator[Download]:
        data = output.data if output.data is not None else (self.bytes.popleft() if self.bytes else PNG)
        if isinstance(data, FetchError):
            raise data
        yield Download(chunks=_once(data), size_bytes=len(data), media_type="image/png")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489".replace(" ", "")
    + "0000000a49444154789c63000100000500010d0a2db40000000049454e44ae426082"
)
"""The smallest picture: one transparent pixel."""
