"""Counts the rows of a running server's database, from outside."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path


class Rows:
    """The number of rows of every table. Close it after use."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        found = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        self._tables = sorted(name for (name,) in found if not name.startswith("sqlite_"))
        self._version = -1
        self._counts: dict[str, int] = {}

    def counts(self) -> Mapping[str, int]:
        """Return the rows by table."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:  # nobody has committed anything otherwise
            self._version = version
            with closing(self._connection.cursor()) as cursor:
                self._counts = {
                    table: cursor.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608  names are the schema's
                    for table in self._tables
                }
        return dict(self._counts)

    def close(self) -> None:
        self._connection.close()
