"""The doctor finds what is wrong and says how to mend it, whatever state the installation is in."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

import mediagen
from mediagen.clock import Clock, SystemClock
from mediagen.commands import doctor
from mediagen.commands.doctor_providers import check_providers
from mediagen.commands.findings import Finding, Verdict
from mediagen.db.migrate import migrate_sqlite
from mediagen.jobs.service import Submission
from mediagen.runtime import Runtime, load_secrets
from mediagen.settings import Settings, load_settings
from tests.fakes.clock import ManualClock
from tests.fakes.ports import free_port
from tests.fakes.rawhttp import app_server

CLOCK = SystemClock()
MakeSettings = Callable[..., Settings]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    """Settings of an installation in the test's own folder; more can be given by name."""
    monkeypatch.chdir(tmp_path)

    def made(**more: object) -> Settings:
        return load_settings(**{"data_dir": tmp_path / "data", "port": 0, "min_free_bytes": 0, **more})

    return made


def only(findings: Sequence[Finding], status: Verdict) -> Finding:
    found = [finding for finding in findings if finding.status is status]
    assert len(found) == 1, findings
    return found[0]


# ---------------------------------------------------------------------------------------------- all of it


async def test_a_misspelled_setting_in_the_env_file_is_named_and_other_names_are_not(
    make: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(make().data_dir))
    (tmp_path / ".env").write_text("S3_BUKET=pictures\nFLOWER_PASSWORD=x\nport=0\nAZURE_KEY=y\n")
    found = [one for one in await doctor.examine(CLOCK) if one.name == "Settings"]
    assert [one.detail for one in found if one.status is Verdict.WARN] == [
        "S3_BUKET in .env is no setting; S3_BUCKET is"
    ]


async def test_a_fresh_installation_is_well_and_looking_creates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DATA_DIR": str(tmp_path / "data"), "PORT": "0", "MIN_FREE_BYTES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    findings = await doctor.examine(CLOCK)
    assert [finding.detail for finding in findings if finding.status is Verdict.FAIL] == []
    assert os.listdir(tmp_path) == []


async def test_an_installation_that_was_used_is_well(
    tmp_path: Path, make: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Runtime.start(make())).close()
    for name, value in {"DATA_DIR": str(tmp_path / "data"), "PORT": "0", "MIN_FREE_BYTES": "0"}.items():
        monkeypatch.setenv(name, value)
    findings = await doctor.examine(CLOCK)
    assert [finding.detail for finding in findings if finding.status is Verdict.FAIL] == []
    assert any("sound, 0 jobs" in finding.detail for finding in findings)
    assert any("writable" in finding.detail for finding in findings)


async def test_settings_that_can_not_be_read_are_the_only_further_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "many")
    findings = await doctor.examine(CLOCK)
    assert [finding.name for finding in findings] == ["Python", "Settings"]
    assert "PORT" in findings[1].detail
    assert findings[1].mend


async def test_a_check_that_breaks_is_a_finding_and_stops_no_other(
    make: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Settings, __: Clock) -> Sequence[Finding]:
        raise RuntimeError("out of order, token r8_abcdefghijkl")

    monkeypatch.chdir(make().data_dir.parent)
    monkeypatch.setenv("DATA_DIR", str(make().data_dir))
    monkeypatch.setattr(doctor, "CHECKS", {"Broken": broken, "Data folder": doctor.check_data_folder})
    findings = await doctor.examine(CLOCK)
    broken_one = only(findings, Verdict.FAIL)
    assert broken_one.shown["detail"] == "RuntimeError: out of order, token [secret]"
    assert findings[-1].name == "Data folder"


def test_an_old_python_fails() -> None:
    assert doctor.check_python((3, 10, 4)).status is Verdict.FAIL
    assert doctor.check_python((3, 11, 0)).status is Verdict.OK


# ---------------------------------------------------------------------------------------------- disk


async def test_a_data_folder_that_can_not_be_made_fails(tmp_path: Path, make: MakeSettings) -> None:
    (tmp_path / "file").write_text("")
    findings = await doctor.check_data_folder(make(data_dir=tmp_path / "file" / "data"), CLOCK)
    assert "set DATA_DIR" in only(findings, Verdict.FAIL).mend


async def test_a_data_folder_is_tried_not_guessed(make: MakeSettings) -> None:
    findings = await doctor.check_data_folder(make(data_dir=Path("/proc/media")), CLOCK)
    assert "'/proc/media' can't be made in '/proc'" in only(findings, Verdict.FAIL).detail


