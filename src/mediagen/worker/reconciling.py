"""Finding out whether a call whose answer was lost was bought: adopt it, prove it absent, or say that it is unknown.

A search that found nothing is no proof. The call is absent only when two looks, a grace apart, read the list whole
and nothing in it could be the call (`providers/evidence.py`). What can't be told apart is neither bought again nor
taken: after a while the job ends as `outcome_unknown`, with what was seen.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from mediagen.db.engine import Connection
from mediagen.errors import ProviderError, Unavailable, Unreadable
from mediagen.jobs import calls, spending
from mediagen.jobs.calls import SEND_WITHIN_MS, Acceptance
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.repository import demand_held
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    Findings,
    Prediction,
    Provider,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.likeness import Likeness, compare
from mediagen.worker import endings, patience
from mediagen.worker.ports import Ports
from mediagen.worker.sending import STORAGE_PAUSE_S, accepted, may_send, wait
from mediagen.worker.turns import Next, call_of, live_call, provider_of


class Conclusion(Enum):
    """What a look into the list comes to."""

    OURS = auto()  # adopted: the call was taken
    NOTHING = auto()  # nothing in it can be the call
    OPEN = auto()  # something may be the call, or the list could not be read whole


@dataclass(frozen=True, kw_only=True)
class Concluded:
    """A conclusion, with the prediction that was adopted, or with what stands against one."""

    conclusion: Conclusion
    prediction: Prediction | None = None
    seen: str = ""


async def reconcile(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    """Find out whether a call whose answer was lost was bought."""
    provider = provider_of(ports, job)
    send_by = ports.clock.monotonic() + SEND_WITHIN_MS / 1000  # read before the ledger: rather too early
    record = await ports.db.read(lambda c: live_call(c, job))
    if record.provider_ref is not None:  # a callback told in the meantime
        ports.first_looks.pop(record.id, None)
        return await accepted(ports, provider, job, record, endings.running(record.provider_ref))
    if provider.capabilities.synchronous:
        try:
            kept = await ports.keeper.spooled(record.id)
        except Unavailable:  # an outage of ours is not the job's fault, however long it lasts
            await ports.db.transact(lambda c: endings.look_again(c, job, STORAGE_PAUSE_S))
            return None
        if kept is not None:  # its answer came, and the worker that got it could not write so
            return await accepted(ports, provider, job, record, endings.succeeded(record.id, kept))
    match provider.capabilities.dedupe:
        case Dedupe.KEY:
            return await _join(ports, provider, job, record, send_by)
        case Dedupe.RECONCILE:
            return await _search(ports, provider, job, record)
        case _:
            await ports.db.transact(lambda c: patience.park(c, provider, job, record))
            return None


async def _join(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, send_by: float
) -> Next | None:
    """Send the create again with the same key: it joins the first one, if there is one."""
    call = call_of(ports, provider, job, record)
    outcome = await provider.create(call, send_by=send_by, may_send=may_send(ports, provider, job))
    match outcome:
        case Accepted(prediction=prediction):
            return await accepted(ports, provider, job, record, prediction)
        case Rejected(reason=RejectReason.INVALID | RejectReason.MODERATION):
            await ports.db.transact(lambda c: endings.reject(c, ports, job, record, outcome))
        case Rejected(message=message) | Unknown(message=message):
            await ports.db.transact(lambda c: patience.ask_again(c, ports, provider, job, record, message))
    return None


async def _search(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> Next | None:
    """Look into the provider's list, and go on as far as it proves anything."""
    call = call_of(ports, provider, job, record)
    try:
        findings = await provider.find(call)
    except ProviderError as error:
        message, raw = str(error), error.raw if isinstance(error, Unreadable) else ""
        ports.first_looks.pop(record.id, None)
        await ports.db.transact(lambda c: patience.ask_again(c, ports, provider, job, record, message, raw))
        return None
    concluded = await ports.db.transact(lambda c: conclude_search(c, provider, job, record, findings))
    match concluded.conclusion:
        case Conclusion.OURS:
            assert concluded.prediction is not None
            ports.first_looks.pop(record.id, None)
            # Looked at by itself next: a list may show less of it, such as a part of its outputs.
            return await accepted(ports, provider, job, record, endings.running(concluded.prediction.ref))
        case Conclusion.NOTHING:
            await _not_found(ports, provider, job, record)
        case Conclusion.OPEN:
            ports.first_looks.pop(record.id, None)
            await ports.db.transact(lambda c: patience.left_open(c, ports, job, record, concluded.seen))
    return None


