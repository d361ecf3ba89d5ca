"""The runtime: what its processes share, and how it waits for servers that start beside it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from mediagen import runtime
from mediagen.errors import SettingsError
from mediagen.runtime import Runtime, load_secrets, when_there
from mediagen.settings import load_settings
from tests.fakes.clock import ManualClock
from tests.fakes.ports import free_port

SECRET = "0123456789abcdef" * 2


def test_processes_with_one_hook_secret_mark_the_same_addresses_without_a_file(tmp_path: Path) -> None:
    hooks = {load_secrets(load_settings(data_dir=tmp_path / name, hook_secret=SECRET)).hook for name in "ab"}
    assert len(hooks) == 1
    assert [path.name for path in tmp_path.rglob("hook.key")] == []


def test_without_a_hook_secret_each_data_folder_makes_its_own_once(tmp_path: Path) -> None:
    first, again, other = (load_secrets(load_settings(data_dir=tmp_path / name)).hook for name in "aab")
    assert first == again != other
    assert len(first) == 32


def there_after(clock: ManualClock, seconds: float) -> Callable[[], Awaitable[str]]:
    """Return what is refused until so many seconds have passed."""

    async def deed() -> str:
        if clock.monotonic() < seconds:
            raise SettingsError("DATABASE_URL: nobody answers")
        return "done"

    return deed


async def test_a_start_waits_for_a_server_that_comes_late() -> None:
    clock = ManualClock()
    assert await when_there(there_after(clock, 30), load_settings(start_wait_s=60), clock) == "done"
    assert clock.monotonic() == 30


@pytest.mark.parametrize("wait_s", [0, 5])
async def test_a_start_gives_up_after_its_wait_and_says_why(wait_s: float) -> None:
    clock = ManualClock()
    with pytest.raises(SettingsError, match="nobody answers"):
        await when_there(there_after(clock, 30), load_settings(start_wait_s=wait_s), clock)
    assert clock.monotonic() == wait_s


@pytest.mark.parametrize("name", ["redis_url", "celery_broker_url"])
async def test_a_start_without_its_broker_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(runtime, "log", log)
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    started = await Runtime.start(load_settings(data_dir=tmp_path, min_free_bytes=0, **{name: url}))
    await started.close()
    [said] = [call.kwargs["say"] for call in log.calls if call.args == ("broker.unreachable",)]
    assert f"Check {name.upper()}" in said
    assert "hunter2" not in said
