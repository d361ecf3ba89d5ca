"""SQL on leases that are taken from their holders, or that nobody uses any more: of workers that died, and of claims
whose answer got lost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, case, select, update

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import jobs
from mediagen.jobs.model import Lease
from mediagen.jobs.states import JobState

_TAKEN_MS = 60_000


def release_idle(connection: Connection, owner: str, running: Collection[str]) -> None:
    """Free the leases of a worker that it does not use: all but those of the jobs that are running there.

    Claims whose answer got lost and steps that ended for want of a database leave such. They count for nothing.
    """
    idle = (jobs.c.lease_owner == owner, jobs.c.id.not_in(running))
    uncounted = case((jobs.c.claims > 0, jobs.c.claims - 1), else_=0)
    connection.execute(update(jobs).where(*idle).values(lease_owner=None, lease_until=None, claims=uncounted))


def lease_owners(connection: Connection) -> list[str]:
    """Return the names of workers that hold leases, alive or dead."""
    query = select(jobs.c.lease_owner).where(jobs.c.lease_owner.is_not(None)).distinct()
    return list(connection.execute(query).scalars())


_RELEASE = Prepared(
    update(jobs).where(jobs.c.lease_owner == bindparam("by")).values(lease_owner=None, lease_until=None)
)


def release_all(connection: Connection, owner: str) -> int:
    """Free the leases of a worker known to be dead; return how many."""
    return _RELEASE.changed(connection, {"by": owner})


_TAKE_OVER = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("of"), jobs.c.state.in_(bindparam("states", expanding=True)))
    .values(lease_owner=bindparam("by"), lease_until=bindparam("until"), lease_epoch=jobs.c.lease_epoch + 1)
    .returning(jobs.c.lease_epoch, jobs.c.state, jobs.c.attempt),
    lists=("states",),
)


@dataclass(frozen=True, kw_only=True)
class TakenOver:
    """A job whose lease was taken from whoever held it."""

    lease: Lease
    state: JobState
    attempt: int


def take_over(
    connection: Connection, job_id: str, owner: str, states: Sequence[JobState]
) -> TakenOver | None:
    """Take the lease of a job in one of the states from whoever holds it, for one transaction of the caller's."""
    until, among = now_ms(connection) + _TAKEN_MS, [state.value for state in states]
    taken = _TAKE_OVER.row(connection, {"of": job_id, "by": owner, "until": until, "states": among})
    if taken is None:
        return None
    lease = Lease(job_id=job_id, owner=owner, epoch=taken.lease_epoch)
    return TakenOver(lease=lease, state=JobState(taken.state), attempt=taken.attempt)
