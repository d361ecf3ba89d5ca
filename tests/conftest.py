"""What holds for all tests: no setting of the machine's leaks in."""

import os

import pytest

_OURS = (
    "DATA_DIR",
    "DATABASE_URL",
    "REDIS_URL",
    "PUBLIC_URL",
    "HOST",
    "PORT",
    "DEFAULT_MODEL",
    "STORAGE_PATH",
)
_PROVIDERS = ("REPLICATE_", "COG_", "MOCK_", "MEDIAGEN_")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in _OURS or name.startswith(_PROVIDERS):
            monkeypatch.delenv(name)
