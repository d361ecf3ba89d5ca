"""The words of jobs and an index of them: SQLite's own full-text search, PostgreSQL's trigrams."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "job_texts",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("job_id", Text, nullable=False),
        Column("text", Text, nullable=False),
        sa.UniqueConstraint("job_id", name="one_text_a_job"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        _index_sqlite()
    else:
        _index_postgres()


def _index_sqlite() -> None:
    """An index without a copy of the texts, kept by triggers: https://www.sqlite.org/fts5.html, external content."""
    op.execute(
        "CREATE VIRTUAL TABLE job_words USING fts5"
        "(text, content='job_texts', content_rowid='id', tokenize='trigram case_sensitive 1')"
    )
    add = "INSERT INTO job_words (rowid, text) VALUES (NEW.id, NEW.text);"
    remove = "INSERT INTO job_words (job_words, rowid, text) VALUES ('delete', OLD.id, OLD.text);"
    for name, moment, body in (
        ("job_texts_added", "INSERT", add),
        ("job_texts_removed", "DELETE", remove),
        ("job_texts_changed", "UPDATE", remove + add),
    ):
        op.execute(f"CREATE TRIGGER {name} AFTER {moment} ON job_texts BEGIN {body} END")


def _index_postgres() -> None:
    """Without the right to create the extension there is no index; search works and is slower."""
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
            connection.execute(
                sa.text("CREATE INDEX job_texts_words ON job_texts USING gin (text gin_trgm_ops)")
            )
    except sa.exc.DBAPIError:
        return
