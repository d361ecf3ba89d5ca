"""The mock provider: it paints pictures itself, needs no network and costs nothing.

A fresh installation runs on it, and the engine is tried with it: the parameter `fault` of a job makes it fail
in every way that real providers do.

A call needs no memory: its `ref` says when it was accepted, how long it takes and what goes wrong with it, and
its pictures follow from its input. So another process goes on with it after a crash. What is kept in memory
(creates to join, cancellations, how often a fault has happened) is bounded and lost at a restart: faults that
were over then happen again.
"""

import asyncio
import base64
import hashlib
import json
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self, TypeVar

from pydantic import Field
from pydantic_settings import BaseSettings

from mediagen.errors import FetchError, FetchGone, PredictionGone
from mediagen.providers import faults
from mediagen.providers.base import (
    TAKEN_OVER,
    Accepted,
    Call,
    Capabilities,
    Dedupe,
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
    agrees,
    always,
)
from mediagen.providers.faults import MOST_LATENCY_S, Fault, Switches
from mediagen.providers.painting.order import PROPERTIES, Order, read_orders, whole
from mediagen.safefetch import Download
from mediagen.settings import ENV_CONFIG, load

_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+)?", re.ASCII)
_REF = re.compile(r"(.{1,200})\.([0-9]{1,15})\.([0-9]{1,9})\.([a-z_]{1,40})")
_SILENCE_S = 1.0  # how long a create with a time-out keeps its caller waiting
_WARM_UP = 0.08  # share of the time in which nothing moves yet, as with real models
_REMEMBERED = 10_000  # entries in each of the memories; the oldest go first
_SCRIPT = "<script>document.title = 'a script in an output ran'</script>"

T = TypeVar("T")


class MockSettings(BaseSettings):
    """The settings of this provider."""

    model_config = ENV_CONFIG

    mock_latency: float = Field(
        2.0, ge=0, le=MOST_LATENCY_S, description="Seconds that the mock provider takes for its pictures."
    )


_REFUSALS: Final[Mapping[Fault, Rejected]] = {
    Fault.RATE_LIMITED: Rejected(
        reason=RejectReason.RATE_LIMITED,
        message="The mock provider is told to refuse (429)",
        retry_after_s=1.0,
    ),
    Fault.UNREACHABLE: Rejected(
        reason=RejectReason.UNREACHABLE, message="The mock provider is told to be out of reach"
    ),
    Fault.UNAUTHORIZED: Rejected(
        reason=RejectReason.UNAUTHORIZED, message="The mock provider is told to take no token (401)"
    ),
}
_FAILURES: Final[Mapping[Fault, tuple[str, str]]] = {
    Fault.FAILURE: ("prediction_failed", "The mock provider is told to fail"),
    Fault.TRANSIENT_FAILURE: ("prediction_failed", "The mock provider is told to fail; another try may help"),
    Fault.MODERATION: ("moderation", "The mock provider is told to refuse such content"),
}
_ODD_FILES: Final[Mapping[Fault, tuple[bytes, str]]] = {
    Fault.HTML_OUTPUT: (f"<!doctype html><title>mock</title>{_SCRIPT}".encode(), "text/html"),
    Fault.SVG_OUTPUT: (f'<svg xmlns="http://www.w3.org/2000/svg">{_SCRIPT}</svg>'.encode(), "image/svg+xml"),
    Fault.EMPTY_OUTPUT: (b"", "image/png"),
}
_AT_DOWNLOAD: Final = frozenset({Fault.EXPIRED_LINK, Fault.TRUNCATED_DOWNLOAD})


def _schema(properties: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Input",
        "type": "object",
        "properties": {
            name: {**described, "x-order": order}
            for order, (name, described) in enumerate(properties.items())
        },
        "required": ["prompt"],
        "additionalProperties": True,  # an app tries its real model's parameters out here
    }


_SCHEMA: Final = _schema({**PROPERTIES, **faults.PROPERTIES})
# The model that it stands in for may want a width as text or another list of ratios: only names are told.
_LOOSE: Final = {
    name: {"title": described["title"], "description": described["description"]}
    for name, described in PROPERTIES.items()
}
_STAND_IN_SCHEMA: Final = _schema({**_LOOSE, **faults.PROPERTIES})


