"""What is needed to conclude no more from a provider's answers than they prove."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Text

from mediagen.db.migrations.guards import put_guard

revision = "0002"
down_revision = "0001"

JOB_MOVES = (
    "queued>submitting queued>failed queued>canceled "
    "submitting>waiting submitting>reconciling submitting>queued submitting>failed submitting>storing "
    "reconciling>waiting reconciling>storing reconciling>queued reconciling>failed reconciling>canceled "
    "waiting>storing waiting>queued waiting>failed waiting>canceled "
    "storing>succeeded storing>failed storing>canceled"
)
CALL_MOVES = (
    "intent>accepted intent>unknown intent>rejected intent>absent "
    "unknown>accepted unknown>absent unknown>rejected absent>orphan orphan>accepted "
    "accepted>succeeded accepted>failed accepted>canceled accepted>orphan"
)

JOB_RULES = (
    # The wish to cancel may still be noted and the note be cleared; what happened may not change.
    (
        "OLD.finished_at IS NOT NULL AND (NEW.state <> OLD.state OR NEW.output_count <> OLD.output_count"
        " OR NEW.finished_at <> OLD.finished_at OR NEW.finished_at IS NULL OR NEW.attempt <> OLD.attempt)",
        "a finished job is immutable",
    ),
    ("NEW.lease_epoch < OLD.lease_epoch OR NEW.attempt < OLD.attempt", "a counter went back"),
    (
        "NEW.lease_owner IS NOT NULL AND (OLD.lease_owner IS NULL OR NEW.lease_owner <> OLD.lease_owner)"
        " AND NEW.lease_epoch = OLD.lease_epoch",
        "a lease was taken without a new epoch",
    ),
    ("NEW.id <> OLD.id OR NEW.prompt <> OLD.prompt OR NEW.secret <> OLD.secret", "a request is immutable"),
)
CALL_RULES = (
    (
        "OLD.provider_ref IS NOT NULL AND (NEW.provider_ref IS NULL OR NEW.provider_ref <> OLD.provider_ref)",
        "provider_ref is write-once",
    ),
    ("NEW.id <> OLD.id OR NEW.job_id <> OLD.job_id", "a call belongs to one job"),
)


def upgrade() -> None:
    op.add_column("jobs", Column("timeout_ms", BigInteger))
    op.add_column("jobs", Column("output", Text))
    op.add_column("provider_calls", Column("marked", Boolean, nullable=False, server_default=sa.false()))
    for name in ("asked_at", "timeout_ms", "begun_at", "missing_since"):
        op.add_column("provider_calls", Column(name, BigInteger))
    op.add_column("provider_calls", Column("seen", Text))
    for name in ("due_at", "settled_at"):
        op.add_column("provider_calls", Column(name, BigInteger))
    _partial_index("calls_due", "provider_calls", ["due_at"], "due_at IS NOT NULL")
    _partial_index(
        "jobs_canceling", "jobs", ["state", "cancel_requested_at"], "cancel_requested_at IS NOT NULL"
    )
    op.add_column("artifacts", Column("doubt", Text))
    op.create_table("installation", Column("id", Text, primary_key=True))
    op.create_table(
        "provider_traits",
        Column("provider", Text, nullable=False),
        Column("trait", Text, nullable=False),
        Column("value", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider", "trait"),
    )
    put_guard("jobs", JOB_RULES, JOB_MOVES)
    put_guard("provider_calls", CALL_RULES, CALL_MOVES)


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
