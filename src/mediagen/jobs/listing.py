"""SQL that lists jobs, page by page, with filters. Large values are cut, so that a page stays a page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Text, case, cast, func, null, select

from mediagen.db.engine import Connection
from mediagen.db.tables import jobs
from mediagen.jobs import brief, search
from mediagen.jobs.model import Job
from mediagen.jobs.repository import job_of
from mediagen.jobs.states import STATES_OF, JobStatus

_UNSEEN = 500  # jobs that the index has not seen and that are looked through all the same


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to list; None means any."""

    owner: str
    status: JobStatus | None = None
    model: str | None = None
    text: str | None = None  # words that it has all of: in its prompt, model, id or error code, in any case
    created_from: int | None = None
    created_to: int | None = None


def page(
    connection: Connection, where: JobFilter, *, before: str | None, limit: int
) -> list[tuple[Job, Sequence[str]]]:
    """Return jobs, newest first, with ids below `before` (keyset: ids rise with time).

    Their large values are cut: with each job come the names of the fields that are shown in part.
    """
    words = search.words_of(where.text or "")
    if words:
        return _search(connection, where, words, before, limit)
    query = select(*_LISTED).where(*_conditions(where)).order_by(jobs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs.c.id < before)
    return [_listed(job_of(row)) for row in connection.execute(query)]


def _search(
    connection: Connection, where: JobFilter, words: Sequence[str], before: str | None, limit: int
) -> list[tuple[Job, Sequence[str]]]:
    """Return jobs that have all words: of those that the index has not seen yet, then of the others."""
    new = list(search.unseen(connection, words, _UNSEEN))
    if before is not None:  # in the order of the events, as the index: ids can be in another one
        new = new[new.index(before) + 1 :] if before in new else []
    found = _these(connection, new, where)[:limit]
    if len(found) < limit:
        missing = limit - len(found)
        ids = search.indexed(connection, words, _conditions(where), before=before, limit=missing)
        found += _these(connection, ids, where)
    return found


def _these(connection: Connection, ids: Sequence[str], where: JobFilter) -> list[tuple[Job, Sequence[str]]]:
    """Return those of the jobs that pass the filter, in this order."""
    if not ids:
        return []
    query = select(*_LISTED).where(jobs.c.id.in_(ids), *_conditions(where))
    rows = {row.id: row for row in connection.execute(query)}
    return [_listed(job_of(rows[job_id])) for job_id in ids if job_id in rows]


def _listed(job: Job) -> tuple[Job, Sequence[str]]:
    if job.listed is not None:
        listed = job.listed
        return replace(job, parameters=listed["parameters"], metadata=listed["metadata"]), listed["cut"]
    cut = [name for name in brief.FIELDS if getattr(job, name) is None]
    if cut:
        job = replace(job, parameters=job.parameters or {}, metadata=job.metadata or {})
    return job, cut


def _small(column: Column[Any]) -> ColumnElement[Any]:
    """Return the column, or NULL where lists show less of it; jobs of before there was `listed` show nothing."""
    is_large = jobs.c.listed.is_not(None) | (func.length(cast(column, Text)) > brief.WHOLE_BYTES)
    return case((is_large, null()), else_=column).label(column.name)


_LISTED = [_small(column) if column.name in brief.FIELDS else column for column in jobs.c]
_LISTED[_LISTED.index(jobs.c.output)] = null().label("output")


def _conditions(where: JobFilter) -> list[ColumnElement[bool]]:
    """Return what the filter asks of a job, but for its words."""
    conditions = [jobs.c.owner == where.owner]
    if where.status is not None:
        conditions.append(jobs.c.state.in_([state.value for state in STATES_OF[where.status]]))
    if where.model is not None:
        conditions.append(jobs.c.model == where.model)
    if where.created_from is not None:
        conditions.append(jobs.c.created_at >= where.created_from)
    if where.created_to is not None:
        conditions.append(jobs.c.created_at < where.created_to)
    return conditions
