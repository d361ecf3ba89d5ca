"""What a scene is: one fault of the provider, what is done meanwhile, and which ends are right."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proof.evidence.world import World

Act = Callable[["World"], Awaitable[None]]
"""All that is done while the server runs, until the jobs have ended or took too long."""

SETTINGS = {
    "RECONCILE_GRACE": "2",
    "LEASE_S": "5",
    "WORKER_POLL_INTERVAL": "0.2",
    "PROVIDER_CREATES_PER_S": "100",
    "JOB_TIMEOUT": "60",
    "RETRY_BACKOFF_BASE": "0.2",
    "MIN_FREE_BYTES": "0",
    "GONE_AFTER": "3",
    "DOUBT_S": "4",
    "PROVIDER_RETENTION": "60",
    "CANCEL_WITHIN": "2",
    "MARK_CALLS": "true",
}
"""Waits made short; what a version does not know it does not read."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One fault. All figures must be 0, but jobs whose end is one of `fair` count as well ended."""

    name: str
    shows: str
    part: str  # evidence or finality
    act: Act
    faults: Mapping[str, Any] = field(default_factory=dict)  # switches of the fake provider
    settings: Mapping[str, str] = field(default_factory=dict)  # {elsewhere} is the host and port of `file_at`
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of every job
    prompt: str = "picture {number} of {scene}"
    jobs: int
    bound_s: float
    gap_s: float = 0.0  # between two submits
    page_size: int = 100  # of the provider's list
    is_public: bool = False  # whether the provider has an address at which it can ring
    on_postgres: bool = False
    provider: str = "replicate"  # or cog
    file: bytes | None = None  # in place of the picture drawn from the prompt
    fair: frozenset[str] = frozenset()  # error codes or statuses
    audits: bool = False  # whether the audit is looked at
    beyond: bool = False  # beyond what is promised: shown, not judged
    takes_long: bool = False  # run only when named, or with --long