@dataclass(frozen=True, kw_only=True)
class _Run:
    """An accepted call; all of it stands in its `ref`."""

    call_id: str
    accepted_ms: int
    latency_ms: int
    fault: Fault

    @property
    def ref(self) -> str:
        return f"{self.call_id}.{self.accepted_ms}.{self.latency_ms}.{self.fault}"

    @classmethod
    def of(cls, ref: str | None) -> Self:
        """Read a ref. Raises `PredictionGone` when it is none of ours."""
        match = _REF.fullmatch(ref or "")
        if match is None or match[4] not in list(Fault):
            raise PredictionGone(f"The mock provider knows no prediction {ref!r}")
        return cls(
            call_id=match[1], accepted_ms=int(match[2]), latency_ms=int(match[3]), fault=Fault(match[4])
        )

    @property
    def ends_ms(self) -> float:
        return math.inf if self.fault is Fault.NEVER_FINISHES else self.accepted_ms + self.latency_ms

    def progress(self, now_ms: int) -> float:
        """Return the share that is done: a warm-up, then evenly; without an end it only comes close to 1."""
        elapsed = max(0, now_ms - self.accepted_ms) / max(1, self.latency_ms)
        if self.fault is Fault.NEVER_FINISHES:
            elapsed = elapsed / (1 + elapsed)
        return round(min(0.99, max(0.0, (elapsed - _WARM_UP) / (1 - _WARM_UP))), 2)


