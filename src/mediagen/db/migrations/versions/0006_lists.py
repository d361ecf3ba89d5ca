"""What lists show of large parameters and metadata; keys by the time of their end, to prune them in steps."""

from alembic import op
from sqlalchemy import JSON, Column

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", Column("listed", JSON))
    op.create_index("keys_by_expiry", "idempotency_keys", ["expires_at"])
