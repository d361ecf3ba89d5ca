"""What a provider is: the class that each back end implements, and the words it answers with.

A provider knows nothing of jobs, databases or storages. It gets a `Call` (one paid create, as the ledger
knows it) and answers with an outcome or a `Prediction`. Adding one means adding one file here: the registry
finds it by its module, and `tests/conformance/test_providers.py` tests it from then on.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Self

from mediagen.clock import Clock
from mediagen.errors import ProviderError
from mediagen.providers.markers import Marker
from mediagen.ranges import Resume
from mediagen.safefetch import Download, Fetcher
from mediagen.settings import Settings


class Dedupe(StrEnum):
    """How a provider lets us avoid buying a call twice after its answer was lost."""

    KEY = "key"  # the same create with the same call id joins the first one
    RECONCILE = "reconcile"  # its predictions can be listed and ours recognised
    WEBHOOK = "webhook"  # only its webhook names our call; park until that can't come any more
    NONE = "none"  # it can't be known; the job fails with `outcome_unknown` rather than pay again


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a provider can do; the engine asks these, never for a provider's name."""

    dedupe: Dedupe
    billed: bool  # whether a create costs money
    synchronous: bool = False  # create answers only when the generation has ended; there is no get
    rings: bool = False  # it calls Call.webhook_url when the generation has begun and when it has ended
    lists: bool = False  # follow() looks at many calls with one request
    creates_per_s: float | None = None  # default rate limit of creates; None takes the setting's
    max_in_flight: int | None = None  # calls at a time; None for no limit
    retention_s: float = 3600.0  # how long outputs and what tells calls apart can be had after the end


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that a provider can run. `id` is `owner/name`, or `owner/name:version`."""

    id: str
    provider: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema of `Call.input`


@dataclass(frozen=True, kw_only=True)
class Call:
    """One paid create. `id` is unique for ever and is the idempotency key where the provider takes one."""

    id: str
    model: str
    input: Mapping[str, Any]  # prompt and parameters, as `Provider.input_of` made them
    created_at_ms: int  # when the intent was committed, by the database's clock
    timeout_s: float  # the generation must end within this; passed on where the provider can enforce it
    ref: str | None = None  # the provider's own id of it, once known
    webhook_url: str | None = None  # where the provider calls back; it ends in `marker`. None sends no marker
    marker: Marker | None = None  # what names the call in `webhook_url`; None: it may carry any or none
    asked_at_ms: int | None = (
        None  # when the intent was committed, by the provider's clock; None when unknown
    )


class PredictionStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output file of a prediction: an address for `Provider.open`, or the bytes themselves."""

    url: str = ""
    data: bytes | None = None
    resume: Resume | None = None  # what earlier tries to fetch it left here


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a provider says of one call at one moment."""

    ref: str
    status: PredictionStatus
    progress: float | None = None  # 0..1; None when unknown
    outputs: Sequence[Output] = ()  # complete only when succeeded; what there is when failed or canceled
    document: str | None = None  # the whole output as JSON where it holds more than addresses
    error_code: str | None = None  # set when failed: `moderation`, `prediction_failed`, ...
    error_message: str | None = None
    retryable: bool = False  # when failed: the provider's own hiccup, so that buying again may help
    cost_micros: int | None = None  # millionths of a US dollar; None when unknown
    call_id: str | None = None  # our call id, where the answer proves it
    marker: Marker | None = None  # as it shows it, ours or another installation's
    created_at_ms: int | None = None  # by the provider's clock
    begun: bool = True  # False while it waits at the provider, which says so
    queued_ms: int | None = None  # from its creation to its start; None where that is not said

    @property
    def ended(self) -> bool:
        return self.status is not PredictionStatus.RUNNING


class RejectReason(StrEnum):
    """Why a create was certainly not carried out, so that nothing was charged."""

    INVALID = "invalid"  # final: the provider refuses this input
    MODERATION = "moderation"  # final: the provider's safety rules refuse it
    RATE_LIMITED = "rate_limited"  # wait as told; uses no attempt
    BUSY = "busy"  # at capacity; wait; uses no attempt
    UNAUTHORIZED = "unauthorized"  # the token is refused or there is no credit: all its jobs wait
    FORBIDDEN = "forbidden"  # the token may not use this model: the jobs of the model wait
    UNREACHABLE = "unreachable"  # nothing was sent
    MARKER = "marker"  # the provider refuses the address that marks the call: send it without one


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The provider took the call; `prediction` may have ended already (synchronous providers)."""

    prediction: Prediction


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """The call was certainly not carried out and nothing was charged."""

    reason: RejectReason
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """The call may or may not have been carried out: the answer was lost, late or no answer to trust."""

    message: str


