"""The spend audit: what a provider sold since a time, minus what the ledger knows, and the other way round.

Both change while they are read. A call is missing only if the ledger had it before the list was read and it
is old enough to be shown there; a prediction is an orphan only if the ledger still does not have it after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mediagen.db.engine import Connection, Database, now_ms
from mediagen.errors import ProviderError
from mediagen.jobs import calls, spending, traits
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
    unsure: Sequence[CallRecord]  # may have been charged; their jobs ended without knowing
    others: Sequence[Prediction]  # sold to another installation with the same account
    unreadable: int  # entries of the provider's list that can't be read

    @property
    def clean(self) -> bool:
        return not (self.orphans or self.missing or self.bought_twice or self.unsure)


async def audit(db: Database, provider: Provider, *, last_ms: int, grace_s: float) -> Audit:
    """Compare what was sold in the last `last_ms` with the ledger; calls younger than the grace are not missed.

    Raises `ProviderError` when the provider can't list what it sold, or not all of it. An entry that can't be read
    is counted, and may be a call that seems to be missing.
    """

    def look(connection: Connection) -> tuple[int, list[CallRecord]]:
        now = now_ms(connection)
        return now, spending.charged_since(connection, provider.name, now - last_ms)

    now, charged = await db.read(look)
    listed = await provider.sold(now - last_ms - SKEW_MS)
    if not listed.whole:
        raise ProviderError(listed.why)
    shown, shown_by = {each.ref for each in listed.predictions}, now - SEND_WITHIN_MS - int(grace_s * 1000)
    found = _Found(
        sold=[each for each in listed.predictions if _is_in_time(each, now - last_ms)],
        charged=charged,
        missing=[call for call in charged if call.created_at < shown_by and call.provider_ref not in shown],
        unreadable=listed.unreadable,
    )
    return await db.read(lambda connection: _compare(connection, provider.name, now - last_ms, found))


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the provider's list and the ledger hold before they are compared."""

    sold: Sequence[Prediction]
    charged: Sequence[CallRecord]
    missing: Sequence[CallRecord]
    unreadable: int


def _is_in_time(prediction: Prediction, since_ms: int) -> bool:
    return prediction.created_at_ms is None or prediction.created_at_ms >= since_ms


def _compare(connection: Connection, provider: str, since_ms: int, found: _Found) -> Audit:
    known = calls.known_refs(connection, provider, [each.ref for each in found.sold])
    unanswered = spending.unanswered(connection, provider)
    own = traits.own_id(connection)
    stray = [each for each in found.sold if each.ref not in known]
    others = [each for each in stray if _is_of_another(each, own)]
    ours = [each for each in stray if not _is_of_another(each, own)]
    return Audit(
        provider=provider,
        since_ms=since_ms,
        sold=len(found.sold),
        charged=len(found.charged),
        orphans=[each for each in ours if not _may_be_one_of(unanswered, each)],
        missing=found.missing,
        bought_twice=spending.bought_twice(connection, provider, since_ms),
        undecided=[each for each in ours if _may_be_one_of(unanswered, each)],
        unsure=spending.unsure(connection, provider, since_ms),
        others=others,
        unreadable=found.unreadable,
    )


def _is_of_another(prediction: Prediction, own: str | None) -> bool:
    """Tell whether another installation bought it; markers of before they named one are ours."""
    marker = prediction.marker
    return marker is not None and bool(marker.installation) and marker.installation != own


def _may_be_one_of(unanswered: Sequence[CallRecord], stray: Prediction) -> bool:
    """Tell whether the prediction names one of these calls, or names none and was made since the first of them."""
    if stray.marker is not None:
        return any(call.id == stray.marker.call for call in unanswered)
    if not unanswered:
        return False
    return stray.created_at_ms is None or stray.created_at_ms >= unanswered[0].created_at - SKEW_MS
