"""Seeded bugs of what is concluded from a provider's answers, and of what is taken to be final."""

from dataclasses import replace
from typing import Any

from mediagen.db.engine import Connection
from mediagen.jobs import calls, spending
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.repository import transition
from mediagen.jobs.states import JobState
from mediagen.providers import evidence
from mediagen.providers.base import Call, Findings, Prediction, PredictionStatus, Provider, always
from mediagen.providers.evidence import Entry
from mediagen.providers.likeness import Likeness, compare
from mediagen.worker import endings, following, ledger, patience, reconciling, recovery, sending, steps, store
from mediagen.worker.ports import Ports
from mediagen.worker.reconciling import Concluded, Conclusion
from proof.simulation import provider as sim
from proof.simulation.faults import Fault as F
from proof.simulation.mutant import Mutant, Named

_conclude_search = reconciling.conclude_search
_intent = sending._intent
_reject = endings.reject
_earlier = calls.earlier


def _nothing_found_is_proof(
    connection: Connection, provider: Provider, job: Job, record: CallRecord, findings: Findings
) -> Concluded:
    concluded = _conclude_search(connection, provider, job, record, findings)
    if concluded.conclusion is Conclusion.OPEN:
        return Concluded(conclusion=Conclusion.NOTHING)
    return concluded


async def _by_our_clock(ports: Ports, provider: Provider, job: Job) -> calls.Intent:
    return replace(await _intent(ports, provider, job), asked_at=ports.clock.now_ms())


def _as_sent(_: sim.SimProvider, call: Call) -> Call:
    return call


def _exactly(sent: Any, shown: Any) -> Likeness:
    return Likeness.EQUAL if sent == shown else Likeness.OTHER


_weigh = evidence.Search._weigh_unmarked


def _without_removed(search: evidence.Search, entry: Entry) -> None:
    if not entry.removed:
        _weigh(search, entry)


def _clocks_are_right(search: evidence.Search, entry: Entry) -> bool:
    return False


def _nothing_contradicts(call: Call, entry: Entry) -> bool:
    return False


def _always_sends(ports: Ports, provider: Provider, job: Job) -> Any:
    return always


def _late_is_not_used(connection: Connection, job_id: str) -> calls.Earlier:
    return replace(_earlier(connection, job_id), late=None)


async def _nothing_is_stopped(ports: Ports, provider: Provider, record: CallRecord, call: Call) -> None:
    await ports.db.transact(lambda c: ledger._lost(c, record, "nobody looked"))


def _marker_is_input(
    connection: Connection, ports: Ports, job: Job, record: CallRecord, outcome: Any
) -> None:
    _reject(connection, ports, job, replace(record, marked=False), outcome)


async def _recovered(ports: Ports, provider: Provider) -> bool:
    return True


async def _gone_at_once(*_: object) -> bool:
    return True


_look = following._look


async def _stopped_as_told(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, call: Call
) -> Prediction:
    prediction = await _look(ports, provider, job, record, call)
    if prediction.ended or job.cancel_requested_at is None:
        return prediction
    return replace(prediction, status=PredictionStatus.CANCELED)


async def _poisoned(ports: Ports, job: Job) -> bool:
    await ports.db.transact(lambda c: endings.fail(c, job, "poisoned", steps.POISONED))
    return True


async def _over_at_once(*_: object) -> bool:
    return True


def _for_ever(connection: Connection, ports: Ports, job: Job, record: CallRecord, seen: str) -> None:
    transition(connection, job.lease, JobState.RECONCILING, run_at=endings.later(connection, 600))


async def _nobody_is_ended(ports: Ports) -> None:
    return None


def _not_left_open(connection: Connection, job_id: str) -> None:
    return None


def _parts_are_dropped(
    connection: Connection, job: Job, prediction: Prediction, code: str, message: str
) -> JobState:
    endings.fail(connection, job, code, message)
    return JobState.FAILED


_LOST_ANSWERS = frozenset({F.ANSWER_LOST, F.ANSWER_502, F.POST_LOST})

