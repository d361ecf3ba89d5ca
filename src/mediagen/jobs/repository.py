"""All SQL on jobs. Plain functions over a `Connection`, each a part of one short transaction of the caller.

`transition` is the only code that writes `state`, and `claim` the only code that gives a lease.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import bindparam, insert, select, update

from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared
from mediagen.db.tables import idempotency_keys, jobs, webhook_outbox
from mediagen.errors import LeaseLost
from mediagen.jobs import due, events, gates, hot
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import EventType, Job, JobRequest, Lease
from mediagen.jobs.states import TERMINAL, JobState

_SEIZE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job about to be inserted."""

    id: str
    secret: str
    request: JobRequest
    request_hash: str  # empty without an idempotency key
    max_attempts: int
    expiry_ms: int
    size_bytes: int = 0  # of what the client gave, about
    listed: Mapping[str, Any] | None = None  # what lists show of it, where that is less


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """Jobs that the caller now holds leases of, and when more may be due (None: nothing is known of)."""

    jobs: Sequence[Job]
    next_at: int | None


@dataclass(frozen=True, kw_only=True)
class StoredKey:
    """An idempotency key as it was first used."""

    request_hash: str
    job_id: str


# ---------------------------------------------------------------------------------------------- insert and read


def insert_many(connection: Connection, new_jobs: Sequence[NewJob]) -> list[Job]:
    """Insert jobs, their first events and their idempotency keys; from the commit on they can't be lost."""
    now = now_ms(connection)
    created = [_created(new, now) for new in new_jobs]
    hot.insert_jobs(connection, created)
    keys = [_key_row_of(new, now) for new in new_jobs if new.request.idempotency_key is not None]
    if keys:
        _INSERT_KEYS.insert(connection, keys)
    return created


_INSERT_KEYS = Prepared(insert(idempotency_keys))
_KEYS = Prepared(
    select(idempotency_keys).where(
        idempotency_keys.c.owner == bindparam("owner"),
        idempotency_keys.c.key.in_(bindparam("keys", expanding=True)),
    ),
    lists=("keys",),
)


def keys_of(connection: Connection, owner: str, keys: Sequence[str]) -> dict[str, StoredKey]:
    """Return the idempotency keys that were used already; who brings one of them, too, waits for our commit."""
    if not keys:
        return {}
    dialect.in_turn(connection, (f"{owner}/{key}" for key in keys))
    rows = _KEYS.rows(connection, {"owner": owner, "keys": keys})
    return {row.key: StoredKey(request_hash=row.request_hash, job_id=row.job_id) for row in rows}


_SOME = Prepared(select(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True))), lists=("ids",))


def get(connection: Connection, job_id: str) -> Job | None:
    """Return a job."""
    return get_many(connection, [job_id]).get(job_id)


def get_many(connection: Connection, job_ids: Sequence[str]) -> dict[str, Job]:
    """Return those of the jobs that exist, by id."""
    rows = _SOME.rows(connection, {"ids": job_ids})
    return {row.id: job_of(row) for row in rows}


_WISH = Prepared(select(jobs.c.cancel_requested_at).where(jobs.c.id == bindparam("job_id")))


def cancel_wished(connection: Connection, job_id: str) -> bool:
    """Tell whether a client wants the job stopped, as of now; a worker's copy of the job may be older."""
    return any(wished_at is not None for wished_at in _WISH.scalars(connection, {"job_id": job_id}))


# ---------------------------------------------------------------------------------------------- claim and lease

_HELD = (  # the fence: it lets nobody write but the holder of the lease, as long as it lasts
    jobs.c.id == bindparam("of"),
    jobs.c.lease_epoch == bindparam("epoch"),
    jobs.c.lease_owner == bindparam("by"),
    jobs.c.lease_until > bindparam("now"),
)
_LOOK = Prepared(select(jobs.c.id).where(*_HELD))
_RENEW = Prepared(update(jobs).where(*_HELD))
_MOVE = Prepared(update(jobs).where(*_HELD).returning(jobs.c.webhook_url))


