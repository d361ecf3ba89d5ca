"""A call that was refused can turn out to be taken: what refused it was not the provider."""

from mediagen.db.migrations.guards import put_guard

revision = "0003"
down_revision = "0002"

CALL_MOVES = (
    "intent>accepted intent>unknown intent>rejected intent>absent "
    "unknown>accepted unknown>absent unknown>rejected absent>orphan rejected>orphan orphan>accepted "
    "accepted>succeeded accepted>failed accepted>canceled accepted>orphan"
)
CALL_RULES = (
    (
        "OLD.provider_ref IS NOT NULL AND (NEW.provider_ref IS NULL OR NEW.provider_ref <> OLD.provider_ref)",
        "provider_ref is write-once",
    ),
    ("NEW.id <> OLD.id OR NEW.job_id <> OLD.job_id", "a call belongs to one job"),
)


def upgrade() -> None:
    put_guard("provider_calls", CALL_RULES, CALL_MOVES)