async def test_a_disk_without_room_fails(tmp_path: Path, make: MakeSettings) -> None:
    findings = await doctor.check_data_folder(make(data_dir=tmp_path, min_free_bytes=10**18), CLOCK)
    assert "MIN_FREE_BYTES" in only(findings, Verdict.FAIL).mend


async def test_keys_that_others_can_read_are_a_warning(make: MakeSettings) -> None:
    load_secrets(make())
    assert [f.status for f in await doctor.check_data_folder(make(), CLOCK)] == [Verdict.OK]
    os.chmod(make().data_dir / "hook.key", 0o644)
    finding = only(await doctor.check_data_folder(make(), CLOCK), Verdict.WARN)
    assert finding.mend == f"chmod 600 {make().data_dir / 'hook.key'}"


async def test_a_storage_that_does_not_answer_fails(
    make: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("S3_ACCESS_KEY", "somebody")
    monkeypatch.setenv("S3_SECRET_KEY", "a-secret-of-theirs")
    findings = await doctor._guarded("Storage", doctor.check_storage, make(storage_type="s3"), CLOCK)
    detail = only(findings, Verdict.FAIL).detail
    assert "S3_ENDPOINT" in detail
    assert "can't be used now" in detail


@pytest.mark.parametrize("endpoint", ["ftp://storage", "storage:9000", "http://", "http://me:secret@storage"])
async def test_a_storage_that_can_not_be_an_address_is_named(
    make: MakeSettings, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("S3_ENDPOINT", endpoint)
    findings = await doctor._guarded("Storage", doctor.check_storage, make(storage_type="s3"), CLOCK)
    detail = only(findings, Verdict.FAIL).detail
    assert detail.startswith("S3_ENDPOINT: write https://host")
    assert "secret" not in detail


async def test_a_broker_that_does_not_answer_fails(make: MakeSettings) -> None:
    settings = make(redis_url=f"redis://:hunter22@127.0.0.1:{free_port()}/0")
    finding = only(await doctor._guarded("Broker", doctor.check_broker, settings, CLOCK), Verdict.FAIL)
    assert "REDIS_URL" in finding.detail
    assert "hunter22" not in finding.shown["detail"]


# ---------------------------------------------------------------------------------------------- database


async def database(settings: Settings, clock: Clock = CLOCK) -> Finding:
    findings = await doctor._guarded("Database", doctor.check_database, settings, clock)
    return next(finding for finding in findings if finding.name == "Database")


async def test_a_file_that_is_no_database_fails(make: MakeSettings) -> None:
    path = make().data_dir / "mediagen.db"
    path.parent.mkdir()
    path.write_bytes(b"no database at all " * 500)
    finding = await database(make())
    assert finding.status is Verdict.FAIL
    assert "can't be read as a database" in finding.detail


async def test_a_damaged_database_fails(make: MakeSettings) -> None:
    path = make().data_dir / "mediagen.db"
    migrate_sqlite(path)
    raw = bytearray(path.read_bytes())
    raw[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
    path.write_bytes(raw)
    assert (await database(make())).status is Verdict.FAIL


@pytest.mark.parametrize(
    ("revision", "status", "mend"),
    [("0000", Verdict.WARN, "mediagen migrate"), ("9999", Verdict.FAIL, "upgrade mediagen")],
)
async def test_a_schema_of_another_version_is_told(
    revision: str, status: Verdict, mend: str, make: MakeSettings
) -> None:
    path = make().data_dir / "mediagen.db"
    migrate_sqlite(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()
    finding = await database(make())
    assert (finding.status, finding.mend) == (status, mend)


async def test_a_database_without_our_schema_is_a_warning(make: MakeSettings) -> None:
    make().data_dir.mkdir()
    sqlite3.connect(make().data_dir / "mediagen.db").close()
    finding = await database(make())
    assert finding.status is Verdict.WARN
    assert "mediagen migrate" in finding.mend


async def test_a_database_server_that_does_not_answer_fails(make: MakeSettings) -> None:
    finding = await database(make(database_url=f"postgresql://me:hunter22@127.0.0.1:{free_port()}/media"))
    assert finding.status is Verdict.FAIL
    assert "does not answer" in finding.detail
    assert "hunter22" not in finding.shown["detail"]


async def test_a_database_of_another_kind_fails_with_the_setting(make: MakeSettings) -> None:
    finding = await database(make(database_url="mysql://host/db"))
    assert finding.status is Verdict.FAIL
    assert "DATABASE_URL" in finding.detail


async def test_a_clock_before_this_version_was_written_fails(make: MakeSettings) -> None:
    findings = await doctor.check_database(make(), ManualClock(now_ms=0))
    assert only(findings, Verdict.FAIL).detail == "it says 1970-01-01 00:00:00 UTC"


async def test_a_clock_that_went_back_is_a_warning(make: MakeSettings) -> None:
    ahead = ManualClock(now_ms=CLOCK.now_ms() + 3_600_000)
    runtime = await Runtime.start(make(), ahead)
    await runtime.jobs.submit(Submission(prompt="a red fox"))
    await runtime.close()
    finding = only(await doctor.check_database(make(), CLOCK), Verdict.WARN)
    assert finding.name == "Clock"


# ---------------------------------------------------------------------------------------------- providers


async def test_without_a_provider_mock_mode_is_a_warning_that_says_how_to_connect_one(
    make: MakeSettings,
) -> None:
    finding = only(await check_providers(make(), CLOCK), Verdict.WARN)
    assert "mock mode" in finding.detail
    assert "connect" in finding.mend


async def test_a_provider_that_is_down_fails(make: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COG_URL", f"http://127.0.0.1:{free_port()}")
    finding = only(await check_providers(make(), CLOCK), Verdict.FAIL)
    assert finding.name == "Provider cog"
    assert finding.mend


async def test_a_provider_whose_setting_is_wrong_fails_and_the_others_are_checked(
    make: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COG_URL", "nowhere")
    findings = await check_providers(make(), CLOCK)
    assert "COG_URL" in only(findings, Verdict.FAIL).detail
    assert any(finding.name == "Provider mock" for finding in findings)


async def test_a_default_model_that_nothing_runs_fails(make: MakeSettings) -> None:
    settings = make(default_model="no model")
    findings = await doctor._guarded("Models", check_providers, settings, CLOCK)
    assert "'no model'" in only(findings, Verdict.FAIL).detail


# ---------------------------------------------------------------------------------------------- server


@asynccontextmanager
async def server_saying(health: dict[str, object]) -> AsyncIterator[int]:
    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/health/live"):
            return web.json_response({"name": "mediagen"})
        return web.json_response(health, status=503)

    async with app_server(handler) as url:
        yield int(url.rpartition(":")[2])


def part(status: str, detail: str = "") -> dict[str, object]:
    return {"status": status, "detail": detail, "latency_ms": 1.0}


async def test_no_server_and_a_free_port_is_well(make: MakeSettings) -> None:
    (finding,) = await doctor.check_server(make(port=free_port()), CLOCK)
    assert finding.status is Verdict.OK
    assert "none runs" in finding.detail


async def test_a_port_that_another_program_uses_fails(make: MakeSettings) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with app_server(other) as url:
        (finding,) = await doctor.check_server(make(port=int(url.rpartition(":")[2])), CLOCK)
    assert finding.status is Verdict.FAIL
    assert "set PORT" in finding.mend


async def test_a_server_whose_worker_is_gone_fails_in_that_part_alone(make: MakeSettings) -> None:
    parts = {"database": part("ok"), "worker": part("failing", "No worker was seen")}
    async with server_saying({"version": mediagen.__version__, "components": parts}) as port:
        findings = await doctor.check_server(make(port=port), CLOCK)
    finding = only(findings, Verdict.FAIL)
    assert (finding.name, finding.detail) == ("Worker", "No worker was seen")
    assert "--no-worker" in finding.mend


async def test_a_server_of_another_version_is_a_warning(make: MakeSettings) -> None:
    async with server_saying({"version": "0.0.1", "components": {"database": part("ok")}}) as port:
        finding = only(await doctor.check_server(make(port=port), CLOCK), Verdict.WARN)
    assert "0.0.1" in finding.detail


async def test_listening_to_the_network_without_a_lock_fails(make: MakeSettings) -> None:
    findings = await doctor._guarded("Server", doctor.check_server, make(host="0.0.0.0"), CLOCK)
    assert "ALLOW_UNAUTHENTICATED" in only(findings, Verdict.FAIL).detail


# ---------------------------------------------------------------------------------------------- pictures


async def test_a_thumbnail_is_really_made(make: MakeSettings) -> None:
    (finding,) = await doctor.check_pictures(make(), CLOCK)
    assert "640×480" in finding.detail
