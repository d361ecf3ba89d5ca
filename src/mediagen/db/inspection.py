"""A look at a database that changes nothing: its schema, whether it is sound, how far its times reach."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError

from mediagen.db.engine import sqlite_engine
from mediagen.db.migrate import revision_of
from mediagen.db.tables import jobs
from mediagen.errors import Unavailable


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a database is like."""

    revision: str | None  # None: it is not ours, or empty
    damage: str  # what SQLite found broken; empty when it is sound
    jobs: int
    newest_ms: int | None  # when the newest job was changed last


def inspect_sqlite(path: Path) -> Inspection:
    """Look at the file, which must exist; reads all of it once. Raises `Unavailable` when it can't be read."""
    engine = sqlite_engine(path, writes=False)
    try:
        with engine.connect() as connection:
            return inspect_database(connection)
    except DatabaseError as error:
        raise Unavailable(f"{str(path)!r} can't be read as a database: {error.orig}") from error
    finally:
        engine.dispose()


def inspect_database(connection: Connection) -> Inspection:
    """Look at an open database. Raises the driver's errors."""
    revision, count, newest = revision_of(connection), 0, None
    if revision is not None:
        count, newest = connection.execute(select(func.count(), func.max(jobs.c.updated_at))).one()
    return Inspection(revision=revision, damage=_damage(connection), jobs=count, newest_ms=newest)


def _damage(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""
    said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    return "" if said == "ok" else said
