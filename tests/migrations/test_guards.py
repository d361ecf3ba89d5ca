"""The last net below the code: whatever SQL arrives, the database keeps no row that may not be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Executable, RowMapping, create_engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from mediagen.db.engine import sqlite_engine
from mediagen.db.migrate import migrate_sqlite
from mediagen.db.postgres import normalized
from mediagen.db.tables import artifacts, idempotency_keys, jobs, provider_calls, webhook_outbox
from mediagen.jobs.states import CALL_MOVES, JOB_MOVES, LIVE_CALLS, TERMINAL, CallState, JobState
from tests.fakes.servers import KINDS, database_url

JOB: Mapping[str, Any] = {
    "id": "job-1",
    "owner": "local",
    "state": "waiting",
    "provider": "painter",
    "model": "a/b",
    "prompt": "a fox",
    "parameters": {},
    "metadata": {},
    "priority": 0,
    "secret": "s",
    "run_at": 0,
    "attempt": 1,
    "max_attempts": 3,
    "tries": 0,
    "claims": 0,
    "lease_epoch": 5,
    "expires_at": 100,
    "note": "",
    "output_count": 0,
    "created_at": 0,
    "updated_at": 0,
}
ENDED = {"state": "succeeded", "finished_at": 9, "output_count": 1}
CALL: Mapping[str, Any] = {
    "id": "call-1",
    "job_id": "job-1",
    "seq": 1,
    "provider": "painter",
    "model": "a/b",
    "state": "accepted",
    "provider_ref": "ref-1",
    "created_at": 0,
    "send_by": 5,
    "deadline_at": 60,
}
ARTIFACT: Mapping[str, Any] = {
    "key": "file.png",
    "job_id": "job-1",
    "idx": 0,
    "sha256": "0",
    "size_bytes": 1,
    "media_type": "image/png",
    "kind": "image",
    "thumbnail": "pending",
    "created_at": 0,
}
DELIVERY: Mapping[str, Any] = {
    "id": "msg-1",
    "job_id": "job-1",
    "url": "https://example.com",
    "event": "completed",
    "state": "pending",
    "attempts": 0,
    "next_at": 0,
}
KEY: Mapping[str, Any] = {
    "owner": "local",
    "key": "k",
    "request_hash": "h",
    "job_id": "job-1",
    "expires_at": 9,
}


@pytest.fixture(scope="module", params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    file = tmp_path_factory.mktemp("guards") / "jobs.db"
    with database_url(request.param) as url:
        if not url:
            migrate_sqlite(file)
        own = {"isolation_level": "AUTOCOMMIT"}
        engine = create_engine(normalized(url), **own) if url else sqlite_engine(file, writes=True)
        yield engine
        engine.dispose()


def begin(connection: Connection) -> None:
    """Begin a write transaction."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN")


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is never kept."""
    with engine.connect() as connection:
        begin(connection)
        yield connection
        connection.exec_driver_sql("ROLLBACK")


def refusal(connection: Connection, statement: Executable) -> str:
    """Try one statement; return why it was refused, empty when it was carried out."""
    connection.exec_driver_sql("SAVEPOINT try")
    try:
        connection.execute(statement)
    except IntegrityError as error:
        connection.exec_driver_sql("ROLLBACK TO try")
        return str(error.orig).partition("\n")[0]
    return ""


def job(**changes: Any) -> Executable:
    return insert(jobs).values(**{**JOB, **changes})


def call(**changes: Any) -> Executable:
    return insert(provider_calls).values(**{**CALL, **changes})


def set_job(**changes: Any) -> Executable:
    return update(jobs).values(**changes)


def set_call(**changes: Any) -> Executable:
    return update(provider_calls).where(provider_calls.c.id == "call-1").values(**changes)


# ---------------------------------------------------------------------------------------------- every move


@pytest.mark.parametrize("to", JobState)
@pytest.mark.parametrize("state", JobState)
def test_a_job_moves_as_the_table_of_moves_allows_and_not_otherwise(
    connection: Connection, state: JobState, to: JobState
) -> None:
    fits_any = {"output_count": 1, "error_code": "x", "cancel_requested_at": 1}
    connection.execute(job(state=state.value, finished_at=9 if state in TERMINAL else None, **fits_any))
    moved = refusal(connection, set_job(state=to.value, finished_at=9 if to in TERMINAL else None))
    allowed = to is state or to in JOB_MOVES[state]
    assert bool(moved) is not allowed
    assert not moved or moved in ("jobs: illegal transition", "jobs: a finished job is immutable")


NEEDS_REF = set(CallState) - {CallState.INTENT, CallState.UNKNOWN, CallState.REJECTED, CallState.ABSENT}


@pytest.mark.parametrize("to", CallState)
@pytest.mark.parametrize("state", CallState)
def test_a_call_moves_as_the_table_of_moves_allows_and_not_otherwise(
    connection: Connection, state: CallState, to: CallState
) -> None:
    connection.execute(call(state=state.value, provider_ref="ref-1" if state in NEEDS_REF else None))
    moved = refusal(connection, set_call(state=to.value, provider_ref="ref-1" if to in NEEDS_REF else None))
    allowed = to is state or to in CALL_MOVES[state]
    assert bool(moved) is not allowed
    assert not moved or moved in (
        "provider_calls: illegal transition",
        "provider_calls: provider_ref is write-once",
    )


# ---------------------------------------------------------------------------------------------- illegal writes

LEASED = {"lease_owner": "w1", "lease_until": 30}
SECOND = {"id": "call-2", "seq": 2}

ILLEGAL: Mapping[str, Sequence[Executable]] = {
    "a state that nobody knows": [job(state="running")],
    "more attempts than allowed": [job(attempt=4)],
    "a negative number of attempts": [job(state="queued", attempt=-1)],
    "a job without any attempt": [job(state="queued", attempt=0, max_attempts=0)],
    "attempts without end": [job(max_attempts=26)],
    "a lease without an end": [job(lease_owner="w1")],
    "a lease without an owner": [job(lease_until=30)],
    "an end without its time": [job(state="succeeded", output_count=1)],
    "the time of an end without the end": [job(finished_at=9)],
    "a finished job in somebody's hands": [job(**ENDED, **LEASED)],
    "success without an output": [job(state="succeeded", finished_at=9)],
    "failure without a code": [job(state="failed", finished_at=9)],
    "cancellation that nobody asked for": [job(state="canceled", finished_at=9)],
    "waiting for what was never bought": [job(attempt=0)],
    "storing what was never bought": [job(state="storing", attempt=0)],
    "more than the whole": [job(progress=1.01)],
    "less than nothing": [job(progress=-0.01)],
    "a job twice": [job(), job()],
    "a job without a prompt": [job(prompt=None)],
    "a lease epoch that goes back": [job(), set_job(lease_epoch=4)],
    "an attempt that goes back": [job(state="queued"), set_job(attempt=0)],
    "a lease taken without a new epoch": [job(), set_job(**LEASED)],
    "a lease taken over without a new epoch": [job(**LEASED), set_job(lease_owner="w2")],
    "another prompt": [job(), set_job(prompt="an owl")],
    "another secret": [job(), set_job(secret="t")],
    "another id": [job(), set_job(id="job-2")],
    "a finished job queued again": [job(**ENDED), set_job(state="queued", finished_at=None)],
    "a finished job that ends otherwise": [job(**ENDED), set_job(state="failed", error_code="x")],
    "a finished job with other outputs": [job(**ENDED), set_job(output_count=2)],
    "a finished job with another attempt": [job(**ENDED), set_job(attempt=2)],
    "a finished job that ended at another time": [job(**ENDED), set_job(finished_at=10)],
    "a finished job that is taken": [job(**ENDED), set_job(lease_epoch=6, **LEASED)],
    "bought again instead of fetched again": [job(state="storing"), set_job(state="queued")],
    "a call in a state that nobody knows": [call(state="sent")],
    "a call taken without a ref": [call(provider_ref=None)],
    "a ref before anything was sent": [call(state="intent")],
    "a ref of a call that was refused": [call(state="rejected")],
    "a ref of a call that never was": [call(state="absent")],
    "a call twice": [call(), call(seq=2, state="failed", provider_ref="ref-2")],
    "two live calls of one job": [call(), call(**SECOND, state="intent", provider_ref=None)],
    "two successes of one job": [
        call(state="succeeded"),
        call(**SECOND, state="succeeded", provider_ref="ref-2"),
    ],
    "a prediction of two calls": [call(), call(**SECOND, job_id="job-2")],
    "a number of two calls": [call(state="failed"), call(id="call-2", provider_ref="ref-2")],
    "another ref": [call(), set_call(provider_ref="ref-2")],
    "a ref forgotten": [call(state="unknown"), set_call(provider_ref=None)],
    "a call handed to another job": [call(), set_call(job_id="job-2")],
    "a call renamed": [call(), set_call(id="call-9")],
    "an artifact without a job": [insert(artifacts).values(ARTIFACT)],
    "an empty artifact": [job(), insert(artifacts).values({**ARTIFACT, "size_bytes": 0})],
    "two artifacts of one output": [
        job(),
        insert(artifacts).values(ARTIFACT),
        insert(artifacts).values({**ARTIFACT, "key": "other.png"}),
    ],
    "a thumbnail that nobody knows of": [job(), insert(artifacts).values({**ARTIFACT, "thumbnail": "maybe"})],
    "a job deleted under its artifacts": [job(), insert(artifacts).values(ARTIFACT), jobs.delete()],
    "two deliveries of one event": [
        insert(webhook_outbox).values(DELIVERY),
        insert(webhook_outbox).values({**DELIVERY, "id": "msg-2"}),
    ],
    "a delivery that nobody knows of": [insert(webhook_outbox).values({**DELIVERY, "state": "sent"})],
    "a key of two requests": [insert(idempotency_keys).values(KEY), insert(idempotency_keys).values(KEY)],
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_the_database_refuses(connection: Connection, name: str) -> None:
    *before, illegal = ILLEGAL[name]
    for statement in before:
        connection.execute(statement)
    assert refusal(connection, illegal)


LEGAL: Mapping[str, Sequence[Executable]] = {
    "a wish to cancel on a finished job": [job(**ENDED), set_job(cancel_requested_at=10, note="late")],
    "a lease with a new epoch": [job(), set_job(lease_epoch=6, **LEASED)],
    "a lease prolonged": [job(**LEASED), set_job(lease_until=60)],
    "a lease given back": [job(**LEASED), set_job(lease_owner=None, lease_until=None)],
    "a second call after the first": [
        call(state="failed"),
        call(**SECOND, state="intent", provider_ref=None),
    ],
    "a ref told later": [call(state="unknown", provider_ref=None), set_call(provider_ref="ref-1")],
    "the same ref told again": [call(), set_call(provider_ref="ref-1")],
    "calls without refs": [
        call(state="absent", provider_ref=None),
        call(**SECOND, state="rejected", provider_ref=None),
    ],
}


@pytest.mark.parametrize("name", LEGAL)
def test_the_database_allows(connection: Connection, name: str) -> None:
    assert [refusal(connection, statement) for statement in LEGAL[name]] == [""] * len(LEGAL[name])


# ---------------------------------------------------------------------------------------------- any write at all

SMALL = st.integers(-1, 4)
MAYBE = st.none() | SMALL
WORDS = st.sampled_from(["", "a", "b", None])
JOB_UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from([*JobState, "running", None]),
        "attempt": SMALL,
        "max_attempts": SMALL,
        "lease_epoch": SMALL,
        "lease_owner": WORDS,
        "lease_until": MAYBE,
        "cancel_requested_at": MAYBE,
        "finished_at": MAYBE,
        "output_count": SMALL,
        "error_code": WORDS,
        "progress": st.sampled_from([None, -0.5, 0.0, 0.5, 1.0, 2.0]),
        "prompt": WORDS,
        "secret": WORDS,
    },
)
CALL_UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from([*CallState, "sent", None]),
        "provider_ref": st.sampled_from([None, "r1", "r2"]),
        "job_id": st.sampled_from(["job-1", "job-2", None]),
        "seq": st.integers(1, 2),
    },
)
UPDATES = st.lists(
    st.tuples(st.just("job"), JOB_UPDATES) | st.tuples(st.sampled_from(["call-1", "call-2"]), CALL_UPDATES),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(updates=UPDATES)
def test_no_sequence_of_arbitrary_updates_reaches_a_row_that_may_not_be(
    engine: Engine, updates: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    with engine.connect() as connection:
        begin(connection)
        connection.execute(job(state="queued", attempt=0, lease_epoch=0))
        connection.execute(call(state="intent", provider_ref=None))
        connection.execute(call(**SECOND, state="rejected", provider_ref=None))
        for target, changes in updates:
            _try(connection, target, changes)
        connection.exec_driver_sql("ROLLBACK")


def _try(connection: Connection, target: str, changes: Mapping[str, Any]) -> None:
    if not changes:
        return
    if target == "job":
        before = connection.execute(select(jobs)).mappings().one()
        refusal(connection, set_job(**changes))
        after = connection.execute(select(jobs)).mappings().one()
        assert _wrong_with_job(after) + _wrong_with_job_change(before, after) == []
        return
    rows = select(provider_calls).order_by(provider_calls.c.id)
    before_all = connection.execute(rows).mappings().all()
    refusal(connection, update(provider_calls).where(provider_calls.c.id == target).values(**changes))
    after_all = connection.execute(rows).mappings().all()
    for before, after in zip(before_all, after_all, strict=True):
        assert _wrong_with_call_change(before, after) == []
    assert _wrong_with_calls(after_all) == []


def _wrong_with_job(row: RowMapping) -> list[str]:
    state = JobState(row["state"])
    rules = {
        "attempts": 0 <= row["attempt"] <= row["max_attempts"] and 1 <= row["max_attempts"] <= 25,
        "lease": (row["lease_owner"] is None) == (row["lease_until"] is None),
        "end": (state in TERMINAL) == (row["finished_at"] is not None),
        "leased end": state not in TERMINAL or row["lease_owner"] is None,
        "output": state is not JobState.SUCCEEDED or row["output_count"] > 0,
        "code": state is not JobState.FAILED or row["error_code"] is not None,
        "wish": state is not JobState.CANCELED or row["cancel_requested_at"] is not None,
        "paid": row["attempt"] >= 1 or state.value in ("queued", "submitting", "failed", "canceled"),
        "progress": row["progress"] is None or 0 <= row["progress"] <= 1,
    }
    return [name for name, holds in rules.items() if not holds]


def _wrong_with_job_change(before: RowMapping, after: RowMapping) -> list[str]:
    state, to = JobState(before["state"]), JobState(after["state"])
    frozen = ("state", "finished_at", "output_count", "attempt")
    taken = after["lease_owner"] is not None and after["lease_owner"] != before["lease_owner"]
    rules = {
        "move": to is state or to in JOB_MOVES[state],
        "counters": after["lease_epoch"] >= before["lease_epoch"] and after["attempt"] >= before["attempt"],
        "request": all(after[name] == before[name] for name in ("id", "prompt", "secret")),
        "fence": not taken or after["lease_epoch"] > before["lease_epoch"],
        "final": state not in TERMINAL or all(after[name] == before[name] for name in frozen),
    }
    return [name for name, holds in rules.items() if not holds]


def _wrong_with_call_change(before: RowMapping, after: RowMapping) -> list[str]:
    state, to = CallState(before["state"]), CallState(after["state"])
    rules = {
        "move": to is state or to in CALL_MOVES[state],
        "ref": before["provider_ref"] in (None, after["provider_ref"]),
        "job": before["job_id"] == after["job_id"],
    }
    return [name for name, holds in rules.items() if not holds]


def _wrong_with_calls(rows: Sequence[RowMapping]) -> list[str]:
    states = [CallState(row["state"]) for row in rows]
    refs = [row["provider_ref"] for row in rows if row["provider_ref"] is not None]
    untaken = (CallState.INTENT, CallState.REJECTED, CallState.ABSENT)
    rules = {
        "one live": sum(state in LIVE_CALLS for state in states) <= 1,
        "one success": states.count(CallState.SUCCEEDED) <= 1,
        "one ref": len(refs) == len(set(refs)),
        "one seq": len({row["seq"] for row in rows}) == len(rows),
        "taken": all(row["provider_ref"] for row, s in zip(rows, states, strict=True) if s in NEEDS_REF),
        "untaken": not any(row["provider_ref"] for row, s in zip(rows, states, strict=True) if s in untaken),
    }
    return [name for name, holds in rules.items() if not holds]
