"""What holds for all tests: no setting of the machine's leaks in, and in CI nothing is skipped."""

import os
from collections.abc import Generator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a part that can't run is a failure: a check that is skipped in silence proves nothing."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {report.longrepr}"
    return report
