"""Bring a database to the schema of this version. The migrations lie inside the package."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from mediagen.db.engine import sqlite_engine
from mediagen.errors import SettingsError

HEAD = "0007"
"""The newest revision; a test compares it with the migrations."""

_OLDEST_POSTGRES = (15,)
_MIGRATION_LOCK = 7_231_000
_SCRIPTS = Path(__file__).parent / "migrations"


def migrate_sqlite(path: Path) -> bool:
    """Create or upgrade the SQLite file; return whether anything was done.

    Safe to run from several processes at once: the first does the work, the others wait for it. Each
    migration is one transaction, so that a kill leaves the old schema or the new one.
    Raises `SettingsError` for what is no database of ours, or of a newer version.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.with_name(path.name + ".migrating")):
            changed = _migrate(path)
            _keep_private(path)
            return changed
    except OSError as error:
        raise SettingsError(f"{str(path)!r} can't be used as a database: {error.strerror}") from error


def _keep_private(path: Path) -> None:
    """Let nobody else on this machine read the file, which holds prompts; SQLite makes those beside it alike."""
    for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # it is not there, or another one's
            each.chmod(0o600)


def _migrate(path: Path) -> bool:
    engine = sqlite_engine(path, writes=True)
    try:
        with engine.connect() as connection:
            return _upgrade(connection)
    except DatabaseError as error:
        raise SettingsError(f"{str(path)!r} can't be used as a database: {error.orig}") from error
    finally:
        engine.dispose()


def migrate_postgres(url: str) -> bool:
    """Create or upgrade the schema in a PostgreSQL database; return whether anything was done.

    Safe to run from several processes at once. Raises `SettingsError` when the server refuses or is too old.
    """
    from mediagen.db.postgres import normalized, shown  # the driver costs 0.1 s to import

    target = normalized(url)
    arguments = {"connect_timeout": 5, "client_encoding": "UTF8"}
    engine = create_engine(target, isolation_level="AUTOCOMMIT", connect_args=arguments)
    try:
        with engine.connect() as connection:
            if (connection.dialect.server_version_info or (0,)) < _OLDEST_POSTGRES:
                raise SettingsError(
                    f"DATABASE_URL: {shown(target)} is older than PostgreSQL {_OLDEST_POSTGRES[0]}"
                )
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise SettingsError(
                    f"DATABASE_URL: {shown(target)} is encoded in {encoding}; "
                    "make one with CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8'"
                )
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})")
            return _upgrade(connection)
    except DatabaseError as error:
        raise SettingsError(f"DATABASE_URL: {shown(target)} can't be used: {_reason(error)}") from error
    finally:
        engine.dispose()


def _reason(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0]


def revision_of(connection: Connection) -> str | None:
    """Return the schema's revision, or None for a database without our schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection) -> bool:
    found = revision_of(connection)
    if found == HEAD:
        return False
    # Alembic costs 0.8 s to import, so only where there is something to do.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise SettingsError(
            f"The database has schema {found!r}, newer than this version knows; upgrade mediagen"
        )
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN")
    with EnvironmentContext(
        config, scripts, fn=lambda rev, _: scripts._upgrade_revs("head", rev)
    ) as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()
    connection.exec_driver_sql("COMMIT")
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
