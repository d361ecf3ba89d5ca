"""Seeded bugs of the submit protocol. Each takes one guard away."""

from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from mediagen.db import clock_steps
from mediagen.db.engine import Connection
from mediagen.db.prepared import Prepared
from mediagen.db.tables import jobs, provider_calls
from mediagen.errors import LeaseLost, MediagenError, ProviderError
from mediagen.jobs import calls, gates, repository
from mediagen.jobs.model import CallRecord, Job, Lease
from mediagen.jobs.repository import transition
from mediagen.jobs.states import LIVE_CALLS, CallState, JobState
from mediagen.providers.base import Accepted, Findings, Prediction, PredictionStatus, Provider
from mediagen.worker import endings, patience, reconciling, sending, store, turns
from mediagen.worker.ports import Ports
from mediagen.worker.reconciling import Concluded, Conclusion
from mediagen.worker.turns import Next
from proof.simulation.faults import Fault as F
from proof.simulation.mutant import Mutant, Named

RECORDED = calls.Acceptance.RECORDED


def _move_without(*names: str) -> Prepared:
    """Return the statement that moves a job, without a part of the fence: its values are taken and not compared."""
    fence = {"by": jobs.c.lease_owner, "epoch": jobs.c.lease_epoch, "now": jobs.c.lease_until}
    kept = [fence[name] == bindparam(name) for name in fence if name not in names]
    ignored = [bindparam(name).is_not(None) for name in names]
    move = update(jobs).where(jobs.c.id == bindparam("of"), *kept, *ignored)
    return Prepared(move.returning(jobs.c.webhook_url))


_EVER_LIVE = Prepared(
    select(func.count()).where(
        provider_calls.c.provider == bindparam("provider"),
        provider_calls.c.state.in_([state.value for state in LIVE_CALLS]),
    )
)


def _give_up(
    connection: Connection,
    ports: Ports,
    provider: Provider,
    job: Job,
    record: CallRecord,
    error: ProviderError,
) -> None:
    if job.tries < 2:
        _look_failed(connection, ports, provider, job, record, error)
    else:
        endings.lost("provider_unreachable", str(error))(connection, job, record)


_look_failed = patience.look_failed


def _look_at_once(connection: Connection, *_: object) -> int:
    return endings.later(connection, 0)


