"""What holds for all tests: no setting of the machine's leaks in, and in CI nothing is skipped."""

import os
import signal
from collections.abc import Generator, Iterator

import pytest

from tests.fakes import kept, servers

_OURS = (
    "DATA_DIR",
    "DATABASE_URL",
    "REDIS_URL",
    "PUBLIC_URL",
    "HOST",
    "PORT",
    "DEFAULT_MODEL",
    "CELERY_BROKER_URL",
)
_OURS_BEGIN = ("REPLICATE_", "COG_", "MOCK_", "MEDIAGEN_", "STORAGE_", "S3_")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in _OURS or name.startswith(_OURS_BEGIN):
            monkeypatch.delenv(name)


@pytest.fixture(params=servers.KINDS)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DATABASE_URL of a whole installation; the test runs once with every kind of database."""
    with servers.database_url(request.param) as url:
        yield url


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin a run that leaves nothing behind; the processes of xdist are a part of it."""
    if not hasattr(config, "workerinput"):
        if (
            signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ):  # of a run in the background; children would inherit it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        kept.keep()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say which servers the tests take, even where `-q` leaves the header out."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not session.config.option.collectonly:
        for line in servers.described():
            terminal.write_line(line)


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
