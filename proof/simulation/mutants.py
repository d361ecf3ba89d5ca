"""Seeded bugs of the protocol. Each takes one guard away; the simulator must notice within its schedules.

A mutant replaces functions of the product wherever they are bound. What the database's own constraints and
triggers refuse surfaces as a crashed step, and that counts: they are the last net.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import bindparam, func, insert, select, update

from mediagen.db.engine import Connection
from mediagen.db.prepared import Prepared
from mediagen.db.tables import jobs, provider_calls
from mediagen.errors import LeaseLost, MediagenError
from mediagen.jobs import calls, gates, repository
from mediagen.jobs.model import CallRecord, Job, Lease
from mediagen.jobs.repository import transition
from mediagen.jobs.states import LIVE_CALLS, CallState, JobState
from mediagen.providers.base import Accepted, Prediction, PredictionStatus, Provider
from mediagen.worker import endings, steps, store
from mediagen.worker.ports import Ports
from mediagen.worker.steps import Next

Swap = tuple[Any, Any]
"""A function of the product, or the name of a constant in `steps`, and what takes its place."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A bug: its name, what it does wrong, and what it replaces."""

    name: str
    wrong: str
    swaps: Sequence[Swap]


# ---------------------------------------------------------------------------------------------- the bugs


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


def _give_up(connection: Connection, ports: Ports, job: Job, record: CallRecord, message: str) -> None:
    if job.tries < 2:
        _look_failed(connection, ports, job, record, message)
    else:
        endings.lost("provider_unreachable", message)(connection, job, record)


_look_failed = endings.look_failed


def _look_at_once(connection: Connection, *_: object) -> int:
    return endings.later(connection, 0)


