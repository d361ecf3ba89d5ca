"""Pauses per model: one model that is refused stops no other."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "pauses",
        Column("provider", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("reason", Text, nullable=False),
        Column("job_id", Text, nullable=False),
        sa.PrimaryKeyConstraint("provider", "model"),
    )
    # With the model, so that the queued jobs of a paused one are passed over without being read.
    op.drop_index("jobs_queue", "jobs")
    queued = sa.text("state = 'queued'")
    op.create_index(
        "jobs_queue",
        "jobs",
        ["provider", sa.text("priority DESC"), "run_at", "model"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