@dataclass(frozen=True, kw_only=True)
class _Link:
    """The address of one output; it holds all that `open` needs."""

    ref: str
    index: int
    issue: int  # how many links to this output had died when this one was made
    times: int  # how often the output's download goes wrong
    order: Order

    @property
    def file(self) -> str:
        return f"{self.ref}/{self.index}"

    @property
    def fault(self) -> Fault:
        return _Run.of(self.ref).fault

    @property
    def url(self) -> str:
        text = json.dumps(asdict(self), separators=(",", ":")).encode()
        return f"mock:{self.file}?{base64.urlsafe_b64encode(text).decode()}"

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a link. Raises `FetchGone` when it is none of ours."""
        try:
            known = json.loads(base64.urlsafe_b64decode(url.rpartition("?")[2]))
            index, issue, times = (int(known[name]) for name in ("index", "issue", "times"))
            order = read_orders({**known["order"], "num_outputs": 1}, own_seed=0)[0]
            return cls(ref=_Run.of(known["ref"]).ref, index=index, issue=issue, times=times, order=order)
        except (PredictionGone, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise FetchGone(f"The mock provider has no output at {url[:80]!r}") from error


class MockProvider(Provider):
    """Paints pictures, and fails as told. `Prediction.ref` is `<call>.<accepted ms>.<latency ms>.<fault>`."""

    name = "mock"
    fallback = True
    default_model = "mock/darkroom"
    capabilities = Capabilities(dedupe=Dedupe.KEY, billed=False, lists=True, creates_per_s=1000)

    def __init__(self, context: ProviderContext, settings: MockSettings) -> None:
        super().__init__(context)
        self._latency_s = settings.mock_latency
        self._joined: dict[str, _Run] = {}  # by call id
        self._canceled_ms: dict[str, int] = {}  # by call id
        self._happened: dict[str, int] = {}  # faults, by what they happened to
        self._begun_ms, self._begun_at_s = context.clock.now_ms(), context.clock.monotonic()

    @classmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        return cls(context, load(MockSettings))

    def accepts(self, model: str) -> bool:
        """Take its own models, and any well-formed name while it stands in for a provider."""
        well_formed = len(model) <= 200 and _MODEL_NAME.fullmatch(model) is not None
        return well_formed and (self.stands_in or model.startswith("mock/"))

    async def models(self) -> Sequence[Model]:
        about = "Paints a picture in the mood of the prompt, here and for free. For trying out and testing."
        return [Model(id=self.default_model, provider=self.name, description=about, input_schema=_SCHEMA)]

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        """Return the schema of its own models; models that it stands in for may have any parameters."""
        if not self.accepts(model):
            return None
        return _SCHEMA if model.startswith("mock/") else _STAND_IN_SCHEMA

    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        """Accept the call, or fail as it says; a call that was accepted before is joined."""
        clock = self.context.clock
        if not await agrees(may_send):
            return Rejected(reason=RejectReason.UNREACHABLE, message=f"not sent: {TAKEN_OVER}")
        if clock.monotonic() > send_by:
            return Rejected(reason=RejectReason.UNREACHABLE, message="It was too late to send anything")
        if (run := self._joined.get(call.id)) is not None:
            return Accepted(prediction=self._look(run, call))
        try:
            switches = Switches.of(call.input)
        except ValueError as error:
            return Rejected(reason=RejectReason.INVALID, message=f"The mock provider can't do that: {error}")
        fault = switches.fault if self._strikes(call, switches) else Fault.NONE
        if fault in _REFUSALS:
            return _REFUSALS[fault]
        if fault is Fault.SERVER_ERROR:
            return Unknown(message="The mock provider is told to answer 500")
        latency_s = self._latency_s if switches.latency_s is None else switches.latency_s
        run = _Run(
            call_id=call.id, accepted_ms=self._now_ms(), latency_ms=round(latency_s * 1000), fault=fault
        )
        _remember(self._joined, call.id, run)
        if fault is Fault.SERVER_ERROR_AFTER_ACCEPT:
            return Unknown(message="The mock provider is told to answer 502, having accepted")
        if fault is Fault.TIMEOUT_AFTER_ACCEPT:
            await clock.sleep(_SILENCE_S)
            return Unknown(message="The mock provider is told not to answer, having accepted")
        return Accepted(prediction=self._look(run, call))

    def _strikes(self, call: Call, switches: Switches) -> bool:
        """Tell whether the fault happens to this create, and count it."""
        if switches.times is None or switches.fault in _AT_DOWNLOAD:
            return True
        text = json.dumps([call.model, call.input], sort_keys=True, default=repr)
        return self._happens(hashlib.sha256(text.encode()).hexdigest(), switches.times)

    def _happens(self, what: str, times: int) -> bool:
        """Tell whether a fault has happened less than so many times, and count this time."""
        before = self._happened.get(what, 0)
        if before < times:
            _remember(self._happened, what, before + 1)
        return before < times

    async def get(self, call: Call) -> Prediction:
        """Tell how far the call is, by time alone."""
        return self._look(_Run.of(call.ref), call)

    async def follow(self, calls: Sequence[Call]) -> Mapping[str, Prediction]:
        """Look at each call; those that it does not know are left out."""
        found = {}
        for call in calls:
            with suppress(PredictionGone):
                found[call.id] = await self.get(call)
        return found

    async def cancel(self, call: Call) -> None:
        """Stop the call. Only this process remembers it, until it ends."""
        if call.id not in self._canceled_ms:
            _remember(self._canceled_ms, call.id, self._now_ms())

    def _now_ms(self) -> int:
        """Return the time since 1970, as it was set when this process began: nobody waits for a clock that is set."""
        return self._begun_ms + round((self.context.clock.monotonic() - self._begun_at_s) * 1000)

    def _look(self, run: _Run, call: Call) -> Prediction:
        now_ms = self._now_ms()
        seen = Prediction(
            ref=run.ref,
            status=PredictionStatus.RUNNING,
            progress=run.progress(now_ms),
            cost_micros=0,
            call_id=run.call_id,
            created_at_ms=run.accepted_ms,
        )
        if self._canceled_ms.get(run.call_id, math.inf) < run.ends_ms:
            return replace(seen, status=PredictionStatus.CANCELED)
        if now_ms < run.ends_ms:
            return seen
        if run.fault in _FAILURES:
            code, message = _FAILURES[run.fault]
            again = run.fault is Fault.TRANSIENT_FAILURE
            return replace(
                seen, status=PredictionStatus.FAILED, error_code=code, error_message=message, retryable=again
            )
        return replace(
            seen, status=PredictionStatus.SUCCEEDED, progress=1.0, outputs=self._outputs(run, call.input)
        )

    def _outputs(self, run: _Run, inputs: Mapping[str, Any]) -> Sequence[Output]:
        own_seed = int.from_bytes(hashlib.sha256(run.call_id.encode()).digest()[:4])
        times = max(1, whole(inputs.get("fault_times")) or 1)
        outputs = []
        for index, order in enumerate(read_orders(inputs, own_seed)):
            link = _Link(ref=run.ref, index=index, issue=0, times=times, order=order)
            outputs.append(Output(url=replace(link, issue=self._happened.get(link.file, 0)).url))
        return outputs

    @asynccontextmanager
    async def open(self, output: Output) -> AsyncIterator[Download]:
        """Paint the picture. Raises `FetchGone` for a dead link, `FetchTooLarge`, and `FetchError` on demand."""
        link = _Link.of(output.url)
        fault, dead = link.fault, self._happened.get(link.file, 0) > link.issue
        if fault is Fault.EXPIRED_LINK and (dead or self._happens(link.file, link.times)):
            raise FetchGone("The mock provider is told to let this link expire")
        odd = _ODD_FILES.get(fault)
        data, media_type = odd if odd else await asyncio.to_thread(link.order.render)
        async with self.context.fetcher.inline(data) as download:
            chunks = download.chunks
            if fault is Fault.TRUNCATED_DOWNLOAD and self._happens(link.file, link.times):
                chunks = _cut_off(data[: len(data) // 2])
            yield replace(download, chunks=chunks, media_type=media_type)

    def look_again_s(self, elapsed_s: float) -> float:
        """Return a pause that makes progress look smooth, at first."""
        return 0.25 if elapsed_s <= 5 else min(2.0, elapsed_s / 20)

    async def check(self) -> str:
        return f"paints pictures itself, in {self._latency_s:g} s each; for trying out and testing"


async def _cut_off(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise FetchError("The mock provider is told to break off in the middle of the file")


def _remember(memory: dict[str, T], key: str, value: T) -> None:
    """Note a value; the oldest entry goes when there are too many."""
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
