"""Python's interface to databases over apsw, so that SQLAlchemy can use it in place of the `sqlite3` module.

apsw brings its own SQLite and lets the files be ours to watch, which `sqlite3` does not.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw

_CHANGES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER")

Committed = Callable[[apsw.Connection], None]


class Driver:
    """What SQLAlchemy takes for a module of the database interface (PEP 249)."""

    paramstyle = "qmark"
    threadsafety = 1
    sqlite_version_info = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    Error = sqlite3.Error
    DatabaseError = sqlite3.DatabaseError
    IntegrityError = sqlite3.IntegrityError
    OperationalError = sqlite3.OperationalError

    def __init__(
        self, *, vfs: str, committed: Committed, instead: Mapping[str, str], checkpoint_pages: int
    ) -> None:
        """`committed` is called after each commit; statements that `instead` names are replaced."""
        self._vfs = vfs
        self._checkpoint_pages = checkpoint_pages
        self.committed = committed
        self.instead = instead
        self.pragmas: set[str] = set()  # that were set

    def connect(self, path: str, **_options: Any) -> "Connection":
        db = apsw.Connection(path, vfs=self._vfs)
        db.wal_autocheckpoint(self._checkpoint_pages)
        return Connection(db, self)


class Connection:
    """One connection, in autocommit mode, as the product uses it."""

    isolation_level: str | None = None

    def __init__(self, db: apsw.Connection, driver: Driver) -> None:
        self.db = db
        self.driver = driver

    @property
    def in_transaction(self) -> bool:
        return self.db.in_transaction

    def cursor(self) -> "Cursor":
        return Cursor(self)

    def execute(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> "Cursor":
        return self.cursor().execute(statement, parameters)

    def executemany(self, statement: str, many: Iterable[Any]) -> "Cursor":
        return self.cursor().executemany(statement, many)

    def create_function(
        self, name: str, arguments: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        self.db.create_scalar_function(name, function, arguments, deterministic=deterministic)

    def commit(self) -> None:
        return

    def rollback(self) -> None:
        if self.in_transaction:
            self.db.execute("ROLLBACK")

    def close(self) -> None:
        self.db.close()


class Cursor:
    """Runs a statement to its end at once and keeps its rows."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Iterator[Any] = iter(())
        self.description: Sequence[Any] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> "Cursor":
        db, driver = self._connection.db, self._connection.driver
        cursor = db.cursor()
        self.description, self.rowcount = None, -1
        cursor.exec_trace = self._describe
        try:
            rows = list(cursor.execute(driver.instead.get(statement, statement), parameters))
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from error
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error
        self._rows = iter(rows)
        verb = statement.lstrip().partition(" ")[0].upper()
        if verb == "PRAGMA" and "=" in statement:
            driver.pragmas.add(statement.removeprefix("PRAGMA "))
        if verb in _CHANGES:
            self.rowcount, self.lastrowid = db.changes(), db.last_insert_rowid()
        if verb in ("COMMIT", "END") or (verb in _CHANGES and not db.in_transaction):
            driver.committed(db)
        return self

    def _describe(self, cursor: apsw.Cursor, _statement: str, _parameters: Any) -> bool:
        columns = cursor.get_description()
        self.description = [(column[0], None, None, None, None, None, None) for column in columns] or None
        return True

    def executemany(self, statement: str, many: Iterable[Any]) -> "Cursor":
        changed = 0
        for parameters in many:
            changed += max(0, self.execute(statement, parameters).rowcount)
        self.rowcount = changed
        return self

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())
