"""Jobs, the ledger of provider calls, events, artifacts, and the triggers that guard them."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Float, Integer, Text

from mediagen.db.migrations.guards import put_guard

revision = "0001"
down_revision = None

JOB_MOVES = (
    "queued>submitting queued>failed queued>canceled "
    "submitting>waiting submitting>reconciling submitting>queued submitting>failed submitting>storing "
    "reconciling>waiting reconciling>storing reconciling>queued reconciling>failed reconciling>canceled "
    "waiting>storing waiting>queued waiting>failed waiting>canceled "
    "storing>succeeded storing>failed"
)
CALL_MOVES = (
    "intent>accepted intent>unknown intent>rejected intent>absent "
    "unknown>accepted unknown>absent unknown>rejected absent>orphan "
    "accepted>succeeded accepted>failed accepted>canceled accepted>orphan"
)
TERMINAL = "('succeeded','failed','canceled')"
LIVE_CALL = "state IN ('intent','unknown','accepted')"

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
    _jobs()
    _provider_calls()
    _events()
    _artifacts()
    _small_tables()
    _guard("jobs", JOB_RULES, JOB_MOVES)
    _guard("provider_calls", CALL_RULES, CALL_MOVES)


def _jobs() -> None:
    op.create_table(
        "jobs",
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("provider", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("prompt", Text, nullable=False),
        Column("parameters", sa.JSON, nullable=False),
        Column("metadata", sa.JSON, nullable=False),
        Column("webhook_url", Text),
        Column("priority", Integer, nullable=False),
        Column("retry_of", Text),
        Column("secret", Text, nullable=False),
        Column("run_at", BigInteger, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("max_attempts", Integer, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("claims", Integer, nullable=False),
        Column("lease_epoch", BigInteger, nullable=False),
        Column("lease_owner", Text),
        Column("lease_until", BigInteger),
        Column("cancel_requested_at", BigInteger),
        Column("expires_at", BigInteger, nullable=False),
        Column("progress", Float),
        Column("note", Text, nullable=False),
        Column("output_count", Integer, nullable=False),
        Column("error_code", Text),
        Column("error_message", Text),
        Column("created_at", BigInteger, nullable=False),
        Column("started_at", BigInteger),
        Column("updated_at", BigInteger, nullable=False),
        Column("finished_at", BigInteger),
        CheckConstraint(
            f"state IN ('queued','submitting','reconciling','waiting','storing',{TERMINAL[1:-1]})",
            name="state_known",
        ),
        CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name="attempt_bounded"),
        CheckConstraint("max_attempts BETWEEN 1 AND 25", name="max_attempts_bounded"),
        CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="lease_pair"),
        CheckConstraint(f"(state IN {TERMINAL}) = (finished_at IS NOT NULL)", name="terminal_final"),
        CheckConstraint("finished_at IS NULL OR lease_owner IS NULL", name="terminal_unleased"),
        CheckConstraint("state <> 'succeeded' OR output_count > 0", name="success_has_output"),
        CheckConstraint("state <> 'failed' OR error_code IS NOT NULL", name="failure_has_code"),
        CheckConstraint("state <> 'canceled' OR cancel_requested_at IS NOT NULL", name="cancel_was_asked"),
        CheckConstraint(
            "state IN ('queued','submitting','failed','canceled') OR attempt >= 1", name="past_submit_paid"
        ),
        CheckConstraint("progress IS NULL OR (progress >= 0 AND progress <= 1)", name="progress_fraction"),
    )
    _partial_index("jobs_due", "jobs", ["run_at"], "finished_at IS NULL")
    _partial_index("jobs_queue", "jobs", ["provider", sa.text("priority DESC"), "run_at"], "state = 'queued'")
    _partial_index("jobs_leased", "jobs", ["lease_owner"], "lease_owner IS NOT NULL")
    op.create_index("jobs_by_state", "jobs", ["owner", "state", "id"])
    op.create_index("jobs_by_owner", "jobs", ["owner", "id"])
    op.create_index("jobs_finished", "jobs", ["finished_at"])


def _provider_calls() -> None:
    op.create_table(
        "provider_calls",
        Column("id", Text, primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("seq", Integer, nullable=False),
        Column("provider", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("provider_ref", Text),
        Column("created_at", BigInteger, nullable=False),
        Column("send_by", BigInteger, nullable=False),
        Column("deadline_at", BigInteger, nullable=False),
        Column("finished_at", BigInteger),
        Column("cost_micros", BigInteger),
        Column("error", Text),
        sa.UniqueConstraint("job_id", "seq", name="one_seq"),
        CheckConstraint(
            "state IN ('intent','unknown','accepted','succeeded','failed','canceled','rejected','absent','orphan')",
            name="call_state_known",
        ),
        CheckConstraint(
            "provider_ref IS NOT NULL OR state IN ('intent','unknown','rejected','absent')",
            name="ref_when_taken",
        ),
        CheckConstraint(
            "provider_ref IS NULL OR state NOT IN ('intent','rejected','absent')",
            name="no_ref_when_not_taken",
        ),
    )
    _partial_index("one_live_call", "provider_calls", ["job_id"], LIVE_CALL, unique=True)
    _partial_index("one_success", "provider_calls", ["job_id"], "state = 'succeeded'", unique=True)
    _partial_index(
        "one_ref", "provider_calls", ["provider", "provider_ref"], "provider_ref IS NOT NULL", unique=True
    )
    op.create_index("calls_by_time", "provider_calls", ["provider", "created_at"])
    op.create_table(
        "provider_gates",
        Column("provider", Text, primary_key=True),
        Column("next_free_at", BigInteger, nullable=False),
        Column("paused_until", BigInteger, nullable=False),
        Column("pause_reason", Text, nullable=False),
        Column("failures", Integer, nullable=False),
    )


def _events() -> None:
    op.create_table(
        "job_events",
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("job_id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_job", "job_events", ["job_id", "id"])


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        Column("key", Text, primary_key=True),
        Column("job_id", Text, sa.ForeignKey("jobs.id"), nullable=False),
        Column("idx", Integer, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("size_bytes", BigInteger, nullable=False),
        Column("media_type", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("width", Integer),
        Column("height", Integer),
        Column("thumbnail", Text, nullable=False),
        Column("placeholder", Text),
        Column("created_at", BigInteger, nullable=False),
        sa.UniqueConstraint("job_id", "idx", name="one_artifact_an_output"),
        CheckConstraint("size_bytes > 0", name="artifact_not_empty"),
        CheckConstraint("thumbnail IN ('pending','ready','none')", name="thumbnail_known"),
    )
    _partial_index("thumbnails_pending", "artifacts", ["created_at"], "thumbnail = 'pending'")
    op.create_table(
        "trash", Column("key", Text, primary_key=True), Column("created_at", BigInteger, nullable=False)
    )


def _small_tables() -> None:
    op.create_table(
        "idempotency_keys",
        Column("owner", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("request_hash", Text, nullable=False),
        Column("job_id", Text, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key"),
    )
    op.create_table(
        "webhook_outbox",
        Column("id", Text, primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("url", Text, nullable=False),
        Column("event", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("next_at", BigInteger, nullable=False),
        Column("last_status", Integer),
        sa.UniqueConstraint("job_id", "event", name="one_delivery_an_event"),
        CheckConstraint("state IN ('pending','delivered','dead')", name="delivery_state_known"),
    )
    _partial_index("deliveries_due", "webhook_outbox", ["next_at"], "state = 'pending'")
    op.create_table(
        "workers",
        Column("name", Text, primary_key=True),
        Column("started_at", BigInteger, nullable=False),
        Column("seen_at", BigInteger, nullable=False),
        Column("steps", Integer, nullable=False),
    )


def _partial_index(
    name: str, table: str, columns: Iterable[object], where: str, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(
        name,
        table,
        list(columns),  # type: ignore[arg-type]  # alembic takes text() columns too
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _guard(table: str, rules: Iterable[tuple[str, str]], moves: str) -> None:
    """Refuse updates that break a rule or make a move that is not in the list, on either database."""
    put_guard(table, rules, moves)
    if op.get_bind().dialect.name != "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_guard BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_guard()"
        )