Outcome = Accepted | Rejected | Unknown

MaySend = Callable[[], Awaitable[bool]]
"""Tell, with the connection open and before the first byte, whether the call may still be sent."""


async def always() -> bool:
    """Allow a send that nobody else can have taken over."""
    return True


TAKEN_OVER = "another worker took over"
"""Why a call is not sent that may not be sent any more."""


async def agrees(may_send: MaySend) -> bool:
    """Ask; a question that fails is a no."""
    try:
        return await may_send()
    except Exception:  # noqa: BLE001  whatever it is, nothing proves that the call is still ours
        return False


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a provider's list shows of one call whose answer was lost."""

    ours: Prediction | None = None  # its marker names the call
    alike: Sequence[
        Prediction
    ] = ()  # unmarked, made at that time, and all inputs that can be compared are equal
    doubtful: Sequence[str] = ()  # refs of others that may be the call; "" for an entry that can't be read
    siblings: Sequence[
        Prediction
    ] = ()  # their markers name the job and another call, which the ledger may have lost
    unmarked: Sequence[
        str
    ] = ()  # refs of all that show no address: if one is a marked call of ours, none would
    whole: bool = (
        True  # the list was read to its end, or back past the time of the call by the provider's clock
    )
    seen: str = ""  # what stands against a conclusion, in a sentence; empty when nothing does


@dataclass(frozen=True, kw_only=True)
class Sold:
    """What a provider's list shows as bought with our credentials."""

    predictions: Sequence[Prediction]  # newest first
    unreadable: int = 0  # entries of that time, or of none, that are no predictions
    why: str = ""  # what kept the list from being read back to the time in question; empty when it was

    @property
    def whole(self) -> bool:
        return not self.why


@dataclass(frozen=True, kw_only=True)
class ProviderContext:
    """What a provider may use of the installation."""

    settings: Settings
    clock: Clock
    fetcher: Fetcher


_MORE_THAN_PICTURES = re.compile(
    r"video|movie|animat|audio|music|song|sound|speech|voice|text.to.speech|\btts\b|i2v|t2v|lip.?sync",
    re.IGNORECASE,
)


def makes_more_than_pictures(words: str) -> bool:
    """Tell from a model's name or description whether it makes video or sound."""
    return bool(_MORE_THAN_PICTURES.search(words))


