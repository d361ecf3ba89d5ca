"""What never paying twice rests on, looked at: the provider's clock, and whether it shows what marks our calls."""

from collections.abc import Sequence
from dataclasses import dataclass

from mediagen.db.engine import Connection, Database, now_ms
from mediagen.jobs import calls, spending, traits
from mediagen.jobs.model import CallRecord
from mediagen.providers.base import Dedupe, Prediction, Provider

OFF_MS = 10_000
"""How far two clocks may be apart before it is told."""

_SHOWN_AFTER_MS = 60_000
_LOOK_BACK_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Concern:
    """An assumption that was seen to fail: what was seen, and what to do."""

    seen: str
    do: str


async def concerns(db: Database, provider: Provider) -> list[Concern]:
    """Return what was seen to fail, where calls are known again by the provider's list. Raises `ProviderError`."""
    if provider.capabilities.dedupe is not Dedupe.RECONCILE:
        return []
    found = [await _clock(db, provider), await _refused(db, provider), await _list(db, provider)]
    return [concern for concern in found if concern is not None]


async def _clock(db: Database, provider: Provider) -> Concern | None:
    theirs, ours = await provider.now_ms(), await db.read(now_ms)
    if theirs is None:
        return Concern(
            seen=f"{provider.name} does not tell the time, or tells different ones",
            do="nothing at once: calls whose answers get lost end as outcome_unknown unless their markers are shown",
        )
    if abs(theirs - ours) < OFF_MS:
        return None
    seconds = abs(theirs - ours) // 1000
    return Concern(
        seen=f"the clock of {provider.name} is {seconds} s {'ahead of' if theirs > ours else 'behind'} the database's",
        do="let a time service set this machine's clock, and that of the database server",
    )


async def _refused(db: Database, provider: Provider) -> Concern | None:
    if provider.name not in await db.read(lambda c: traits.having(c, traits.REFUSES_MARKERS)):
        return None
    return Concern(
        seen=f"{provider.name} refuses calls that carry an address of ours",
        do="set PUBLIC_URL to an address that it can reach",
    )


async def _list(db: Database, provider: Provider) -> Concern | None:
    call = await db.read(lambda c: _newest_marked(c, provider))
    sold = await provider.sold((await db.read(now_ms) if call is None else call.created_at) - _SHOWN_AFTER_MS)
    if call is None:  # it can be read, and that is all there is to see
        return None
    shown = next((each for each in sold.predictions if each.ref == call.provider_ref), None)
    return _judge(provider, call, shown) if sold.whole else None


def _newest_marked(connection: Connection, provider: Provider) -> CallRecord | None:
    """Return a call of the last hour that the list must show by now."""
    now = now_ms(connection)
    taken: Sequence[CallRecord] = spending.charged_since(connection, provider.name, now - _LOOK_BACK_MS)
    old_enough = [call for call in taken if call.marked and call.created_at < now - _SHOWN_AFTER_MS]
    return calls.get(connection, old_enough[-1].id) if old_enough else None


def _judge(provider: Provider, call: CallRecord, shown: Prediction | None) -> Concern | None:
    if shown is None:
        return Concern(
            seen=f"the list of {provider.name} does not show {call.provider_ref}, which it took over a minute ago",
            do="raise RECONCILE_GRACE to the seconds that a new prediction needs to show in the list",
        )
    if shown.marker is None:
        return Concern(
            seen=f"the list of {provider.name} does not show the webhook of its predictions, so not whose they are",
            do="nothing at once: lost calls are told apart by their inputs, or end as outcome_unknown",
        )
    return None
