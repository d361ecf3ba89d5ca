"""Statements that run for every job: written once for both databases, run on SQLite straight by its driver.

SQLAlchemy makes the SQL and knows how values are bound and read. On SQLite that is kept, for it takes SQLAlchemy
50 to 110 us to run a statement of which the database needs 4 to 20. On PostgreSQL, where the round trip costs
more, every execution is SQLAlchemy's.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from mediagen.db.dialect import is_postgres
from mediagen.db.engine import Connection, driver_of

_DIALECT = sqlite.dialect()
_FORMS = 64  # of one statement that are kept

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
    binds: Sequence[tuple[str, Process | None]]  # in the order of the question marks
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
        if is_postgres(connection):
            return cast(Sequence[Row], connection.execute(self._statement, values).all())
        form = self._form_of(values)
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
        if is_postgres(connection):
            return connection.execute(self._statement, values).rowcount
        form = self._form_of(values)
        try:
            return driver_of(connection).execute(form.sql, form.bound(values)).rowcount
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, form) from error

    def insert(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it once for every row; all have the same columns."""
        if is_postgres(connection):
            connection.execute(self._statement, rows)
            return
        form = self._form_of(rows[0])
        try:
            driver_of(connection).executemany(form.sql, map(form.bound, rows))
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, form) from error

    def _form_of(self, values: Values) -> _Form:
        lengths = tuple([len(values[name]) for name in self._lists]) if self._lists else ()
        return self._form(tuple(values), lengths)

    def _formed(self, names: Sequence[str], lengths: Sequence[int]) -> _Form:
        compiled = self._statement.compile(
            dialect=_DIALECT, column_keys=sorted(names), for_executemany=isinstance(self._statement, Insert)
        )
        lists = {name: [None] * length for name, length in zip(self._lists, lengths, strict=True)}
        state = compiled.construct_expanded_state({**dict.fromkeys(names), **lists})
        writes = {
            name: bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
            for name, bind in compiled.binds.items()
        } | dict(state.processors)
        columns = self._statement.exported_columns
        reads = [column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None) for column in columns]
        return _Form(
            sql=state.statement,
            binds=[(name, writes.get(name)) for name in state.positiontup or ()],
            constants={name: value for name, value in state.parameters.items() if name not in names},
            expanded=[(name, state.parameter_expansion[name]) for name in lists],
            row=_row_of(columns.keys()),
            reads=[(idx, process) for idx, process in enumerate(reads) if process is not None],
        )


def _row_of(columns: Iterable[str | None]) -> Callable[[Iterable[Any]], Row]:
    named = namedtuple("Row", [name or "" for name in columns], rename=True)  # type: ignore[misc]
    return cast(Callable[[Iterable[Any]], Row], named._make)


def _as_sqlalchemys(error: sqlite3.Error, form: _Form) -> Exception:
    return cast(Exception, DBAPIError.instance(form.sql, None, error, sqlite3.Error, hide_parameters=True))
