"""The spend audit: what a provider sold since a time, minus what the ledger knows, and the other way round.

Both change while they are read. A call is missing only if the ledger had it before the list was read and it
is old enough to be shown there; a prediction is an orphan only if the ledger still does not have it after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mediagen.db.engine import Connection, Database, now_ms
from mediagen.errors import ProviderError
from mediagen.jobs import calls
from mediagen.jobs.calls import SEND_WITHIN_MS
from mediagen.jobs.model import CallRecord
from mediagen.providers.base import Prediction, Provider

SKEW_MS = 60_000
"""How far the provider's clock may differ from the database's."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What one provider sold since a time, beside what the ledger knows of it."""

    provider: str
    since_ms: int
    sold: int  # predictions in the provider's list
    charged: int  # calls in the ledger that the provider took
    orphans: Sequence[Prediction]  # sold, and no call of the ledger is, or can still turn out to be, this one
    missing: Sequence[CallRecord]  # in the ledger, and not in the list
    bought_twice: Sequence[Sequence[CallRecord]]  # the calls of each job that was bought again without need
    undecided: Sequence[Prediction]  # as yet unknown, but perhaps one of the calls whose answer is still out
    unreadable: int = 0  # entries of the list that could not be read, and may be anybody's

    @property
    def clean(self) -> bool:
        return not (self.orphans or self.missing or self.bought_twice)


async def audit(db: Database, provider: Provider, *, last_ms: int, grace_s: float) -> Audit:
    """Compare what was sold in the last `last_ms` with the ledger; calls younger than the grace are not missed.

    Raises `ProviderError` when the provider can't list what it sold, or not all of it. An entry that can't be read
    is counted, and may be a call that seems to be missing.
    """

    def look(connection: Connection) -> tuple[int, list[CallRecord]]:
        now = now_ms(connection)
        return now, calls.charged_since(connection, provider.name, now - last_ms)

    now, charged = await db.read(look)
    listed = await provider.sold(now - last_ms - SKEW_MS)
    if not listed.whole:
        raise ProviderError(listed.why)
    shown, shown_by = {each.ref for each in listed.predictions}, now - SEND_WITHIN_MS - int(grace_s * 1000)
    missing = [call for call in charged if call.created_at < shown_by and call.provider_ref not in shown]
    sold = [
        each
        for each in listed.predictions
        if each.created_at_ms is None or each.created_at_ms >= now - last_ms
    ]
    found = await db.read(
        lambda connection: _compare(connection, provider.name, now - last_ms, sold, charged, missing)
    )
    return replace(found, unreadable=listed.unreadable)


def _compare(
    connection: Connection,
    provider: str,
    since_ms: int,
    sold: Sequence[Prediction],
    charged: Sequence[CallRecord],
    missing: Sequence[CallRecord],
) -> Audit:
    known = calls.known_refs(connection, provider, [each.ref for each in sold])
    unanswered = calls.unanswered(connection, provider)
    stray = [each for each in sold if each.ref not in known]
    return Audit(
        provider=provider,
        since_ms=since_ms,
        sold=len(sold),
        charged=len(charged),
        orphans=[each for each in stray if not _may_be_one_of(unanswered, each)],
        missing=missing,
        bought_twice=calls.bought_twice(connection, provider, since_ms),
        undecided=[each for each in stray if _may_be_one_of(unanswered, each)],
    )


def _may_be_one_of(unanswered: Sequence[CallRecord], stray: Prediction) -> bool:
    """Tell whether the prediction names one of these calls, or names none and was made since the first of them."""
    if stray.call_id is not None:
        return any(call.id == stray.call_id for call in unanswered)
    if not unanswered:
        return False
    return stray.created_at_ms is None or stray.created_at_ms >= unanswered[0].created_at - SKEW_MS
