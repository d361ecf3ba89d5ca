"""SQL on pauses: from which models nothing is bought for a while, and why; at worst from a whole provider.

A pause is kept until something was bought again. Once its time is over, one job at a time goes through as a probe.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, text

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import jobs
from mediagen.db.tables import pauses as table
from mediagen.jobs.states import JobState

EVERY_MODEL = ""
"""In place of a model: the pause is one of the whole provider."""

PROBE_MS = 10_000
"""How long the others wait behind a probe, unless its success lets them go on earlier."""

MOST_MS = 300_000
"""The longest time until the next probe, whatever the provider asks for."""

_FORGOTTEN_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Why nothing is bought, and when the next job probes whether that is over."""

    provider: str
    model: str  # or `EVERY_MODEL`
    until: int
    reason: str
    job_id: str  # that was refused, or probes: another one probes next, if there is another


_OF_PROVIDER = Prepared(select(table).where(table.c.provider == bindparam("provider")))
_BEGIN = text(
    "INSERT INTO pauses (provider, model, until, reason, job_id)"
    " VALUES (:provider, :model, :until, :reason, :job_id)"
    " ON CONFLICT (provider, model) DO UPDATE"
    " SET until = excluded.until, reason = excluded.reason, job_id = excluded.job_id"
    " WHERE pauses.until <= excluded.until OR pauses.job_id = excluded.job_id"  # the probe was refused, too
)
_END = Prepared(
    delete(table)
    .where(table.c.provider == bindparam("name"))
    .where((table.c.model == bindparam("of")) | (table.c.model == EVERY_MODEL))
)


def of_provider(connection: Connection, provider: str) -> Mapping[str, Pause]:
    """Return the pauses of a provider by model, those that wait for a probe among them."""
    found = _OF_PROVIDER.rows(connection, {"provider": provider})
    return {row.model: Pause(**row._asdict()) for row in found}


def begin(
    connection: Connection, provider: str, model: str, *, for_ms: int, reason: str, job_id: str
) -> None:
    """Buy nothing for a while, `MOST_MS` at most; a longer pause that is set already stays, unless this job probed."""
    until = now_ms(connection) + min(for_ms, MOST_MS)
    values = {"provider": provider, "model": model, "until": until, "reason": reason, "job_id": job_id}
    connection.execute(_BEGIN, values)


def probing(connection: Connection, pause: Pause, job_id: str) -> None:
    """Let the others wait while one job probes; if it is refused, the next probe is another one again."""
    connection.execute(
        table.update()
        .where(table.c.provider == pause.provider, table.c.model == pause.model)
        .values(until=now_ms(connection) + PROBE_MS, job_id=job_id)
    )


def end(connection: Connection, provider: str, model: str) -> None:
    """Note that something was bought: neither the model nor its provider is paused any more."""
    _END.changed(connection, {"name": provider, "of": model})


def in_force(connection: Connection) -> list[Pause]:
    """Return the pauses that queued jobs wait for now."""
    waiting = (
        select(jobs.c.id)
        .where(jobs.c.provider == table.c.provider, jobs.c.state == JobState.QUEUED.value)
        .where((table.c.model == EVERY_MODEL) | (jobs.c.model == table.c.model))
    )
    query = select(table).where(waiting.exists()).order_by(table.c.provider, table.c.model)
    return [Pause(**row._asdict()) for row in connection.execute(query)]


_ALL = Prepared(select(table))


def by_model(connection: Connection) -> Mapping[tuple[str, str], Pause]:
    """Return all pauses by provider and model."""
    return {(row.provider, row.model): Pause(**row._asdict()) for row in _ALL.rows(connection, {})}


def behind(found: Mapping[tuple[str, str], Pause], provider: str, model: str) -> Pause | None:
    """Return what a queued job waits for, None when nothing stands in its way."""
    return found.get((provider, EVERY_MODEL)) or found.get((provider, model))


def forget(connection: Connection) -> None:
    """Drop pauses that nobody has probed for long: no job waits for them."""
    connection.execute(delete(table).where(table.c.until < now_ms(connection) - _FORGOTTEN_MS))
