"""SQL by hand for the path that every submit takes: many jobs in one statement, without a pass over each in Python.

The rows travel as one JSON array, so that the driver gives the interpreter back while the database works.
Measured on SQLite in batches of 64: 11 us a row, against 17 with `executemany` and 60 through SQLAlchemy's.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, TextClause, text

from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.db.tables import job_events, jobs
from mediagen.jobs.model import EventType

_VARYING = (
    "id",
    "owner",
    "provider",
    "model",
    "prompt",
    "parameters",
    "metadata",
    "webhook_url",
    "priority",
    "retry_of",
    "secret",
    "max_attempts",
    "expires_at",
)
"""Columns whose values differ between new jobs; all the others are the same in every row of a batch."""

_SAME = tuple(column.name for column in jobs.c if column.name not in _VARYING)
_JSON_COLUMNS = frozenset(column.name for column in jobs.c if isinstance(column.type, JSON))


def insert_jobs(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of the table `jobs`, and for each the event that it was created."""
    packed = json.dumps([[_plain(name, row[name]) for name in _VARYING] for row in rows])
    into_jobs, into_events = _statements(connection)
    connection.execute(into_jobs, {"rows": packed, **{name: rows[0][name] for name in _SAME}})
    dialect.in_order(connection)
    connection.execute(into_events, {"rows": packed, "at": rows[0]["created_at"]})


def _plain(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _JSON_COLUMNS else value


_prepared: dict[str, tuple[TextClause, TextClause]] = {}  # by the name of the dialect


def _statements(connection: Connection) -> tuple[TextClause, TextClause]:
    name = connection.dialect.name
    if name not in _prepared:
        _prepared[name] = (_into_jobs(connection), _into_events(connection))
    return _prepared[name]


def _into_jobs(connection: Connection) -> TextClause:
    varying = [dialect.from_json(connection, jobs.c[name], idx) for idx, name in enumerate(_VARYING)]
    same = [dialect.given(connection, jobs.c[name]) for name in _SAME]
    return text(  # built from names of columns, no values
        f"INSERT INTO jobs ({', '.join((*_VARYING, *_SAME))}) "  # noqa: S608
        f"SELECT {', '.join((*varying, *same))} FROM {dialect.json_rows(connection)}"
    )


def _into_events(connection: Connection) -> TextClause:
    job_id = dialect.from_json(connection, job_events.c.job_id, 0)
    at = dialect.given(connection, job_events.c.at)
    return text(
        "INSERT INTO job_events (job_id, type, at, data) "  # noqa: S608
        f"SELECT {job_id}, '{EventType.CREATED.value}', {at}, '{{}}' FROM {dialect.json_rows(connection)}"
    )
