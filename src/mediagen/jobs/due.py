"""SQL that finds the jobs that are due: a worker asks several times a second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, literal, select

from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared, Row
from mediagen.db.tables import job_events, jobs
from mediagen.db.tables import provider_calls as calls
from mediagen.jobs import pauses
from mediagen.jobs.model import EventType
from mediagen.jobs.pauses import Pause
from mediagen.jobs.states import CallState, JobState

WORKING = (JobState.SUBMITTING, JobState.RECONCILING, JobState.WAITING, JobState.STORING)
"""States whose jobs have something bought or about to be: they go before new ones."""

_NOW = bindparam("now", type_=jobs.c.run_at.type)
_PROVIDERS = bindparam("providers", expanding=True, type_=jobs.c.provider.type)
_LIMIT = bindparam("most", type_=jobs.c.priority.type)

_UNLEASED_DUE = (
    jobs.c.finished_at.is_(None),
    jobs.c.run_at <= _NOW,
    # A lease that has run out belongs to a worker that is dead, or late and fenced off.
    (jobs.c.lease_until.is_(None)) | (jobs.c.lease_until <= _NOW),
)
_QUEUED = jobs.c.state == JobState.QUEUED.value

_WORKING = Prepared(
    select(jobs.c.id)
    .where(*_UNLEASED_DUE)
    # Literals, as a list of plain values is expanded anew every time that SQLAlchemy executes the statement.
    .where(jobs.c.state.in_([literal(state.value) for state in WORKING]), jobs.c.provider.in_(_PROVIDERS))
    .order_by(jobs.c.run_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True),  # PostgreSQL: workers claim side by side; SQLite has one writer
    lists=("providers",),
)
_CAME_LATE = Prepared(
    select(jobs.c.id)
    .where(_QUEUED, *_UNLEASED_DUE)
    .where(jobs.c.provider.in_(_PROVIDERS))
    .where(
        jobs.c.id.in_(
            select(calls.c.job_id).where(
                calls.c.due_at.is_not(None), calls.c.state == literal(CallState.ORPHAN.value)
            )
        )
    )
    .order_by(jobs.c.run_at)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True),
    lists=("providers",),
)
_WITH_QUEUED = Prepared(
    select(jobs.c.provider).where(_QUEUED, *_UNLEASED_DUE).where(jobs.c.provider.in_(_PROVIDERS)).distinct(),
    lists=("providers",),
)
_OF_PROVIDER = (
    select(jobs.c.id, jobs.c.model)
    .where(_QUEUED, jobs.c.provider == bindparam("provider"))
    .where(*_UNLEASED_DUE)
    .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
    .limit(_LIMIT)
)
_IS_NEW = select(job_events.c.id).where(  # by numbers that only rise: a clock may be set back
    job_events.c.job_id == jobs.c.id,
    job_events.c.type == literal(EventType.CREATED.value),
    job_events.c.id > bindparam("after", type_=job_events.c.id.type),
)
_BUT_MODELS = jobs.c.model.not_in(bindparam("but", expanding=True, type_=jobs.c.model.type))
_OF_MODEL = jobs.c.model == bindparam("model", type_=jobs.c.model.type)
_NOT_JOB = jobs.c.id != bindparam("refused", type_=jobs.c.id.type)


def _queue(*conditions: ColumnElement[bool], lists: Sequence[str] = ()) -> Mapping[bool, Prepared]:
    """Return the statement that finds queued jobs, and the one that finds those alone that are new."""
    query = _OF_PROVIDER.where(*conditions)
    return {
        False: Prepared(query.with_for_update(skip_locked=True), lists=lists),
        True: Prepared(query.where(_IS_NEW.exists()).with_for_update(skip_locked=True, of=jobs), lists=lists),
    }


_ALL_MODELS = _queue()
_OTHER_MODELS = _queue(_BUT_MODELS, lists=("but",))
_ONE_MODEL = _queue(_OF_MODEL)
_ONE_MODEL_ANOTHER = _queue(_OF_MODEL, _NOT_JOB)
_OTHER_MODELS_ANOTHER = _queue(_BUT_MODELS, _NOT_JOB, lists=("but",))
_NEXT = Prepared(
    select(func.min(jobs.c.run_at)).where(
        jobs.c.finished_at.is_(None),
        jobs.c.run_at > _NOW,
        jobs.c.lease_until.is_(None),
        jobs.c.provider.in_(_PROVIDERS),
    ),
    lists=("providers",),
)


def working(connection: Connection, providers: Sequence[str], limit: int) -> list[str]:
    """Return the ids of due jobs with something bought, those that wait longest first, locked."""
    values = {"now": now_ms(connection), "providers": providers, "most": limit}
    return _WORKING.scalars(connection, values)


def bought(connection: Connection, providers: Sequence[str], limit: int) -> list[str]:
    """Return the ids of due queued jobs that go on with what came to light late: nothing is to be bought, locked."""
    values = {"now": now_ms(connection), "providers": providers, "most": limit}
    return _CAME_LATE.scalars(connection, values) if limit > 0 else []


def providers_with_queued(connection: Connection, providers: Sequence[str]) -> list[str]:
    """Return those of the providers that have due jobs with nothing bought yet."""
    values = {"now": now_ms(connection), "providers": providers}
    return sorted(_WITH_QUEUED.scalars(connection, values))


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The queued jobs of a provider, by priority, then by age. With `after`, only those accepted after that event."""

    provider: str
    after: int | None = None

    def unpaused(self, connection: Connection, limit: int) -> tuple[list[str], list[int]]:
        """Return the ids of up to `limit` due jobs that may be bought, locked, and when paused models are probed.

        Of a paused model, or provider, one job goes through once its pause is over: another one than was refused,
        if there is one.
        """
        if limit < 1:
            return [], []
        paused = dict(pauses.of_provider(connection, self.provider))
        if not paused:
            return [row.id for row in self._run(connection, _ALL_MODELS, limit)], []
        now = now_ms(connection)
        whole = paused.pop(pauses.EVERY_MODEL, None)
        if whole is not None and whole.until > now:
            return [], [whole.until]
        shut = {model: pause.until for model, pause in paused.items() if pause.until > now}
        if whole is not None:
            return self._probe_whole(connection, whole, paused, list(shut)), list(shut.values())
        found: list[str] = []
        for model, pause in paused.items():
            if model not in shut and len(found) < limit:
                found += self._probe(connection, pause)
        if len(found) < limit:
            others = self._run(connection, _OTHER_MODELS, limit - len(found), but=list(paused))
            found += [row.id for row in others]
        return found, list(shut.values())

    def _probe(self, connection: Connection, pause: Pause) -> list[str]:
        found = self._run(connection, _ONE_MODEL_ANOTHER, 1, refused=pause.job_id, model=pause.model)
        found = found or self._run(connection, _ONE_MODEL, 1, model=pause.model)
        for row in found:
            pauses.probing(connection, pause, row.id)
        return [row.id for row in found]

    def _probe_whole(
        self, connection: Connection, whole: Pause, paused: Mapping[str, Pause], shut: Sequence[str]
    ) -> list[str]:
        but = shut or [pauses.EVERY_MODEL]  # no job has that model
        found = self._run(connection, _OTHER_MODELS_ANOTHER, 1, refused=whole.job_id, but=but)
        found = found or self._run(connection, _OTHER_MODELS, 1, but=but)
        for row in found:
            pauses.probing(connection, whole, row.id)
            if row.model in paused:
                pauses.probing(connection, paused[row.model], row.id)
        return [row.id for row in found]

    def _run(
        self, connection: Connection, form: Mapping[bool, Prepared], limit: int, **values: Any
    ) -> Sequence[Row]:
        asked = {"now": now_ms(connection), "provider": self.provider, "most": limit, **values}
        if self.after is not None:
            asked["after"] = self.after
        return form[self.after is not None].rows(connection, asked)


def next_run_at(connection: Connection, providers: Sequence[str]) -> list[int]:
    """Return when the next job falls due, if there is one."""
    values = {"now": now_ms(connection), "providers": providers}
    return [at for at in _NEXT.scalars(connection, values) if at is not None]