def claim(
    connection: Connection, *, owner: str, limit: int, lease_ms: int, policies: Mapping[str, GatePolicy]
) -> Claimed:
    """Take the leases of up to `limit` due jobs: first those with something bought, then queued ones.

    What was bought for a queued job and came to light late passes the gate: its provider does not keep it for long.
    Of a provider's queued jobs as many are taken as its gate and pauses let through, by priority, then by age. Jobs of
    providers that are not in `policies` are left alone: this process could do nothing for them.
    """
    ids = due.working(connection, list(policies), limit)
    ids += due.bought(connection, list(policies), limit - len(ids))
    next_at: list[int] = []
    for provider in due.providers_with_queued(connection, list(policies)):
        free = limit - len(ids)
        if free <= 0:
            break
        gate = gates.opening(connection, provider, policies[provider])
        if gate.next_at is not None:
            next_at.append(gate.next_at)
        queue = due.Queue(provider=provider, after=policies[provider].accepted_after)
        found, probed_at = queue.unpaused(connection, min(free, gate.slots))
        next_at += probed_at
        found = [job_id for job_id in found if job_id not in ids]
        if found:
            gates.take(connection, provider, len(found), policies[provider])
            ids += found
    if len(ids) < limit:
        next_at += due.next_run_at(connection, list(policies))
    return Claimed(jobs=_lease(connection, ids, owner, lease_ms), next_at=min(next_at, default=None))


_TAKE = Prepared(
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        lease_owner=bindparam("by"),
        lease_until=bindparam("until"),
        lease_epoch=jobs.c.lease_epoch + 1,
        claims=jobs.c.claims + 1,
    )
    .returning(*jobs.c),
    lists=("ids",),
)


def _lease(connection: Connection, ids: Sequence[str], owner: str, lease_ms: int) -> list[Job]:
    if not ids:
        return []
    values = {"ids": ids, "by": owner, "until": now_ms(connection) + lease_ms}
    by_id = {row.id: job_of(row) for row in _TAKE.rows(connection, values)}
    return [by_id[job_id] for job_id in ids]


_SEIZE = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("of"), jobs.c.state == JobState.QUEUED.value)
    .where((jobs.c.lease_until.is_(None)) | (jobs.c.lease_until <= bindparam("now")))
    .values(
        lease_owner=bindparam("by"),
        lease_until=bindparam("until"),
        lease_epoch=jobs.c.lease_epoch + 1,
    )
    .returning(jobs.c.lease_epoch)
)


def seize(connection: Connection, job_id: str, owner: str) -> Lease | None:
    """Take the lease of a queued job that nobody holds, due or not, for one transaction of the caller's."""
    now = now_ms(connection)
    values = {"of": job_id, "by": owner, "now": now, "until": now + _SEIZE_MS}
    taken = _SEIZE.row(connection, values)
    return None if taken is None else Lease(job_id=job_id, owner=owner, epoch=taken.lease_epoch)


def renew(connection: Connection, leases: Sequence[Lease], lease_ms: int) -> set[str]:
    """Prolong leases; return the ids of jobs whose lease is still held. The others are lost for good."""
    now = now_ms(connection)
    held = set()
    for lease in leases:
        values = {**_holder(lease, now), "lease_until": now + lease_ms}
        if _RENEW.changed(connection, values) == 1:
            held.add(lease.job_id)
    return held


# ---------------------------------------------------------------------------------------------- transition