async def _one_look(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> None:
    await ports.db.transact(lambda c: steps._absent(c, ports, provider, job))


async def _send_first(ports: Ports, job: Job, _: Prediction | None) -> Next | None:
    provider = steps._provider(ports, job)
    call_id = ports.clock.new_id()
    now = ports.clock.now_ms()
    record = CallRecord(
        id=call_id,
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
    )
    send_by = ports.clock.monotonic() + calls.SEND_WITHIN_MS / 1000
    outcome = await provider.create(steps.call_of(ports, provider, job, record), send_by=send_by)
    record = await ports.db.transact(lambda c: steps._intend(c, ports, job, call_id))
    submitting = replace(job, state=JobState.SUBMITTING)
    return await steps._classify(ports, provider, submitting, record, outcome)


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


async def _adopt_the_first(ports: Ports, provider: Provider, job: Job, record: CallRecord) -> Next | None:
    candidates = await provider.find(steps.call_of(ports, provider, job, record))
    if candidates:
        return await steps._accepted(ports, provider, job, record, candidates[0])
    await steps._not_found(ports, provider, job, record)
    return None


async def _buy_lost_output_again(ports: Ports, job: Job, error: MediagenError, **_: Any) -> None:
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


def _again_without_end(connection: Connection, ports: Ports, job: Job, code: str, message: str) -> JobState:
    endings.back_to_queue(connection, job, 0, reason=message)
    return JobState.QUEUED


def _call_left_open(connection: Connection, ports: Ports, job: Job, record: CallRecord) -> None:
    _again(connection, ports, job)


async def _new_key(
    ports: Ports, provider: Provider, job: Job, record: CallRecord, send_by: float
) -> Next | None:
    again = replace(record, id=ports.clock.new_id())
    await ports.db.transact(lambda c: _replace_call(c, record, again))
    outcome = await provider.create(steps.call_of(ports, provider, job, again), send_by=send_by)
    if isinstance(outcome, Accepted):
        return await steps._accepted(ports, provider, job, again, outcome.prediction)
    await ports.db.transact(lambda c: endings.ask_again(c, ports, job, again, outcome.message))
    return None


def _replace_call(connection: Connection, old: CallRecord, new: CallRecord) -> None:
    calls.settle(connection, old.id, CallState.ABSENT)
    values = {**new.__dict__, "seq": old.seq + 100, "state": new.state.value}
    connection.execute(insert(provider_calls).values(values))


def _blind_retry(connection: Connection, job: Job, record: CallRecord) -> None:
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


def _buy_stopped_again(connection: Connection, job: Job, record: CallRecord) -> JobState:
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


_to_reconciling = steps._to_reconciling

MUTANTS: Mapping[str, Mutant] = {
    mutant.name: mutant
    for mutant in (
        Mutant(
            name="no-fence",
            wrong="a late worker writes as if it still held the lease",
            swaps=[(repository._MOVE, _move_without("by", "epoch", "now"))],
        ),
        Mutant(
            name="no-grace",
            wrong="a lost call is looked for at once, and once",
            swaps=[(steps._first_look_at, _look_at_once), (steps._not_found, _one_look)],
        ),
        Mutant(
            name="one-look",
            wrong="one look, by the wall clock's leave, proves a call absent",
            swaps=[(steps._not_found, _one_look)],
        ),
        Mutant(
            name="no-intent",
            wrong="the create is sent before its intent is committed",
            swaps=[(steps.submit, _send_first)],
        ),
        Mutant(
            name="unknown-unfenced",
            wrong="a worker that lost its lease gives up the live call",
            swaps=[(steps._to_reconciling, _unknown_without_lease)],
        ),
        Mutant(
            name="retry-unknown",
            wrong="a create without an answer is sent again at once",
            swaps=[(steps._to_reconciling, _buy_again_at_once)],
        ),
        Mutant(
            name="send-whenever",
            wrong="a create is sent however old its intent is",
            swaps=[("SEND_WITHIN_MS", 10**9)],
        ),
        Mutant(
            name="ref-rewritten",
            wrong="what was bought is written over what was known",
            swaps=[(calls.accept, _accept_always)],
        ),
        Mutant(
            name="adopt-any",
            wrong="a prediction is adopted that another call has",
            swaps=[(steps._search, _adopt_the_first)],
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
        ),
        Mutant(
            name="no-epoch",
            wrong="the fence asks who holds the lease, not since when",
            swaps=[(repository._MOVE, _move_without("epoch", "now"))],
        ),
        Mutant(
            name="gate-leak",
            wrong="a call that nobody knows the end of is in flight for ever",
            swaps=[(gates._LIVE, _EVER_LIVE)],
        ),
        Mutant(
            name="impatient",
            wrong="a job is given up when looks at what it bought fail",
            swaps=[(endings.look_failed, _give_up)],
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
            swaps=[(steps._join, _new_key)],
        ),
        Mutant(
            name="blind-retry",
            wrong="where nobody can be asked, it is bought again",
            swaps=[(endings.park, _blind_retry)],
        ),
        Mutant(
            name="one-try",
            wrong="a failure that may be tried again ends the job",
            swaps=[(endings._again_or_fail, _first_failure_is_final)],
        ),
        Mutant(
            name="no-spool",
            wrong="the only copy of an output is kept in memory",
            swaps=[(steps._spool, _nothing_spooled)],
        ),
        Mutant(
            name="rebuy-stopped",
            wrong="a prediction that was stopped is bought again",
            swaps=[(endings._stopped, _buy_stopped_again)],
        ),
    )
}

# ---------------------------------------------------------------------------------------------- applying them


@contextmanager
def applied(name: str | None) -> Iterator[None]:
    """Let the product have the bug for as long as the context lasts; None is the product as it is."""
    swaps = MUTANTS[name].swaps if name else ()
    undo = [undo for old, new in swaps for undo in _swap(old, new)]
    try:
        yield
    finally:
        for step in reversed(undo):
            step()


def _swap(old: Any, new: Any) -> list[Callable[[], None]]:
    if isinstance(old, str):
        return [_set(steps, old, new)]
    places = [
        (module, name)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("mediagen.")
        for name, value in vars(module).items()
        if value is old
    ]
    assert places, f"{old!r} is bound nowhere"
    return [_set(module, name, new) for module, name in places] + _swap_step(old, new)


def _set(module: Any, name: str, new: Any) -> Callable[[], None]:
    old = getattr(module, name)
    setattr(module, name, new)
    return lambda: setattr(module, name, old)


def _swap_step(old: Any, new: Any) -> list[Callable[[], None]]:
    table = cast("dict[JobState, Any]", steps.STEPS)
    states = [state for state, step in table.items() if step is old]
    for state in states:
        table[state] = new
    return [lambda state=state: table.__setitem__(state, old) for state in states]  # type: ignore[misc]
