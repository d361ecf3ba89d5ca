"""The whole schema on one page. Times are BIGINT milliseconds since 1970 UTC.

The guard triggers stand in the migrations.

Statements are the same on SQLite and PostgreSQL. A change here needs a migration; a test compares the two.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData()
ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in INTEGER columns

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
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
    Column("timeout_ms", BigInteger),
    Column("output", Text),
    Column("listed", JSON(none_as_null=True)),  # what lists show of large parameters and metadata
    CheckConstraint(
        "state IN ('queued','submitting','reconciling','waiting','storing','succeeded','failed','canceled')",
        name="state_known",
    ),
    CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name="attempt_bounded"),
    CheckConstraint("max_attempts BETWEEN 1 AND 25", name="max_attempts_bounded"),
    CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="lease_pair"),
    CheckConstraint(
        "(state IN ('succeeded','failed','canceled')) = (finished_at IS NOT NULL)", name="terminal_final"
    ),
    CheckConstraint("finished_at IS NULL OR lease_owner IS NULL", name="terminal_unleased"),
    CheckConstraint("state <> 'succeeded' OR output_count > 0", name="success_has_output"),
    CheckConstraint("state <> 'failed' OR error_code IS NOT NULL", name="failure_has_code"),
    CheckConstraint("state <> 'canceled' OR cancel_requested_at IS NOT NULL", name="cancel_was_asked"),
    CheckConstraint(
        "state IN ('queued','submitting','failed','canceled') OR attempt >= 1", name="past_submit_paid"
    ),
    CheckConstraint("progress IS NULL OR (progress >= 0 AND progress <= 1)", name="progress_fraction"),
    Index(
        "jobs_due",
        "run_at",
        sqlite_where=text("finished_at IS NULL"),
        postgresql_where=text("finished_at IS NULL"),
    ),
    Index(
        "jobs_queue",
        "provider",
        text("priority DESC"),
        "run_at",
        "model",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "jobs_leased",
        "lease_owner",
        sqlite_where=text("lease_owner IS NOT NULL"),
        postgresql_where=text("lease_owner IS NOT NULL"),
    ),
    Index(
        "jobs_canceling",
        "state",
        "cancel_requested_at",
        sqlite_where=text("cancel_requested_at IS NOT NULL"),
        postgresql_where=text("cancel_requested_at IS NOT NULL"),
    ),
    Index("jobs_by_state", "owner", "state", "id"),
    Index("jobs_by_owner", "owner", "id"),
    Index("jobs_finished", "finished_at"),
)

# No foreign key to jobs: the ledger of what was bought outlives a deleted job.
provider_calls = Table(
    "provider_calls",
    metadata,
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
    Column("marked", Boolean, nullable=False, server_default=false()),
    Column("asked_at", BigInteger),
    Column("timeout_ms", BigInteger),
    Column("begun_at", BigInteger),
    Column("missing_since", BigInteger),
    Column("seen", Text),
    Column("due_at", BigInteger),
    Column("settled_at", BigInteger),
    UniqueConstraint("job_id", "seq", name="one_seq"),
    CheckConstraint(
        "state IN ('intent','unknown','accepted','succeeded','failed','canceled','rejected','absent','orphan')",
        name="call_state_known",
    ),
    CheckConstraint(
        "provider_ref IS NOT NULL OR state IN ('intent','unknown','rejected','absent')", name="ref_when_taken"
    ),
    CheckConstraint(
        "provider_ref IS NULL OR state NOT IN ('intent','rejected','absent')", name="no_ref_when_not_taken"
    ),
    Index(
        "one_live_call",
        "job_id",
        unique=True,
        sqlite_where=text("state IN ('intent','unknown','accepted')"),
        postgresql_where=text("state IN ('intent','unknown','accepted')"),
    ),
    Index(
        "one_success",
        "job_id",
        unique=True,
        sqlite_where=text("state = 'succeeded'"),
        postgresql_where=text("state = 'succeeded'"),
    ),
    Index(
        "one_ref",
        "provider",
        "provider_ref",
        unique=True,
        sqlite_where=text("provider_ref IS NOT NULL"),
        postgresql_where=text("provider_ref IS NOT NULL"),
    ),
    Index("calls_by_time", "provider", "created_at"),
    Index(
        "calls_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
)

# What tells this installation's calls from those of another one with the same account, in one row.
installation = Table("installation", metadata, Column("id", Text, primary_key=True))

# What was learned of a provider, such as that it refuses markers.
provider_traits = Table(
    "provider_traits",
    metadata,
    Column("provider", Text, nullable=False),
    Column("trait", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("provider", "trait"),
)

# One row a provider: its rate limit, shared by all workers.
provider_gates = Table(
    "provider_gates",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("next_free_at", BigInteger, nullable=False),  # theoretical arrival time of the next create (GCRA)
    # Read by versions before the table `pauses` alone; a later release drops them.
    Column("paused_until", BigInteger, nullable=False),
    Column("pause_reason", Text, nullable=False),
    Column("failures", Integer, nullable=False),
)

# From what nothing is bought for a while: a model, or a whole provider (model '').
pauses = Table(
    "pauses",
    metadata,
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("until", BigInteger, nullable=False),  # from then on one job at a time probes
    Column("reason", Text, nullable=False),
    Column("job_id", Text, nullable=False),  # that was refused
    PrimaryKeyConstraint("provider", "model"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("job_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),
    Index("events_of_job", "job_id", "id"),
    sqlite_autoincrement=True,  # ids are never used again, so that a reader's last id stays true
)

# What a job is found by. The index of it, `job_words` on SQLite, stands in the migration.
job_texts = Table(
    "job_texts",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("job_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("job_id", name="one_text_a_job"),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("key", Text, primary_key=True),  # 128 random bits and the extension; also the media path
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("idx", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("thumbnail", Text, nullable=False),  # pending, ready, none
    Column("placeholder", Text),  # a tiny picture as data URI, shown until the real one is there
    Column("created_at", BigInteger, nullable=False),
    Column("doubt", Text),  # what is odd about the file, which was kept all the same
    UniqueConstraint("job_id", "idx", name="one_artifact_an_output"),
    CheckConstraint("size_bytes > 0", name="artifact_not_empty"),
    CheckConstraint("thumbnail IN ('pending','ready','none')", name="thumbnail_known"),
    Index(
        "thumbnails_pending",
        "created_at",
        sqlite_where=text("thumbnail = 'pending'"),
        postgresql_where=text("thumbnail = 'pending'"),
    ),
)

# Files whose rows are gone and that are still to be removed from the storage.
trash = Table(
    "trash", metadata, Column("key", Text, primary_key=True), Column("created_at", BigInteger, nullable=False)
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("owner", "key"),
    Index("keys_by_expiry", "expires_at"),
)

webhook_outbox = Table(
    "webhook_outbox",
    metadata,
    Column("id", Text, primary_key=True),  # = the webhook-id header, the same on every redelivery
    Column("job_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("last_status", Integer),
    Column("host", Text, nullable=False, server_default=""),  # with its port: no receiver holds up another
    UniqueConstraint("job_id", "event", name="one_delivery_an_event"),
    CheckConstraint("state IN ('pending','delivered','dead')", name="delivery_state_known"),
    Index(
        "deliveries_due",
        "next_at",
        "host",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
)

# A row a worker process, renewed while it lives; for health and statistics, never for correctness.
workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("steps", Integer, nullable=False),  # under way at seen_at
)
