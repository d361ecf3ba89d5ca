"""Statements that run for every job: written once for both databases, run straight by their drivers.

SQLAlchemy makes the SQL and knows how values are bound and read. That is kept, for it takes SQLAlchemy 50 to 110 us
to run a statement of which SQLite needs 4 to 20, and the driver of PostgreSQL 90.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Protocol, cast

from sqlalchemy import Delete, Dialect, Insert, Select, Update, make_url
from sqlalchemy.exc import DBAPIError

from mediagen.db.dialect import is_postgres, session_of
from mediagen.db.engine import Connection, driver_of

_FORMS = 64  # of one statement that are kept
_FLOAT8 = 701  # PostgreSQL's number for the type; no other type asks for its own

Process = Callable[[Any], Any]
Values = Mapping[str, Any]


class Row(Protocol):
    """What was read: its columns are attributes, in the order of the statement."""

    def _asdict(self) -> dict[str, Any]: ...

    def __iter__(self) -> Any: ...

    def __getattr__(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Form:
    """The SQL of a statement for one set of parameter names, and what is done to values on their way."""

    sql: str
    binds: Sequence[tuple[str, Process | None]]  # in the order of their places
    constants: Values
    expanded: Sequence[tuple[str, Sequence[str]]]  # a list's name, the names of its values
    row: Callable[[Iterable[Any]], Row]
    reads: Sequence[tuple[int, Process]]  # columns that are not read as they come

    def bound(self, values: Values) -> list[Any]:
        known = {**self.constants, **values}
        for name, parts in self.expanded:
            known.update(zip(parts, values[name], strict=True))
        return [known[name] if process is None else process(known[name]) for name, process in self.binds]

    def read(self, found: Sequence[Any]) -> Row:
        if not self.reads:
            return self.row(found)
        columns = list(found)
        for idx, process in self.reads:
            columns[idx] = process(columns[idx])
        return self.row(columns)


class Prepared:
    """A statement of SQLAlchemy's. `lists` are the names of its expanding parameters, which take many values."""

    def __init__(
        self, statement: Select[Any] | Insert | Update | Delete, *, lists: Sequence[str] = ()
    ) -> None:
        self._statement = statement
        self._lists = lists
        self._form = lru_cache(_FORMS)(self._formed)

    def rows(self, connection: Connection, values: Values) -> Sequence[Row]:
        """Run it and return what it selects, or returns of what it wrote.

        As with SQLAlchemy, parameters of an update that are columns and not in its conditions are what is set.
        """
        form = self._form_of(connection, values)
        if is_postgres(connection):
            return [form.read(each) for each in session_of(connection).rows(form.sql, form.bound(values))]
        try:
            found = driver_of(connection).execute(form.sql, form.bound(values)).fetchall()
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, form) from error
        return [form.read(each) for each in found]

    def row(self, connection: Connection, values: Values) -> Row | None:
        """Run it and return the one row that it finds, None when there is none."""
        found = self.rows(connection, values)
        if not found:
            return None
        [row] = found
        return row

    def scalars(self, connection: Connection, values: Values) -> list[Any]:
        """Run it and return the first column of every row."""
        return [value for value, *_ in self.rows(connection, values)]

    def changed(self, connection: Connection, values: Values) -> int:
        """Run it and return how many rows it changed."""
        form = self._form_of(connection, values)
        if is_postgres(connection):
            return session_of(connection).changed(form.sql, form.bound(values))
        try:
            return driver_of(connection).execute(form.sql, form.bound(values)).rowcount
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, form) from error

    def insert(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it once for every row; all have the same columns."""
        form = self._form_of(connection, rows[0])
        if is_postgres(connection):
            session_of(connection).run_each(form.sql, [form.bound(row) for row in rows])
            return
        try:
            driver_of(connection).executemany(form.sql, map(form.bound, rows))
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, form) from error

    def _form_of(self, connection: Connection, values: Values) -> _Form:
        lengths = tuple([len(values[name]) for name in self._lists]) if self._lists else ()
        return self._form(connection.dialect.name, tuple(values), lengths)

    def _formed(self, database: str, names: Sequence[str], lengths: Sequence[int]) -> _Form:
        dialect = _dialect(database)
        compiled = self._statement.compile(
            dialect=dialect, column_keys=sorted(names), for_executemany=isinstance(self._statement, Insert)
        )
        lists = {name: [None] * length for name, length in zip(self._lists, lengths, strict=True)}
        state = compiled.construct_expanded_state({**dict.fromkeys(names), **lists})
        writes = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
        } | dict(state.processors)
        columns = self._statement.exported_columns
        reads = [column.type.dialect_impl(dialect).result_processor(dialect, _FLOAT8) for column in columns]
        return _Form(
            sql=state.statement,
            binds=[(name, writes.get(name)) for name in state.positiontup or ()],
            constants={name: value for name, value in state.parameters.items() if name not in names},
            expanded=[(name, state.parameter_expansion[name]) for name in lists],
            row=_row_of(columns.keys()),
            reads=[(idx, process) for idx, process in enumerate(reads) if process is not None],
        )


@cache
def _dialect(database: str) -> Dialect:
    """Return the dialect of statements whose parameters have places, not names."""
    url, style = {
        "sqlite": ("sqlite://", "qmark"),
        "postgresql": ("postgresql+psycopg://", "format"),
    }[database]
    made: Dialect = cast(Any, make_url(url).get_dialect())(paramstyle=style)
    return made


def _row_of(columns: Iterable[str | None]) -> Callable[[Iterable[Any]], Row]:
    named = namedtuple("Row", [name or "" for name in columns], rename=True)  # type: ignore[misc]
    return cast(Callable[[Iterable[Any]], Row], named._make)


def _as_sqlalchemys(error: sqlite3.Error, form: _Form) -> Exception:
    return cast(Exception, DBAPIError.instance(form.sql, None, error, sqlite3.Error, hide_parameters=True))
