"""Migrations lead every database to the schema that `db/tables.py` shows, and no kill or race can spoil one."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

import mediagen.db.migrate
from mediagen.db.engine import sqlite_engine
from mediagen.db.migrate import HEAD, migrate_sqlite, revision_of
from mediagen.db.tables import metadata
from mediagen.errors import SettingsError

Schema = dict[str, dict[str, Any]]


def described(connection: Connection) -> Schema:
    """Return all that tells two schemas apart, whatever order it was written in."""
    inspector = inspect(connection)
    source = {
        row.name: " ".join((row.sql or "").split())
        for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
    }
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            },
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "checks": {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)},
            "uniques": {u["name"]: u["column_names"] for u in inspector.get_unique_constraints(table)},
            "foreign": [
                (key["constrained_columns"], key["referred_table"], key["referred_columns"])
                for key in inspector.get_foreign_keys(table)
            ],
            "indexes": {i["name"]: source[str(i["name"])] for i in inspector.get_indexes(table)},
            "counts_up": "AUTOINCREMENT" in source[table],
        }
        for table in inspector.get_table_names()
        if table != "alembic_version" and not table.startswith("job_words")  # SQLite's own, of the index
    }


def schema_of(path: Path) -> Schema:
    engine = sqlite_engine(path, writes=False)
    try:
        with engine.connect() as connection:
            return described(connection)
    finally:
        engine.dispose()


def write(path: Path, *statements: str) -> None:
    engine = sqlite_engine(path, writes=True)
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def revision(path: Path) -> str | None:
    engine = sqlite_engine(path, writes=False)
    try:
        with engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


# ---------------------------------------------------------------------------------------------- the same schema


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_the_migrated_table_is_the_one_that_the_code_knows(tmp_path: Path, table: str) -> None:
    migrate_sqlite(tmp_path / "migrated.db")
    engine = sqlite_engine(tmp_path / "created.db", writes=True)
    with engine.connect() as connection:
        metadata.create_all(connection)
        created = described(connection)
    engine.dispose()
    assert schema_of(tmp_path / "migrated.db")[table] == created[table]


def test_the_migrated_database_has_no_table_that_the_code_does_not_know(path: Path) -> None:
    migrate_sqlite(path)
    assert schema_of(path).keys() == metadata.tables.keys()


def test_the_comparison_sees_uniqueness_conditions_and_checks(path: Path) -> None:
    migrate_sqlite(path)
    calls = schema_of(path)["provider_calls"]
    assert calls["indexes"]["one_ref"] == (
        "CREATE UNIQUE INDEX one_ref ON provider_calls (provider, provider_ref) WHERE provider_ref IS NOT NULL"
    )
    assert "call_state_known" in calls["checks"]
    assert calls["uniques"] == {"one_seq": ["job_id", "seq"]}


def test_head_is_the_newest_migration() -> None:
    config = Config()
    folder = Path(mediagen.db.migrate.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


# ---------------------------------------------------------------------------------------------- again and again


def test_a_fresh_database_is_at_head(path: Path) -> None:
    assert migrate_sqlite(path) is True
    assert revision(path) == HEAD


def test_migrating_again_does_nothing(path: Path) -> None:
    migrate_sqlite(path)
    before = path.read_bytes()
    assert migrate_sqlite(path) is False
    assert path.read_bytes() == before


def test_the_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    assert migrate_sqlite(tmp_path / "a" / "b" / "jobs.db") is True


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    assert migrate_sqlite(path) is True


# ---------------------------------------------------------------------------------------------- refusals


def test_a_newer_database_is_refused_and_left_as_it_is(path: Path) -> None:
    migrate_sqlite(path)
    write(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="'9999', newer than this version"):
        migrate_sqlite(path)
    assert revision(path) == "9999"


@pytest.mark.parametrize("content", [b"not a database, " * 500, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(repr(str(path)))):
        migrate_sqlite(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    write(path, "CREATE TABLE provider_calls (theirs TEXT)")
    with pytest.raises(SettingsError, match="provider_calls"):
        migrate_sqlite(path)
    assert schema_of(path).keys() == {"provider_calls"}


def test_a_folder_in_the_database_s_place_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(SettingsError, match=re.escape(repr(str(path)))):
        migrate_sqlite(path)


def test_a_place_where_nothing_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "jobs.db"
    with pytest.raises(SettingsError, match=re.escape(repr(str(path)))):
        migrate_sqlite(path)


# ---------------------------------------------------------------------------------------------- races and kills

MIGRATE = """
import sys
from pathlib import Path
import alembic.runtime.environment, alembic.script
from mediagen.db.migrate import migrate_sqlite

print("ready", flush=True)
sys.stdin.readline()
print(migrate_sqlite(Path(sys.argv[1])), flush=True)
"""

DIE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from mediagen.db.migrate import migrate_sqlite

path, moment, beginning = sys.argv[1:]

@event.listens_for(Engine, f"{moment}_cursor_execute")
def die(_connection, _cursor, statement, *_more):
    if statement.strip().startswith(beginning):
        os.kill(os.getpid(), signal.SIGKILL)

migrate_sqlite(Path(path))
"""


def migrate_and_die(path: Path, moment: str, beginning: str) -> None:
    died = subprocess.run([sys.executable, "-c", DIE, path, moment, beginning], check=False)
    assert died.returncode == -signal.SIGKILL


def test_processes_that_migrate_at_once_all_succeed_and_one_does_the_work(path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = [child.communicate()[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(answers) == ["False", "True"]
    assert revision(path) == HEAD


@pytest.mark.parametrize("statement", ["CREATE TABLE artifacts", "CREATE TRIGGER jobs_guard", "COMMIT"])
def test_a_migration_that_was_killed_leaves_nothing_behind_and_is_done_by_the_next_start(
    path: Path, statement: str
) -> None:
    migrate_and_die(path, "before", statement)
    assert (revision(path), schema_of(path)) == (None, {})
    assert migrate_sqlite(path) is True
    assert schema_of(path).keys() == metadata.tables.keys()


def test_a_migration_that_was_killed_after_its_commit_is_not_done_again(path: Path) -> None:
    migrate_and_die(path, "after", "COMMIT")
    assert path.with_name("jobs.db-wal").stat().st_size > 0
    assert migrate_sqlite(path) is False
    assert schema_of(path).keys() == metadata.tables.keys()