EVIDENCE_BUGS = (
    Mutant(
        name="search-proves",
        wrong="a search that found nothing certain proves a call absent",
        swaps=[(reconciling.conclude_search, _nothing_found_is_proof)],
        faults=_LOST_ANSWERS | {F.LIST_CUT, F.LIST_UNREADABLE_ENTRY, F.INPUT_REMOVED},
    ),
    Mutant(
        name="own-clock",
        wrong="the list is cut by our clock",
        swaps=[(sending._intent, _by_our_clock), (Named(sim.SimProvider, "_by_its_clock"), _as_sent)],
        faults=_LOST_ANSWERS | {F.SELLER_CLOCK, F.MARKER_NOT_SHOWN},
    ),
    Mutant(
        name="exact-echo",
        wrong="an input that is shown changed is another one",
        swaps=[(compare, _exactly)],
        faults=_LOST_ANSWERS | {F.ECHO_CHANGED, F.MARKER_NOT_SHOWN},
    ),
    Mutant(
        name="clock-believed",
        wrong="an entry of another time is not the call, though a clock may have been wrong for a while",
        swaps=[(Named(evidence.Search, "_is_near"), _clocks_are_right)],
        faults=_LOST_ANSWERS | {F.SELLER_CLOCK_UNSTEADY, F.MARKER_REFUSED},
    ),
    Mutant(
        name="removed-is-other",
        wrong="what has lost its input is not the call",
        swaps=[(Named(evidence.Search, "_weigh_unmarked"), _without_removed)],
        faults=_LOST_ANSWERS | {F.INPUT_REMOVED, F.MARKER_NOT_SHOWN},
    ),
    Mutant(
        name="answer-believed",
        wrong="a create's answer is taken whatever it shows",
        swaps=[(sim.contradicts, _nothing_contradicts)],
        faults=frozenset({F.ANSWER_OF_ANOTHER}),
    ),
    Mutant(
        name="no-last-look",
        wrong="the lease is not looked at before a send",
        swaps=[(sending.may_send, _always_sends)],
        faults=frozenset({F.SUSPEND}),
    ),
    Mutant(
        name="late-unused",
        wrong="what came to light late is bought again",
        swaps=[(calls.earlier, _late_is_not_used)],
        faults=frozenset({F.ROLLBACK, F.HICCUP}),
    ),
    Mutant(
        name="late-runs-on",
        wrong="what came to light late is neither used nor stopped",
        swaps=[(ledger._follow, _nothing_is_stopped)],
        faults=_LOST_ANSWERS | {F.CANCEL, F.ENDLESS, F.CANCEL_IGNORED, F.CANCEL_FAILS},
    ),
    Mutant(
        name="marker-final",
        wrong="a job ends when its provider takes no markers",
        swaps=[(endings.reject, _marker_is_input)],
        faults=frozenset({F.MARKER_REFUSED}),
    ),
    Mutant(
        name="no-recovery",
        wrong="an older copy of the database buys before it asks",
        swaps=[(recovery.recover, _recovered)],
        faults=frozenset({F.ROLLBACK, F.HICCUP}),
    ),
    Mutant(
        name="gone-at-once",
        wrong="one answer that there is no such prediction ends the job",
        swaps=[(following.gone_for_good, _gone_at_once)],
        faults=frozenset({F.MISTAKEN_404}),
    ),
    Mutant(
        name="cancel-believed",
        wrong="what was told to stop has stopped",
        swaps=[(following._look, _stopped_as_told)],
        faults=frozenset({F.CANCEL, F.ENDLESS, F.CANCEL_IGNORED, F.CANCEL_FAILS}),
    ),
    Mutant(
        name="poisoned-paid",
        wrong="a job that kills its workers fails although it is paid for",
        swaps=[(steps._set_aside, _poisoned)],
        faults=_LOST_ANSWERS | {F.DEADLY},
    ),
    Mutant(
        name="one-check",
        wrong="an output is thrown away at the first check that fails",
        swaps=[(store._is_over, _over_at_once)],
        faults=frozenset({F.OUTPUT_ODD, F.CUT_OFF}),
    ),
    Mutant(
        name="doubt-for-ever",
        wrong="looks for a call that can't be told from others have no end",
        swaps=[(patience.left_open, _for_ever)],
        faults=_LOST_ANSWERS | {F.LIST_UNREADABLE_ENTRY, F.INPUT_REMOVED, F.MARKER_NOT_SHOWN},
    ),
    Mutant(
        name="cancel-waits",
        wrong="a canceled job waits for its provider",
        swaps=[(ledger.end_canceled, _nobody_is_ended)],
        faults=_LOST_ANSWERS | {F.CANCEL, F.ENDLESS, F.CANCEL_IGNORED},
    ),
    Mutant(
        name="never-settled",
        wrong="what a canceled job has bought is not looked at again",
        swaps=[(spending.leave_open, _not_left_open)],
        faults=_LOST_ANSWERS | {F.CANCEL, F.ENDLESS, F.CANCEL_IGNORED},
    ),
    Mutant(
        name="parts-dropped",
        wrong="what was made before a failure is dropped",
        swaps=[(endings._end_badly, _parts_are_dropped)],
        faults=frozenset({F.PARTIAL_OUTPUT, F.FAILURE, F.STOPPED}),
    ),
)
