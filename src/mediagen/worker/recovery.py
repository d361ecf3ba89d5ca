"""What a worker does before it buys for the first time: find out whether its database is an older copy.

A backup that was put back, or a standby that took over, does not know of what was bought since. The provider's list
does: the marker of each prediction names our installation, its job and its call. What the ledger lacks is written
into it, and the job goes on with that instead of buying again.
"""

from contextlib import suppress

import structlog

from mediagen.db.engine import Connection, now_ms
from mediagen.errors import MediagenError, ProviderError
from mediagen.jobs import calls, repository, spending, traits, wishes
from mediagen.jobs.assumptions import concerns
from mediagen.providers.base import Dedupe, Prediction, Provider
from mediagen.worker.ports import Ports

log = structlog.get_logger(__name__)

_MARGIN_MS = 900_000
"""How long before the newest call that the ledger knows the list is read: clocks differ."""

_UNSURE_MS = 93_600_000
"""How much earlier where it is not known what clock predictions are dated by: local times differ by 26 hours."""


def needs_recovery(provider: Provider) -> bool:
    """Tell whether what was sold can be known from the provider alone."""
    return provider.capabilities.dedupe is Dedupe.RECONCILE and provider.capabilities.billed


def begin(connection: Connection, provider: Provider) -> None:
    """Note from when on something may have been bought that the ledger lacks.

    To be written before anything new is bought: that would look as if the ledger knew all until then.
    """
    known = traits.value_of(connection, provider.name, traits.UNRECOVERED_SINCE)
    since = _since(connection, provider)
    if since is not None and (known is None or since < int(known)):
        traits.learn(connection, provider.name, traits.UNRECOVERED_SINCE, str(since))


async def recover(ports: Ports, provider: Provider) -> bool:
    """Write what the ledger lacks into it; return False while the provider can't be asked."""
    name, trait = provider.name, traits.UNRECOVERED_SINCE
    known = await ports.db.read(lambda c: traits.value_of(c, name, trait))
    if known is None:
        return True
    if not await _recover_since(ports, provider, int(known)):
        return False
    await ports.db.transact(lambda c: traits.forget(c, name, trait, known))
    return True


async def _recover_since(ports: Ports, provider: Provider, since: int) -> bool:
    try:
        sold = await provider.sold(await _by_its_clock(ports, provider, since))
    except ProviderError as error:
        log.warning("recovery.provider_unreachable", provider=provider.name, reason=str(error))
        return False
    ours = [each for each in sold.predictions if _is_ours(ports, each)]
    found = await ports.db.transact(lambda c: _write(c, provider, ours)) if ours else 0
    if found:
        log.warning("recovery.found", provider=provider.name, calls=found)
    if not sold.whole:  # what it does not show may have been bought for the jobs that wait
        log.warning("recovery.list_incomplete", provider=provider.name, reason=sold.why)
        return False
    with suppress(MediagenError):
        for concern in await concerns(ports.db, provider):
            log.warning("provider.assumption_fails", provider=provider.name, seen=concern.seen, do=concern.do)
    return True


async def _by_its_clock(ports: Ports, provider: Provider, since: int) -> int:
    """Return the time by the provider's clock; much earlier where its predictions may be dated by another one."""
    theirs, ours = await provider.now_ms(), await ports.db.read(now_ms)
    ahead_ms = 0 if theirs is None else theirs - ours
    is_sure = theirs is not None and provider.dated_by_its_clock
    return since + ahead_ms - (0 if is_sure else _UNSURE_MS)


def _since(connection: Connection, provider: Provider) -> int | None:
    """Return from when on something may have been bought that the ledger lacks; None when no job could be concerned."""
    oldest = spending.oldest_open(connection, provider.name)
    if oldest is None:
        return None
    newest = spending.newest_taken(connection, provider.name)
    return min(now_ms(connection), oldest if newest is None else newest) - _MARGIN_MS


def _is_ours(ports: Ports, prediction: Prediction) -> bool:
    return prediction.marker is not None and prediction.marker.installation == ports.marks.installation


def _write(connection: Connection, provider: Provider, ours: list[Prediction]) -> int:
    known = calls.known_refs(connection, provider.name, [each.ref for each in ours])
    jobs = repository.get_many(connection, [each.marker.job for each in ours if each.marker])
    found = 0
    for prediction in ours:
        marker = prediction.marker
        job = jobs.get(marker.job) if marker else None
        if marker is None or job is None or job.finished or prediction.ref in known:
            continue
        found += calls.recover(connection, job, marker.call, prediction.ref)
        wishes.ring(connection, job.id, came_late=True)
    return found