class Provider(ABC):
    """A back end that generates. One instance per process, used by many coroutines at a time.

    `create` is the only method that may cost money, and sends at most one request. All others are free and
    raise `ProviderError` (with `retryable`) when they fail.
    """

    name: ClassVar[str]
    """Lower-case, the module's own name; stored with every job."""

    connect_with: ClassVar[str] = ""
    """The setting that configures it, to be named where it is missing; empty when there is none."""

    outputs_with: ClassVar[str] = ""
    """The setting that lists hosts of one's own that outputs may be fetched from; empty when there is none."""

    fallback: ClassVar[bool] = False
    """Whether it only serves, by default, where no other provider is configured."""

    takes_any_model: ClassVar[bool] = False
    """Whether `accepts` says yes to any well-formed name; such providers are asked after the others."""

    stands_in: bool = False
    """Set by the registry on a fallback that is the only provider: it then takes any model name."""

    dated_by_its_clock: bool | None = None
    """Whether it dates predictions by the clock that its answers show, as its answers to creates tell; None: not known.

    The worker keeps it for the next start.
    """

    default_model: str
    """The model of a job that names none."""

    capabilities: Capabilities

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    @classmethod
    @abstractmethod
    def from_env(cls, context: ProviderContext) -> Self | None:
        """Return the provider as the environment configures it, or None when it is not configured.

        Raises `SettingsError` naming the setting when the configuration is wrong.
        """

    @abstractmethod
    def accepts(self, model: str) -> bool:
        """Tell from the name alone, without I/O, whether jobs of `model` go to this provider."""

    @abstractmethod
    async def models(self) -> Sequence[Model]:
        """Return the models to offer, the default one first. May be cached; never raises for a slow network."""

    async def takes_long(self, model: str) -> bool:
        """Tell whether the model makes video or sound, which takes longer than a picture.

        Told from its name; may send a free request for its description. Never raises.
        """
        return makes_more_than_pictures(model)

    def schema_of(self, model: str) -> Mapping[str, Any] | None:
        """Return the JSON Schema of the model's input if known without I/O, else None (nothing is checked)."""
        return None

    def input_of(self, prompt: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the provider's input. A parameter never overrides the prompt."""
        return {**parameters, "prompt": prompt}

    async def now_ms(self) -> int | None:
        """Return the time by the provider's own clock, in ms since 1970 UTC; None when it is unknown or unsteady.

        May send one free request when it has not heard from the provider lately.
        """
        return None

    @abstractmethod
    async def create(self, call: Call, *, send_by: float, may_send: MaySend = always) -> Outcome:
        """Buy one generation: send one request, never retry, and classify the answer.

        Nothing is sent after `send_by` (by `Clock.monotonic`), or unless `may_send` agrees once the connection is
        open: that is `Rejected(UNREACHABLE)`. An answer is `Accepted` only if nothing that it shows says that it
        is about another call. Never raises for anything that the network or the provider does.
        """

    @abstractmethod
    async def get(self, call: Call) -> Prediction:
        """Look at one accepted call by its `ref`.

        Raises `PredictionGone` when the provider says that it has no such prediction: `sure` when it says that it
        had it and removed it, else it may be an answer that lags behind, or a gateway's.
        """

    async def shows(self, call: Call) -> bool | None:
        """Tell whether the provider's list has the accepted call; None when that can't be told.

        False only when the list was read whole, back past the time of the call. Only for `Dedupe.RECONCILE`.
        """
        return None

    async def follow(self, calls: Sequence[Call]) -> Mapping[str, Prediction]:
        """Look at many accepted calls at once; returns by call id those that were found.

        Only asked when `capabilities.lists`; calls missing from the answer are looked at one by one.
        """
        raise ProviderError(f"{self.name} can't list predictions")

    @abstractmethod
    async def cancel(self, call: Call) -> None:
        """Ask the provider to stop. Idempotent; does not wait, and a call that has ended is no error."""

    async def against(self, call: Call) -> str:
        """Return what says that the prediction of the call's `ref` is another call's; empty for nothing.

        Raises as `get` does.
        """
        await self.get(call)
        return ""

    async def find(self, call: Call) -> Findings:
        """Look for a call whose answer was lost. Only for `Dedupe.RECONCILE`.

        Raises `ProviderError` when the list can't be asked for, and `Unreadable` when it can't be read.
        """
        raise ProviderError(f"{self.name} can't list predictions")

    async def sold(self, since_ms: int) -> Sold:
        """Return every prediction that was bought with our credentials since then, by whomever, newest first.

        `call_id` is the call that a prediction names, known to us or not, and `marker` says whose it is. What
        can't be read is counted. Raises `ProviderError` when the list can't be had.
        """
        raise ProviderError(f"{self.name} can't list predictions")

    def open(self, output: Output) -> AbstractAsyncContextManager[Download]:
        """Open one output for reading, with the byte cap and deadline of `safefetch`. Raises `FetchError`."""
        if output.data is not None:
            return self.context.fetcher.inline(output.data)
        return self.context.fetcher.open(output.url, trusts=self.trusts, resume=output.resume)

    def trusts(self, url: str) -> bool:
        """Tell whether the URL is at an origin that the operator configured or the provider is known for.

        Such URLs are fetched whatever address they resolve to; all others obey the rules of `safefetch`.
        """
        return False

    def look_again_s(self, elapsed_s: float) -> float:
        """Return the pause before the next look at a call that runs since `elapsed_s`."""
        return min(5.0, max(0.5, elapsed_s / 10))

    async def check(self) -> str:
        """Return a short sentence on its health for `doctor`; raises `ProviderError` when it is down."""
        return "configured"

    async def close(self) -> None:
        """Free connections. Idempotent."""
        return
