"""Migrations on PostgreSQL: the schema that `db/tables.py` shows, whoever races, dies or was there before."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from mediagen.db.migrate import HEAD, migrate_postgres, revision_of
from mediagen.db.postgres import normalized
from mediagen.db.tables import metadata
from mediagen.errors import SettingsError
from tests.fakes.servers import bare_database, database

Schema = dict[str, dict[str, Any]]

_INDEXES = text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :table")
_CONSTRAINTS = text(
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid = CAST(CAST(:table AS text) AS regclass)"
)


def schema_of(url: str) -> Schema:
    """Return all that tells two schemas apart, whatever order it was written in."""
    with connected(url) as connection:
        names = inspect(connection).get_table_names()
        return {name: described(connection, name) for name in names if name != "alembic_version"}


def described(connection: Connection, table: str) -> dict[str, Any]:
    columns = inspect(connection).get_columns(table)
    return {
        "columns": {
            column["name"]: (str(column["type"]), column["nullable"], column["default"]) for column in columns
        },
        "indexes": dict(connection.execute(_INDEXES, {"table": table}).all()),
        "constraints": dict(connection.execute(_CONSTRAINTS, {"table": table}).all()),
    }


class connected:
    """A connection that commits each statement."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(normalized(url), isolation_level="AUTOCOMMIT")

    def __enter__(self) -> Connection:
        self._connection = self._engine.connect()
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._engine.dispose()


def revision(url: str) -> str | None:
    with connected(url) as connection:
        return revision_of(connection)


@pytest.fixture
def bare() -> Iterator[str]:
    with bare_database() as url:
        yield url


# ---------------------------------------------------------------------------------------------- the same schema


@pytest.fixture(scope="module")
def created() -> Iterator[Schema]:
    with bare_database() as url:
        with connected(url) as connection:
            metadata.create_all(connection)
        yield schema_of(url)


@pytest.fixture(scope="module")
def migrated() -> Iterator[Schema]:
    with database() as url:
        yield schema_of(url)


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_the_migrated_table_is_the_one_that_the_code_knows(
    created: Schema, migrated: Schema, table: str
) -> None:
    made = {**migrated[table], "indexes": dict(migrated[table]["indexes"])}
    made["indexes"].pop("job_texts_words", None)  # of an extension, where it can be made
    assert made == created[table]


def test_the_migrated_database_has_no_table_that_the_code_does_not_know(migrated: Schema) -> None:
    assert migrated.keys() == metadata.tables.keys()


# ---------------------------------------------------------------------------------------------- again and again


def test_a_fresh_database_is_at_head_and_migrating_again_does_nothing(bare: str) -> None:
    assert migrate_postgres(bare) is True
    assert revision(bare) == HEAD
    assert migrate_postgres(bare) is False


MIGRATE = """
import sys
import alembic.runtime.environment, alembic.script
from mediagen.db.migrate import migrate_postgres
print("ready", flush=True)
sys.stdin.readline()
print(migrate_postgres(sys.argv[1]), flush=True)
"""

DIE = """
import os, signal, sys
from sqlalchemy import Engine, event
from mediagen.db.migrate import migrate_postgres

url, beginning = sys.argv[1:]

@event.listens_for(Engine, "before_cursor_execute")
def die(_connection, _cursor, statement, *_more):
    if statement.strip().startswith(beginning):
        os.kill(os.getpid(), signal.SIGKILL)

migrate_postgres(url)
"""


def test_processes_that_migrate_at_once_all_succeed_and_one_does_the_work(bare: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, bare], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    answers = [child.communicate("go\n")[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(answers) == ["False", "True"]
    assert revision(bare) == HEAD


@pytest.mark.parametrize("statement", ["CREATE TABLE artifacts", "CREATE TRIGGER jobs_guard", "COMMIT"])
def test_a_migration_that_was_killed_leaves_nothing_behind_and_is_done_by_the_next_start(
    bare: str, statement: str
) -> None:
    died = subprocess.run([sys.executable, "-c", DIE, bare, statement], check=False)
    assert died.returncode == -signal.SIGKILL
    assert (revision(bare), schema_of(bare)) == (None, {})
    assert migrate_postgres(bare) is True
    assert schema_of(bare).keys() == metadata.tables.keys()


# ---------------------------------------------------------------------------------------------- refusals


def test_a_newer_database_is_refused_and_left_as_it_is(bare: str) -> None:
    migrate_postgres(bare)
    with connected(bare) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="'9999', newer than this version"):
        migrate_postgres(bare)
    assert revision(bare) == "9999"


def test_a_database_of_another_program_is_refused_and_left_as_it_is(bare: str) -> None:
    with connected(bare) as connection:
        connection.exec_driver_sql("CREATE TABLE provider_calls (theirs text)")
    with pytest.raises(SettingsError, match="provider_calls"):
        migrate_postgres(bare)
    assert schema_of(bare).keys() == {"provider_calls"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "127.0.0.1:1"),
        ("postgresql://u:secret@no.such.host.invalid/x", "no.such.host.invalid"),
    ],
)
def test_a_server_that_is_not_there_is_named_without_its_password(wrong: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        migrate_postgres(wrong)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_named(bare: str) -> None:
    missing = f"{bare}_not"
    with pytest.raises(SettingsError, match="does not exist"):
        migrate_postgres(missing)


def test_a_database_that_is_not_unicode_is_refused_with_the_way_out() -> None:
    with bare_database() as url, connected(url) as connection:
        name = "mediagen_ascii"
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            with pytest.raises(SettingsError, match=r"encoded in SQL_ASCII; .*ENCODING 'UTF8'"):
                migrate_postgres(normalized(url).set(database=name).render_as_string(hide_password=False))
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
