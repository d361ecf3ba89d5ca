"""The rules of compose.yaml, Dockerfile and setup.sh, without a container."""

import os
import pty
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediagen.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH\b|_URL$")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_shut_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] in ("unless-stopped", "on-failure:5")
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert not {"privileged", "network_mode", "pid", "devices"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check == {"disable": True} if name == "migrate" else len(check["test"]) > 1


def test_only_the_web_port_can_be_published_beyond_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(ports) == {"api", "flower"}
    assert ports["api"] == ["${WEB_ADDRESS:-127.0.0.1}:${WEB_PORT:-8000}:${WEB_PORT:-8000}"]
    assert all(port.startswith("127.0.0.1:") for port in ports["flower"])


def test_only_postgresql_begins_with_rights() -> None:
    assert [name for name, service in SERVICES.items() if "cap_add" in service] == ["postgres"]


def test_no_password_has_a_default() -> None:
    """Each secret is wanted with a sentence that says what to do; none is written down."""
    for name, service in SERVICES.items():
        for key, value in service["environment"].items():
            if not SECRET.search(key) or ("://" in value and "@" not in value) or not value:
                continue
            wanted = re.findall(r"\$\{(\w+):(.)([^}]*)\}", value)
            secrets = [part for part in wanted if part[0] != "FLOWER_USER"]
            assert secrets, f"{name}: {key} is written down"
            assert all(mark == "?" and "./setup.sh" in said for _, mark, said in secrets), f"{name}: {key}"


def test_no_secret_is_taken_without_being_wanted() -> None:
    taken = re.findall(r"(?<!\$)\$\{(\w+)(:\?)?", (ROOT / "compose.yaml").read_text())
    assert {name for name, wanted in taken if SECRET.search(name) and not wanted} == set()


def test_every_volume_has_a_name() -> None:
    used = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])
    }
    assert used == set(COMPOSE["volumes"])


def test_workers_can_be_multiplied() -> None:
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_all_processes_of_ours_have_the_same_settings() -> None:
    assert (
        SERVICES["api"]["environment"]
        == SERVICES["worker"]["environment"]
        == SERVICES["migrate"]["environment"]
    )
    known = {name.upper() for name in Settings.model_fields}
    ours = {name for name in SERVICES["api"]["environment"] if not name.startswith("S3_")}
    assert ours <= known


def test_the_image_runs_as_nobody_and_copies_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "USER 10001:10001" in text
    assert "HEALTHCHECK" in text
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert not {"!.env", "!data", "!."} & set(ignored)


def test_base_images_are_those_that_the_try_makes() -> None:
    named = set(re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), re.M))
    named |= {service["image"] for service in SERVICES.values() if "$" not in service["image"]}
    text = (ROOT / "deploy/try").read_text()
    assert [image for image in named if image not in text] == []


# ---------------------------------------------------------------------------------------------- setup.sh


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy2(ROOT / "setup.sh", tmp_path)
    return tmp_path


def setup(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "./setup.sh", *args],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def values(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_setup_writes_secrets_that_only_the_owner_can_read(folder: Path) -> None:
    done = setup(folder, "--env-only")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    found = values(folder)
    wanted = set(re.findall(r"\$\{(\w+):\?", (ROOT / "compose.yaml").read_text()))
    assert wanted == set(found) - {"FLOWER_USER"}
    assert all(len(found[name]) >= 20 for name in wanted)
    assert len(set(found.values())) == len(found)
    assert not any(value in done.stdout + done.stderr for value in found.values() if value != "mediagen")


def test_the_secrets_of_setup_are_good_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup(folder, "--env-only")
    monkeypatch.chdir(folder)
    settings = load_settings()
    assert settings.hook_secret == values(folder)["HOOK_SECRET"]
    assert settings.webhook_secret == values(folder)["WEBHOOK_SECRET"]


def test_two_installations_share_no_secret(folder: Path) -> None:
    setup(folder, "--env-only")
    first = values(folder)
    (folder / ".env").unlink()
    setup(folder, "--env-only")
    assert {name for name, value in values(folder).items() if value == first[name]} == {"FLOWER_USER"}


def test_setup_never_changes_what_stands_in_env(folder: Path) -> None:
    before = "PORT=9000\nPOSTGRES_PASSWORD=mine\nS3_SECRET_KEY=\n# a remark\nFLOWER_PORT=1"
    (folder / ".env").write_text(before)
    (folder / ".env").chmod(0o644)
    setup(folder, "--env-only")
    once = (folder / ".env").read_text()
    assert once.startswith(before + "\n")
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert (values(folder)["POSTGRES_PASSWORD"], values(folder)["FLOWER_PORT"]) == ("mine", "1")
    assert len(values(folder)["S3_SECRET_KEY"]) == 64  # an empty one is none
    setup(folder, "--env-only")
    assert (folder / ".env").read_text() == once


def test_setup_without_docker_says_what_to_install(folder: Path) -> None:
    for tool in ("dirname", "sed"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [str(shutil.which("sh")), "./setup.sh", "--yes"], cwd=folder, env={"PATH": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Docker with Compose v2" in done.stderr
    assert not (folder / ".env").exists()


def test_setup_starts_what_compose_names_and_tells_where_things_are(folder: Path) -> None:
    """A Compose and a curl that only note how they are called stand in for the real ones; deploy/try takes those."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("composer", "curl"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "$CALLS"\n')
        (tools / name).chmod(0o755)
    calls = folder / "calls"
    done = setup(
        folder,
        "--yes",
        PATH=f"{tools}:{os.environ['PATH']}",
        COMPOSE="composer -v",
        CALLS=str(calls),
        WEB_PORT="81",
    )
    assert done.returncode == 0, done.stderr
    started, asked = calls.read_text().splitlines()
    assert started == "composer -v up -d --build"
    assert asked.endswith("http://127.0.0.1:81/health/ready")
    assert "http://127.0.0.1:81/docs" in done.stdout
    assert "FLOWER_PASSWORD in .env" in done.stdout
    assert values(folder)["FLOWER_PASSWORD"] not in done.stdout


@pytest.mark.parametrize(
    ("typed", "kept"), [("r8_canary0123", "r8_canary0123"), ("", None), ("$(id) x", None)]
)
def test_setup_asks_for_the_token_on_a_terminal_and_does_not_show_it(
    folder: Path, typed: str, kept: str | None
) -> None:
    for name in ("composer", "curl"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            ["sh", "./setup.sh"],
            cwd=folder,
            env={"PATH": f"{folder}:{os.environ['PATH']}", "COMPOSE": "composer"},
            stdin=theirs,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        asked = ""
        while not asked.endswith("): "):
            asked += process.stdout.read(1)
        os.write(ours, f"{typed}\n".encode())
        process.communicate(timeout=60)
        os.set_blocking(ours, False)
        shown = b""
        with suppress(BlockingIOError):
            shown = os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0
    assert "Replicate API token" in asked
    assert typed.encode() not in shown or not typed
    assert values(folder).get("REPLICATE_API_TOKEN") == kept


def test_setup_explains_itself_and_refuses_what_it_does_not_know(folder: Path) -> None:
    shown = setup(folder, "--help")
    assert (shown.returncode, "--env-only" in shown.stdout) == (0, True)
    assert setup(folder, "--force").returncode == 1
    assert not (folder / ".env").exists()