def transition(
    connection: Connection,
    lease: Lease,
    to: JobState,
    *,
    run_at: int | None = None,
    keep_lease: bool = False,
    event: EventType | None = None,
    data: Mapping[str, Any] | None = None,
    **changes: Any,
) -> None:
    """Move a job, as the holder of its lease, and record the event, in the caller's transaction.

    Raises `LeaseLost`, having written nothing, when the lease is no longer held. A move that is not in
    `JOB_MOVES` is refused by the database. `run_at` None means at once. The lease is given back unless
    `keep_lease`; a terminal state always gives it back and queues the job's webhook.
    """
    now = now_ms(connection)
    values: dict[str, Any] = {
        "state": to.value,
        "run_at": now if run_at is None else run_at,
        "updated_at": now,
        "claims": 0,
        **changes,
    }
    if to in TERMINAL:
        values["finished_at"] = now
    if to in TERMINAL or not keep_lease:
        values |= {"lease_owner": None, "lease_until": None}
    row = _MOVE.row(connection, {**_holder(lease, now), **values})
    if row is None:
        raise _lost(lease)
    if event is not None:
        events.append(connection, lease.job_id, event, data or {})
    if to in TERMINAL and row.webhook_url:
        queue_webhook(connection, lease.job_id, row.webhook_url)


def is_held(connection: Connection, lease: Lease) -> bool:
    """Tell whether the lease is still held, by the database's clock."""
    return _LOOK.row(connection, _holder(lease, now_ms(connection))) is not None


def demand_held(connection: Connection, lease: Lease) -> None:
    """Raise `LeaseLost` when the lease is no longer held; for reads that something is sent upon."""
    if not is_held(connection, lease):
        raise _lost(lease)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"Job {lease.job_id} is no longer held by {lease.owner}")


def _holder(lease: Lease, now: int) -> dict[str, Any]:
    return {"of": lease.job_id, "by": lease.owner, "epoch": lease.epoch, "now": now}


_INSERT_WEBHOOK = Prepared(insert(webhook_outbox))


def queue_webhook(connection: Connection, job_id: str, url: str) -> None:
    """Put the delivery of the job's end into the outbox, in the transaction that ends it."""
    row = {
        "id": f"msg_{job_id}",
        "job_id": job_id,
        "url": url,
        "event": "completed",
        "state": "pending",
        "attempts": 0,
        "next_at": now_ms(connection),
        "host": urlsplit(url).netloc.rpartition("@")[2].lower(),
    }
    _INSERT_WEBHOOK.insert(connection, [row])


# ---------------------------------------------------------------------------------------------- rows


KEY_LIFETIME_MS = 7 * 86_400_000
"""How long an idempotency key is kept at least; clients retry within hours."""


def _created(new: NewJob, now: int) -> Job:
    request = new.request
    return Job.of(
        {
            "id": new.id,
            "owner": request.owner,
            "state": JobState.QUEUED,
            "provider": request.provider,
            "model": request.model,
            "prompt": request.prompt,
            "parameters": request.parameters,
            "metadata": request.metadata,
            "webhook_url": request.webhook_url,
            "priority": request.priority,
            "retry_of": request.retry_of,
            "secret": new.secret,
            "run_at": now,
            "attempt": 0,
            "max_attempts": new.max_attempts,
            "tries": 0,
            "claims": 0,
            "lease_epoch": 0,
            "lease_owner": None,
            "lease_until": None,
            "cancel_requested_at": None,
            "expires_at": now + new.expiry_ms,
            "progress": None,
            "note": "",
            "output_count": 0,
            "error_code": None,
            "error_message": None,
            "created_at": now,
            "started_at": None,
            "updated_at": now,
            "finished_at": None,
            "timeout_ms": request.timeout_ms,
            "output": None,
            "listed": new.listed,
        }
    )


def _key_row_of(new: NewJob, now: int) -> dict[str, Any]:
    return {
        "owner": new.request.owner,
        "key": new.request.idempotency_key,
        "request_hash": new.request_hash,
        "job_id": new.id,
        "expires_at": now + KEY_LIFETIME_MS,
    }


_COLUMNS = tuple(column.name for column in jobs.c)


def job_of(row: Iterable[Any]) -> Job:
    """Return the job of a row with all columns, in their order."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["state"] = JobState(values["state"])
    return Job.of(values)
