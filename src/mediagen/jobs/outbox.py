"""SQL on the outbox of webhooks: take what is due, note how it went."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, update

from mediagen.db.engine import Connection, now_ms
from mediagen.db.tables import webhook_outbox as outbox


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A webhook to be sent."""

    id: str  # the same on every redelivery
    job_id: str
    url: str
    host: str  # with its port
    event: str
    attempts: int  # this one included


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """How far the delivery of a job's end has come."""

    state: str  # pending, delivered, or dead: given up
    attempts: int
    last_status: int | None  # of the answer; None when there was none
    next_at: int | None  # when it is tried again, ms; None unless pending


def of_job(connection: Connection, job_id: str) -> Delivered | None:
    """Return how far the delivery has come; None when there is none."""
    row = connection.execute(select(outbox).where(outbox.c.job_id == job_id)).one_or_none()
    if row is None:
        return None
    next_at = row.next_at if row.state == "pending" else None
    return Delivered(state=row.state, attempts=row.attempts, last_status=row.last_status, next_at=next_at)


def any_due(connection: Connection, but_hosts: Collection[str] = ()) -> bool:
    """Tell whether a delivery is due, without writing anything."""
    query = _due(now_ms(connection), but_hosts, 1)
    return connection.execute(query).first() is not None


def take_due(
    connection: Connection,
    pauses_ms: Sequence[int],
    limit: int,
    *,
    but_hosts: Collection[str] = (),
    room: Callable[[str], int] | None = None,
) -> list[Delivery]:
    """Take deliveries that are due and set when they are due again, should this process die with them.

    Of one host no more are taken than it has `room` for, and none of `but_hosts`.
    """
    now = now_ms(connection)
    due = _due(now, but_hosts, limit).with_for_update(skip_locked=True)
    of_host: Counter[str] = Counter()
    taken = []
    for row in connection.execute(due).all():
        of_host[row.host] += 1
        if room is not None and of_host[row.host] > room(row.host):
            continue
        attempts = row.attempts + 1
        pause_ms = pauses_ms[min(attempts, len(pauses_ms)) - 1]
        connection.execute(
            update(outbox).where(outbox.c.id == row.id).values(attempts=attempts, next_at=now + pause_ms)
        )
        taken.append(
            Delivery(
                id=row.id,
                job_id=row.job_id,
                url=row.url,
                host=row.host,
                event=row.event,
                attempts=attempts,
            )
        )
    return taken


def _due(now: int, but_hosts: Collection[str], limit: int) -> Select[Any]:
    query = select(outbox).where(outbox.c.state == "pending", outbox.c.next_at <= now)
    if but_hosts:
        query = query.where(outbox.c.host.not_in(sorted(but_hosts)))
    return query.order_by(outbox.c.next_at).limit(limit)


def note(connection: Connection, delivery: Delivery, *, status: int | None, state: str) -> None:
    """Note how a delivery went: `delivered`, `pending` (again later) or `dead`."""
    connection.execute(
        update(outbox).where(outbox.c.id == delivery.id).values(last_status=status, state=state)
    )
