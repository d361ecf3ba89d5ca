"""SQL on the gates of providers: how many paid calls may start now, shared by all workers.

A gate is a rate limit (GCRA: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm) and a bound of calls in flight.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, text, update

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared, Row
from mediagen.db.tables import jobs, provider_calls, provider_gates
from mediagen.jobs.states import LIVE_CALLS, JobState


@dataclass(frozen=True, kw_only=True)
class GatePolicy:
    """How fast and how many calls may go to one provider."""

    creates_per_s: float
    max_in_flight: int | None = None
    accepted_after: int | None = None  # only jobs whose first event is newer are bought for; None: all

    @property
    def interval_ms(self) -> float:
        return 1000 / self.creates_per_s

    @property
    def burst(self) -> int:
        """Calls that may start at once after a quiet second."""
        return max(1, int(self.creates_per_s))


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How many calls may start now; if none, when to look again."""

    slots: int
    next_at: int | None = None


def opening(connection: Connection, provider: str, policy: GatePolicy) -> Opening:
    """Return how many calls may start now."""
    now = now_ms(connection)
    gate = _gate(connection, provider)
    debt_ms = max(0, gate.next_free_at - now)
    slots = int((policy.burst * policy.interval_ms - debt_ms) / policy.interval_ms)
    if slots < 1:
        return Opening(slots=0, next_at=now + int(debt_ms - (policy.burst - 1) * policy.interval_ms) + 1)
    if policy.max_in_flight is not None:
        slots = min(slots, policy.max_in_flight - _in_flight(connection, provider))
    return Opening(slots=max(0, slots))


_TAKE = Prepared(update(provider_gates).where(provider_gates.c.provider == bindparam("name")))


def take(connection: Connection, provider: str, calls: int, policy: GatePolicy) -> None:
    """Note that `calls` calls start now."""
    now = now_ms(connection)
    gate = _gate(connection, provider)
    free_at = max(now, gate.next_free_at) + int(calls * policy.interval_ms)
    _TAKE.changed(connection, {"name": provider, "next_free_at": free_at})


_ENSURE = text(
    "INSERT INTO provider_gates (provider, next_free_at, paused_until, pause_reason, failures) "
    "VALUES (:provider, 0, 0, '', 0) ON CONFLICT (provider) DO NOTHING"
)


_GATE = Prepared(
    select(provider_gates).where(provider_gates.c.provider == bindparam("provider")).with_for_update()
)


def _gate(connection: Connection, provider: str) -> Row:
    """Return the gate, locked so that claims of several workers go through it one after the other.

    It is made where it is missing: a row that is not there can't be locked.
    """
    values = {"provider": provider}
    gate = _GATE.row(connection, values)
    if gate is None:
        connection.execute(_ENSURE, values)
        [gate] = _GATE.rows(connection, values)
    return gate


_LIVE = Prepared(
    select(func.count())
    .select_from(provider_calls.join(jobs, jobs.c.id == provider_calls.c.job_id))
    .where(provider_calls.c.provider == bindparam("provider"))
    .where(provider_calls.c.state.in_([state.value for state in LIVE_CALLS]))
    .where(jobs.c.finished_at.is_(None))  # a call that nobody will ever know more of must not shut the gate
)
_CLAIMED = Prepared(
    select(func.count()).where(
        jobs.c.provider == bindparam("provider"),
        jobs.c.state == JobState.QUEUED.value,
        jobs.c.lease_until > bindparam("now"),
    )
)


def _in_flight(connection: Connection, provider: str) -> int:
    """Count the calls that may be at work, and the jobs that a worker has claimed to buy but not yet called for."""
    [live] = _LIVE.scalars(connection, {"provider": provider})
    [claimed] = _CLAIMED.scalars(connection, {"provider": provider, "now": now_ms(connection)})
    return int(live + claimed)
