"""The host of each delivery: a receiver that never answers delays no other."""

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("webhook_outbox", Column("host", Text, nullable=False, server_default=""))
    connection = op.get_bind()
    pending = connection.execute(sa.text("SELECT id, url FROM webhook_outbox WHERE state = 'pending'")).all()
    for row in pending:
        host = urlsplit(row.url).netloc.rpartition("@")[2].lower()
        connection.execute(
            sa.text("UPDATE webhook_outbox SET host = :host WHERE id = :id"), {"host": host, "id": row.id}
        )
    op.drop_index("deliveries_due", "webhook_outbox")
    condition = sa.text("state = 'pending'")
    op.create_index(
        "deliveries_due",
        "webhook_outbox",
        ["next_at", "host"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
