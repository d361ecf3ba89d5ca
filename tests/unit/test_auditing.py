"""The command `mediagen audit`: whom it asks, what it says, and how it exits."""

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from mediagen.commands.auditing import examine, shown, span_ms, tables
from mediagen.db.migrate import migrate_sqlite
from mediagen.errors import InvalidRequest, ProviderError, SettingsError
from mediagen.settings import Settings, load_settings
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, provider_at

HOUR_MS = 3_600_000


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        monkeypatch.setenv("REPLICATE_API_TOKEN", server.token)
        monkeypatch.setenv("REPLICATE_API_BASE_URL", server.url)
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    migrate_sqlite(tmp_path / "mediagen.db")
    return load_settings(data_dir=tmp_path)


async def sell_to_a_stranger(fake: FakeReplicate) -> str:
    async with provider_at(fake.url) as provider:
        return (await bought(provider, a_call())).ref


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("90m", 5_400_000), ("24h", 86_400_000), ("7d", 604_800_000), ("1s", 1000)]
)
def test_a_span_has_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert span_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "1w", "24h ago", "9999999h"])
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match="24h"):
        span_ms(text)


async def test_all_providers_that_cost_money_are_asked(fake: FakeReplicate, settings: Settings) -> None:
    assert [found.provider for found in await examine(settings, None, HOUR_MS)] == ["replicate"]


async def test_without_a_provider_that_costs_money_there_is_nothing_to_audit(tmp_path: Path) -> None:
    assert await examine(load_settings(data_dir=tmp_path / "none"), None, HOUR_MS) == []


async def test_a_provider_that_is_not_configured_is_refused_naming_those_that_are(settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match=r"'nobody'.*mock"):
        await examine(settings, "nobody", HOUR_MS)


async def test_a_provider_that_can_not_list_what_it_sold_is_an_error(settings: Settings) -> None:
    with pytest.raises(ProviderError, match="can't list"):
        await examine(settings, "mock", HOUR_MS)


async def test_a_missing_database_is_not_created(fake: FakeReplicate, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no database"):
        await examine(load_settings(data_dir=tmp_path / "none"), None, HOUR_MS)
    assert not (tmp_path / "none").exists()


async def test_an_orphan_is_named_to_people_and_to_programs(fake: FakeReplicate, settings: Settings) -> None:
    ref = await sell_to_a_stranger(fake)
    audits = await examine(settings, None, HOUR_MS)
    [found] = [shown(each) for each in audits]
    assert (found["ok"], found["sold"], [each["ref"] for each in found["orphans"]]) == (False, 1, [ref])
    console = Console(width=200, file=io.StringIO())
    with console.capture() as said:
        console.print(*tables(audits))
    assert f"orphan: {ref}" in said.get()


@pytest.mark.parametrize(("strangers", "code"), [(0, 0), (1, 1)])
async def test_the_exit_code_says_whether_provider_and_ledger_agree(
    fake: FakeReplicate, settings: Settings, strangers: int, code: int
) -> None:
    for _ in range(strangers):
        await sell_to_a_stranger(fake)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediagen", "audit", "replicate", "--since", "1h", "--json"),
        env={**os.environ, "DATA_DIR": str(settings.data_dir)},
        cwd=settings.data_dir,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert (process.returncode, len(json.loads(out)[0]["orphans"])) == (code, strangers)
