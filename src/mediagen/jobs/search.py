"""Search: which words a job has, and SQL that keeps an index of them and asks it.

The index follows the log of events: a worker's chore reads on from the last event that it saw, so that neither an
accept nor the end of a job waits for it, and jobs of before there was an index come in by themselves. What it has
not seen yet is looked through by hand.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    column,
    insert,
    literal_column,
    select,
    table,
    update,
)

from mediagen.db import dialect
from mediagen.db.engine import Connection
from mediagen.db.tables import job_events, job_texts, jobs
from mediagen.jobs import events, traits
from mediagen.jobs.model import EventType

STEP = 200
"""Events that one step of the index reads."""

_WORDS = 20  # of a query that count
_GRAM = 3  # characters that the index is made of; shorter words are looked for in the rows themselves
_NEWEST = 2_000  # texts that are looked through before PostgreSQL's index is asked
_INDEXED = (EventType.CREATED.value, EventType.FAILED.value)

_job_words = table("job_words", column("rowid"))


def normalized(text: str) -> str:
    """Return the text as it is compared: without case, and one form of characters that look alike (NFKC)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def words_of(query: str) -> Sequence[str]:
    """Return the words that a job must have all of."""
    return normalized(query).split()[:_WORDS]


def text_of(job: Any) -> str:
    """Return what words are looked for in; takes anything with the columns of a job."""
    return normalized("\n".join((job.prompt, job.model, job.id, job.error_code or "")))


# ---------------------------------------------------------------------------------------------- keep the index


def index_step(connection: Connection) -> bool:
    """Read the next events and write the words of their jobs; tell whether there may be more."""
    dialect.in_turn(connection, ["search"])
    last = events.last_id(connection)
    after = indexed_until(connection)
    query = (
        select(job_events.c.id, job_events.c.job_id)
        .where(job_events.c.id > after, job_events.c.type.in_(_INDEXED))
        .order_by(job_events.c.id)
        .limit(STEP)
    )
    found = connection.execute(query).all()
    more = len(found) == STEP
    until = found[-1].id if more else last
    if found:
        _write(connection, list(dict.fromkeys(row.job_id for row in found)))
    if until > after:
        traits.learn(connection, traits.EVERY, traits.INDEXED_UNTIL, str(until))
    return more


def is_current(connection: Connection) -> bool:
    """Tell whether nothing has happened since the index was written."""
    return events.last_id(connection) <= indexed_until(connection)


def _write(connection: Connection, job_ids: Sequence[str]) -> None:
    columns = (jobs.c.id, jobs.c.prompt, jobs.c.model, jobs.c.error_code)
    texts = {
        row.id: text_of(row) for row in connection.execute(select(*columns).where(jobs.c.id.in_(job_ids)))
    }
    is_known = select(job_texts.c.job_id).where(job_texts.c.job_id.in_(job_ids))
    known = set(connection.execute(is_known).scalars())
    rows = [{"of": job_id, "now": texts[job_id]} for job_id in job_ids if job_id in texts]
    changed = [row for row in rows if row["of"] in known]
    new = [{"job_id": row["of"], "text": row["now"]} for row in rows if row["of"] not in known]
    if changed:
        connection.execute(
            update(job_texts)
            .where(job_texts.c.job_id == bindparam("of"), job_texts.c.text != bindparam("now"))
            .values(text=bindparam("now")),
            changed,
        )
    if new:
        connection.execute(insert(job_texts), new)


def indexed_until(connection: Connection) -> int:
    """Return the id of the last event that the index has seen."""
    return int(traits.value_of(connection, traits.EVERY, traits.INDEXED_UNTIL) or 0)


# ---------------------------------------------------------------------------------------------- ask it


def indexed(
    connection: Connection,
    words: Sequence[str],
    conditions: Sequence[ColumnElement[bool]],
    *,
    before: str | None,
    limit: int,
) -> Sequence[str]:
    """Return the ids of indexed jobs with all words that fit conditions on `jobs`, newest first."""
    older: list[ColumnElement[bool]] = []
    if before is not None:
        is_it = select(job_texts.c.id).where(job_texts.c.job_id == before)
        there = connection.execute(is_it).scalar_one_or_none()
        older = [job_texts.c.job_id < before if there is None else job_texts.c.id < there]
    fits = [*older, _fits(job_texts.c.job_id, conditions)]
    if not dialect.is_postgres(connection):
        return connection.execute(_by_words(words, fits).limit(limit)).scalars().all()
    # The planner can't know how many have a word. Words of many are soon found among the newest.
    among_newest = _among_newest(words, older, conditions)
    found = connection.execute(among_newest.limit(limit)).scalars().all()
    if len(found) < limit:
        found = connection.execute(_by_trigrams(words, fits).limit(limit)).scalars().all()
    return found


def _by_words(words: Sequence[str], fits: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Return the query that SQLite's index answers in the order of its rows."""
    grams = [word for word in words if len(word) >= _GRAM]
    if not grams:
        return _newest(job_texts, job_texts.c.id).where(*_contain(job_texts.c.text, words), *fits)
    match = " ".join('"' + word.replace('"', '""') + '"' for word in grams)
    by_hand = _contain(job_texts.c.text, [word for word in words if word not in grams])
    source = _job_words.join(job_texts, job_texts.c.id == _job_words.c.rowid)
    is_match = literal_column("job_words").op("MATCH")(match)
    return _newest(source, _job_words.c.rowid).where(is_match, *by_hand, *fits)


def _among_newest(
    words: Sequence[str], older: Sequence[ColumnElement[bool]], conditions: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    newest = select(job_texts).where(*older).order_by(job_texts.c.id.desc()).limit(_NEWEST).subquery()
    fits = _fits(newest.c.job_id, conditions)
    return select(newest.c.job_id).where(*_contain(newest.c.text, words), fits).order_by(newest.c.id.desc())


def _by_trigrams(words: Sequence[str], fits: Sequence[ColumnElement[bool]]) -> Select[Any]:
    contain = _contain(job_texts.c.text, words)
    having = select(job_texts.c.id).where(*contain).cte("having").prefix_with("MATERIALIZED")
    return _newest(job_texts, job_texts.c.id).where(job_texts.c.id.in_(select(having.c.id)), *fits)


def _newest(source: Any, place: ColumnElement[Any]) -> Select[Any]:
    return select(job_texts.c.job_id).select_from(source).order_by(place.desc())


def _contain(text: ColumnElement[str], words: Sequence[str]) -> list[ColumnElement[bool]]:
    return [text.contains(word, autoescape=True) for word in words]


def _fits(job_id: ColumnElement[str], conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    return select(jobs.c.id).where(jobs.c.id == job_id, *conditions).exists()


def unseen(connection: Connection, words: Sequence[str], limit: int) -> Sequence[str]:
    """Return which of the newest jobs that the index has not seen have all words, newest first."""
    newest = (
        select(job_events.c.id, job_events.c.job_id)
        .where(job_events.c.id > indexed_until(connection), job_events.c.type == EventType.CREATED.value)
        .order_by(job_events.c.id.desc())
        .limit(limit)
        .subquery()
    )
    query = (
        select(jobs.c.id, jobs.c.prompt, jobs.c.model, jobs.c.error_code)
        .join(newest, newest.c.job_id == jobs.c.id)
        .order_by(newest.c.id.desc())
    )
    texts = [(row.id, text_of(row)) for row in connection.execute(query)]
    return [job_id for job_id, text in texts if all(word in text for word in words)]