def conclude_search(
    connection: Connection, provider: Provider, job: Job, record: CallRecord, findings: Findings
) -> Concluded:
    """Adopt what is certainly the call, and say what else the list comes to.

    Adopting writes that the call was taken: an opinion, so that it needs the lease.
    """
    demand_held(connection, job.lease)
    for sibling in findings.siblings:
        if sibling.marker is not None:
            calls.recover(connection, job, sibling.marker.call, sibling.ref)
    ours = findings.ours
    if ours is not None:
        if _adopt(connection, record, ours.ref):
            return Concluded(conclusion=Conclusion.OURS, prediction=ours)
        # Its marker proves that the call was taken, whoever was told so by mistake.
        seen = f"{ours.ref} carries its marker, and another call has it"
        return Concluded(conclusion=Conclusion.OPEN, seen=seen)
    may_be_it = unowned(connection, job.provider, findings)
    alike, clear = may_be_it.alike, findings.whole and not may_be_it.doubtful
    if clear and not alike:
        return Concluded(conclusion=Conclusion.NOTHING)
    # What only looks like it is taken when nothing else can be: as many as there are calls that asked for it.
    rivals = _rivals(connection, provider, job, record)
    certain = clear and rivals is not None and len(alike) <= 1 + rivals
    if (
        certain
        and _would_be_unmarked(connection, record, findings)
        and _adopt(connection, record, alike[0].ref)
    ):
        return Concluded(conclusion=Conclusion.OURS, prediction=alike[0])
    return Concluded(conclusion=Conclusion.OPEN, seen=findings.seen or "its list could not be read whole")


def _rivals(connection: Connection, provider: Provider, job: Job, record: CallRecord) -> int | None:
    """Count the other lost calls that asked for just the same; None if one asked for what only looks the same.

    What that one bought could be taken for ours, and ours would be taken for its.
    """
    own = provider.input_of(job.prompt, job.parameters)
    count = 0
    for asked in spending.lost_beside(connection, record):
        other = provider.input_of(asked.prompt, asked.parameters)
        if (other, asked.model) == (own, record.model):
            count += 1
        elif Likeness.EQUAL in (compare(other, own), compare(own, other)):
            return None
    return count


def _would_be_unmarked(connection: Connection, record: CallRecord, findings: Findings) -> bool:
    """Tell whether the call itself would show no marker: else what shows none may well be somebody else's."""
    return not record.marked or spending.were_marked(connection, record.provider, findings.unmarked)


def unowned(connection: Connection, provider: str, findings: Findings) -> Findings:
    """Return the findings without what the ledger knows as another call."""
    refs = [*(each.ref for each in findings.alike), *(ref for ref in findings.doubtful if ref)]
    owned = calls.known_refs(connection, provider, refs)
    return replace(
        findings,
        alike=[each for each in findings.alike if each.ref not in owned],
        doubtful=[ref for ref in findings.doubtful if ref not in owned],
    )


def _adopt(connection: Connection, record: CallRecord, ref: str) -> bool:
    return calls.accept(connection, record.id, ref) is Acceptance.RECORDED


async def _not_found(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> None:
    """Declare the call absent at the second look, by this process's own clock that no jump can fool."""
    now = ports.clock.monotonic()
    remaining_s = ports.first_looks.setdefault(record.id, now) + ports.timing.grace_s - now
    if remaining_s > 0:
        await ports.db.transact(lambda c: endings.look_again(c, job, remaining_s))
        return
    ports.first_looks.pop(record.id, None)
    await ports.db.transact(lambda c: _absent(c, ports, provider, job))


def _absent(connection: Connection, ports: Ports, provider: Provider, job: Job) -> None:
    record = live_call(connection, job, lock=True)
    if record.provider_ref is not None:  # a callback told during the second look
        wait(connection, ports, provider, job, record, endings.running(record.provider_ref))
    else:
        endings.absent(connection, ports, job, record)
