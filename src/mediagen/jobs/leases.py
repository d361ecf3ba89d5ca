"""SQL on leases that nobody uses any more: of workers that died, and of claims whose answer got lost."""

from collections.abc import Collection

from sqlalchemy import bindparam, case, select, update

from mediagen.db.engine import Connection
from mediagen.db.prepared import Prepared
from mediagen.db.tables import jobs


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
