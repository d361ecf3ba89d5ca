"""What is asked several times a second is answered from an index, however many jobs and calls there are."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, insert

from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.db.tables import jobs, provider_calls
from mediagen.jobs import due, spending, wishes
from tests.conformance.databases import PROVIDER, Desk

MANY = 2_000
_QUEUED = {"provider": PROVIDER, "since": 1, "now": 1_900_000_000_000, "most": 5}


def _fill(connection: Connection, job: dict[str, Any], call: dict[str, Any]) -> None:
    """Let many jobs wait, and many have ended, with their calls."""
    connection.execute(
        insert(jobs), [{**job, "id": f"waits-{n}", "run_at": job["run_at"] + n} for n in range(MANY)]
    )
    over = {**job, "state": "failed", "error_code": "rejected", "finished_at": 1, "cancel_requested_at": 1}
    connection.execute(insert(jobs), [{**over, "id": f"job-{n}"} for n in range(MANY)])
    ended = {**call, "state": "failed", "due_at": None, "finished_at": 1}
    connection.execute(
        insert(provider_calls),
        [{**ended, "id": f"c-{n}", "job_id": f"job-{n}", "provider_ref": f"r-{n}"} for n in range(MANY)],
    )
    if dialect.is_postgres(connection):  # which does so by itself
        connection.exec_driver_sql("ANALYZE")


def _plan(connection: Connection, ask: Callable[[Connection], object]) -> str:
    """Return how the database finds what is asked for."""
    explain = "EXPLAIN " if dialect.is_postgres(connection) else "EXPLAIN QUERY PLAN "
    found = []
    for sql, values in _statements(connection, ask):
        found.append("\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + sql, values)))
    return "\n".join(found)


def _statements(connection: Connection, ask: Callable[[Connection], object]) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        seen.append((sql, values))

    event.listen(connection, "before_cursor_execute", note)
    try:
        ask(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return seen


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda c: c.execute(spending._IS_DUE._statement, {"now": 1}), "calls_due"),
        (lambda c: c.execute(wishes._UNHEARD._statement, {"wished_by": 1, "most": 1}), "jobs_canceling"),
        (lambda c: c.execute(due._ALL_MODELS[False]._statement, _QUEUED), "jobs_queue"),
        (
            lambda c: c.execute(due._OTHER_MODELS[False]._statement, {**_QUEUED, "but": ["painter"]}),
            "jobs_queue",
        ),
    ],
    ids=["calls to settle", "jobs to cancel", "jobs to buy", "jobs of models that are not paused"],
)
async def test_it_is_answered_from_its_index(
    desk: Desk, ask: Callable[[Connection], object], index: str
) -> None:
    job = await desk.add()
    await desk.call(job)
    everything = await desk.everything()
    [row], [call] = everything["jobs"], everything["provider_calls"]
    named = dict(zip((column.name for column in jobs.c), row, strict=True))
    called = dict(zip((column.name for column in provider_calls.c), call, strict=True))

    def explain(connection: Connection) -> str:
        _fill(connection, named, called)
        return _plan(connection, ask)

    assert index in await desk.db.transact(explain)