async def _one_look(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> None:
    await ports.db.transact(lambda c: reconciling._absent(c, ports, provider, job))


async def _send_first(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    provider = turns.provider_of(ports, job)
    intent = await sending._intent(ports, provider, job)
    now = ports.clock.now_ms()
    record = CallRecord(
        id=intent.call_id,
        job_id=job.id,
        seq=1,
        provider=job.provider,
        model=job.model,
        state=CallState.INTENT,
        provider_ref=None,
        created_at=now,
        send_by=now,
        deadline_at=now,
        finished_at=None,
        cost_micros=None,
        error=None,
        marked=intent.marked,
    )
    send_by = ports.clock.monotonic() + calls.SEND_WITHIN_MS / 1000
    outcome = await provider.create(turns.call_of(ports, provider, job, record), send_by=send_by)
    begun = await ports.db.transact(lambda c: sending._begin(c, ports, provider, job, intent))
    submitting = replace(job, state=JobState.SUBMITTING)
    return await sending._classify(ports, provider, submitting, begun.record, outcome)


def _again(connection: Connection, ports: Ports, job: Job) -> None:
    endings._again_or_fail(connection, ports, job, "provider_error", "there is no answer")


def _buy_again_at_once(
    connection: Connection, ports: Ports, provider: Provider, job: Job, record: CallRecord, message: str
) -> None:
    calls.settle(connection, record.id, CallState.ABSENT, error=message)
    endings._again_or_fail(connection, ports, job, "provider_error", message)


def _accept_always(connection: Connection, call_id: str, ref: str) -> calls.Acceptance:
    values = {"state": CallState.ACCEPTED.value, "provider_ref": ref}
    connection.execute(update(provider_calls).where(provider_calls.c.id == call_id).values(values))
    return calls.Acceptance.RECORDED


def _adopt_the_first(
    connection: Connection, provider: Provider, job: Job, record: CallRecord, findings: Findings
) -> Concluded:
    refs = [each.ref for each in findings.alike] + [ref for ref in findings.doubtful if ref]
    if findings.ours is None and refs and calls.accept(connection, record.id, refs[0]) is RECORDED:
        return Concluded(conclusion=Conclusion.OURS, prediction=endings.running(refs[0]))
    return _conclude_search(connection, provider, job, record, findings)


_conclude_search = reconciling.conclude_search


async def _buy_lost_output_again(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, error: MediagenError
) -> None:
    await ports.db.transact(lambda c: endings.back_to_queue(c, job, 0, reason=str(error)))


_conclude = endings.conclude


def _cancel_beats_success(
    connection: Connection, ports: Ports, job: Job, record: CallRecord, prediction: Prediction
) -> JobState:
    if job.cancel_requested_at is None or prediction.status is not PredictionStatus.SUCCEEDED:
        return _conclude(connection, ports, job, record, prediction)
    calls.settle(connection, record.id, CallState.SUCCEEDED)
    endings.cancel(connection, job)
    return JobState.CANCELED


def _attempts_not_counted(connection: Connection, lease: Lease, to: JobState, **more: Any) -> None:
    if "attempt" in more:
        more["attempt"] = 1
    transition(connection, lease, to, **more)


def _again_without_end(
    connection: Connection, ports: Ports, job: Job, code: str, message: str, *, for_good: bool = False
) -> JobState:
    endings.back_to_queue(connection, job, 0, reason=message)
    return JobState.QUEUED


def _call_left_open(connection: Connection, ports: Ports, job: Job, record: CallRecord) -> None:
    _again(connection, ports, job)


async def _new_key(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, send_by: float
) -> Next | None:
    again = replace(record, id=ports.clock.new_id())
    await ports.db.transact(lambda c: _replace_call(c, record, again))
    outcome = await provider.create(turns.call_of(ports, provider, job, again), send_by=send_by)
    if isinstance(outcome, Accepted):
        return await sending.accepted(ports, provider, job, again, outcome.prediction)
    await ports.db.transact(lambda c: patience.ask_again(c, ports, provider, job, again, outcome.message))
    return None


def _replace_call(connection: Connection, old: CallRecord, new: CallRecord) -> None:
    calls.settle(connection, old.id, CallState.ABSENT)
    values = {**new.__dict__, "seq": old.seq + 100, "state": new.state.value}
    connection.execute(insert(provider_calls).values(values))


def _blind_retry(connection: Connection, _: Provider, job: Job, record: CallRecord) -> None:
    calls.settle(connection, record.id, CallState.ABSENT)
    if job.attempt >= job.max_attempts:
        endings.fail(connection, job, "gave_up", "there is no answer")
    else:
        endings.back_to_queue(connection, job, 0, reason="there is no answer")


def _first_failure_is_final(
    connection: Connection, ports: Ports, job: Job, code: str, message: str
) -> JobState:
    endings.fail(connection, job, code, message)
    return JobState.FAILED


async def _nothing_spooled(
    _ports: Ports, _provider: Provider, _record: CallRecord, prediction: Prediction
) -> Prediction:
    return prediction


def _buy_stopped_again(connection: Connection, job: Job, record: CallRecord, _: Prediction) -> JobState:
    calls.settle(connection, record.id, CallState.CANCELED)
    if job.attempt >= job.max_attempts or job.cancel_requested_at is not None:
        endings.fail(connection, job, "stopped", "it was stopped")
        return JobState.FAILED
    endings.back_to_queue(connection, job, 0, reason="it was stopped")
    return JobState.QUEUED


def _unknown_without_lease(
    connection: Connection, ports: Ports, provider: Provider, job: Job, record: CallRecord, message: str
) -> None:
    try:
        with connection.begin_nested():
            _to_reconciling(connection, ports, provider, job, record, message)
    except LeaseLost:
        calls.settle(connection, record.id, CallState.ABSENT, error=message)


_to_reconciling = sending._to_reconciling


def _not_moved(*_: object) -> None:
    return None


PROTOCOL_BUGS = (
    Mutant(
        name="no-fence",
        wrong="a late worker writes as if it still held the lease",
        swaps=[(repository._MOVE, _move_without("by", "epoch", "now"))],
    ),
    Mutant(
        name="clock-not-followed",
        wrong="nothing that is stored is moved when the clock is set",
        swaps=[(clock_steps.move, _not_moved)],
        faults=frozenset({F.CLOCK_JUMP, F.OWN_CLOCK_WRONG, F.FETCH_FAILS, F.LOOK_FAILS}),
    ),
    Mutant(
        name="no-grace",
        wrong="a lost call is looked for at once, and once",
        swaps=[(sending._first_look_at, _look_at_once), (reconciling._not_found, _one_look)],
    ),
    Mutant(
        name="one-look",
        wrong="one look, by the wall clock's leave, proves a call absent",
        swaps=[(reconciling._not_found, _one_look)],
        faults=frozenset({F.ANSWER_LOST, F.ANSWER_502, F.POST_LATE, F.LIST_LATE, F.CLOCK_JUMP}),
    ),
    Mutant(
        name="no-intent",
        wrong="the create is sent before its intent is committed",
        swaps=[(sending.submit, _send_first)],
    ),
    Mutant(
        name="unknown-unfenced",
        wrong="a worker that lost its lease gives up the live call",
        swaps=[(sending._to_reconciling, _unknown_without_lease)],
    ),
    Mutant(
        name="retry-unknown",
        wrong="a create without an answer is sent again at once",
        swaps=[(sending._to_reconciling, _buy_again_at_once)],
    ),
    Mutant(
        name="send-whenever",
        wrong="a create is sent however old its intent is",
        swaps=[
            (Named(sending, "SEND_WITHIN_MS"), 10**9),
            (Named(reconciling, "SEND_WITHIN_MS"), 10**9),
        ],
    ),
    Mutant(
        name="ref-rewritten",
        wrong="what was bought is written over what was known",
        swaps=[(calls.accept, _accept_always)],
    ),
    Mutant(
        name="adopt-any",
        wrong="whatever may be the call is taken for it",
        swaps=[(reconciling.conclude_search, _adopt_the_first)],
    ),
    Mutant(
        name="rebuy-output",
        wrong="an output that can't be fetched is bought again",
        swaps=[(store._again_or_give_up, _buy_lost_output_again)],
    ),
    Mutant(
        name="cancel-wins",
        wrong="a wish to cancel throws away what has succeeded",
        swaps=[(endings.conclude, _cancel_beats_success)],
        faults=frozenset({F.CANCEL, F.HOOK_LOST, F.HOOK_LATE, F.SLOW}),
    ),
    Mutant(
        name="no-epoch",
        wrong="the fence asks who holds the lease, not since when",
        swaps=[(repository._MOVE, _move_without("epoch", "now"))],
        faults=frozenset({F.FREEZE, F.TAKEN_FOR_DEAD, F.ANSWER_LOST, F.ANSWER_LATE, F.CRASH}),
    ),
    Mutant(
        name="gate-leak",
        wrong="a call that nobody knows the end of is in flight for ever",
        swaps=[(gates._LIVE, _EVER_LIVE)],
    ),
    Mutant(
        name="impatient",
        wrong="a job is given up when looks at what it bought fail",
        swaps=[(patience.look_failed, _give_up)],
    ),
    Mutant(
        name="attempts-free",
        wrong="attempts are not counted",
        swaps=[(transition, _attempts_not_counted), (endings._again_or_fail, _again_without_end)],
    ),
    Mutant(
        name="call-left-open",
        wrong="a job is queued again while its lost call is open",
        swaps=[(endings.absent, _call_left_open)],
    ),
    Mutant(
        name="new-key",
        wrong="a lost create is sent again with another key",
        swaps=[(reconciling._join, _new_key)],
    ),
    Mutant(
        name="blind-retry",
        wrong="where nobody can be asked, it is bought again",
        swaps=[(patience.park, _blind_retry)],
    ),
    Mutant(
        name="one-try",
        wrong="a failure that may be tried again ends the job",
        swaps=[(endings._again_or_fail, _first_failure_is_final)],
    ),
    Mutant(
        name="no-spool",
        wrong="the only copy of an output is kept in memory",
        swaps=[(sending._spool, _nothing_spooled)],
    ),
    Mutant(
        name="rebuy-stopped",
        wrong="a prediction that was stopped is bought again",
        swaps=[(endings._stopped, _buy_stopped_again)],
    ),
)
