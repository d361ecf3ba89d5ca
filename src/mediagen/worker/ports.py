"""What steps may use of the world. They await nothing else, so that a simulator can drive them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mediagen.artifacts.model import Artifact
from mediagen.clock import Clock
from mediagen.db.engine import Database, Transaction
from mediagen.errors import Unavailable
from mediagen.jobs.model import CallRecord
from mediagen.jobs.retry import Backoff
from mediagen.jobs.states import CallState
from mediagen.providers import Registry
from mediagen.providers.base import Call, Prediction, Provider
from mediagen.providers.markers import Marker
from mediagen.ranges import Resume
from mediagen.safefetch import Download

T = TypeVar("T")
_DB_PAUSE_S = 0.5


class Keeper(Protocol):
    """The part of the artifact service that steps use."""

    async def ingest(self, job_id: str, secret: str, idx: int, download: Download) -> Artifact: ...

    async def resume(self, job_id: str, secret: str, idx: int) -> bool: ...

    async def begun(self, secret: str, idx: int) -> Resume | None: ...

    async def spool(self, call_id: str, outputs: "list[bytes]") -> None: ...

    async def spooled(self, call_id: str) -> list[bytes] | None: ...

    async def unspool(self, call_id: str) -> None: ...


Look = Callable[[Provider, Call], Awaitable[Prediction]]
"""Look at an accepted call; looks that come at the same time may share one request."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The waits of the protocol, in seconds."""

    job_timeout_s: float  # that the making may take, counted from the provider's start
    long_timeout_s: float | None = None  # the same for models that make video or sound; None: no other
    model_timeouts_s: Mapping[str, float] = field(default_factory=dict)  # by model's name
    grace_s: float  # between the two looks that prove a lost call absent
    settle_s: float = 5.0  # after `send_by`, until a sent create has arrived or never will (TCP_USER_TIMEOUT)
    queue_s: float = 1_800.0  # that a prediction may wait at its provider before it is started
    gone_s: float = 600.0  # that "no such prediction" must last before it is believed
    doubt_s: float = 600.0  # after which a lost call that can't be told from others ends as unknown
    cancel_s: float = 8.0  # from the wish to cancel to the end of a job whose provider does not stop


@dataclass(frozen=True, kw_only=True)
class Marks:
    """How creates carry what makes them known again."""

    installation: str  # 16 hexadecimal digits
    address: Callable[[str, Marker], str | None]  # of a provider's marker; None: creates carry none
    heard: bool = False  # whether providers can reach that address, and call back there
    at: str = ""  # what all addresses begin with
    since: dict[str, int] = field(default_factory=dict)  # by `at`: when the first call was sent with it
    refused_by: set[str] = field(default_factory=set)  # names of providers that take no such address
    dated: dict[str, bool] = field(
        default_factory=dict
    )  # by provider: `Provider.dated_by_its_clock` as it is kept

    def carried_by(self, record: CallRecord, marker: Marker) -> str | None:
        """Return the address that a call carries; None for none, and where it is not known any more.

        Whether a provider shows addresses may hang on where they lead.
        """
        is_older = record.state is CallState.UNKNOWN and record.created_at < self.since.get(self.at, 0)
        return self.address(record.provider, marker) if record.marked and not is_older else None


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything outside that a step touches."""

    db: Database
    clock: Clock
    providers: Registry
    keeper: Keeper
    look: Look
    backoff: Backoff
    timing: Timing
    marks: Marks
    first_looks: dict[str, float] = field(default_factory=dict)  # call id -> monotonic time, of this process


async def insist(ports: Ports, fn: Transaction[T]) -> T:
    """Write a fact that must not be lost: try until the database takes it."""
    while True:
        try:
            return await ports.db.transact(fn)
        except Unavailable:
            await ports.clock.sleep(_DB_PAUSE_S)
