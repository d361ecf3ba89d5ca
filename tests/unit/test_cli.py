"""Commands without a server: what they say, what they write, and how they end."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from PIL import Image
from typer.testing import CliRunner, Result

from mediagen.cli import app
from mediagen.commands.parameters import parameter
from mediagen.db.migrate import HEAD

QUICK = ("-p", "latency_s=0.05", "-p", "width=64", "-p", "height=64")
JOB_ID = "01a1fb9c-b12a-73f4-b13f-ae804f493ad2"


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in a folder of their own, with a DATA_DIR of their own, and leave no logging behind."""
    for name, value in {"DATA_DIR": str(tmp_path / "data"), "PORT": "0", "MIN_FREE_BYTES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def one_job(*args: str) -> dict[str, Any]:
    """Submit a job that waits, and return it."""
    result = run("generate", "a red fox", "--no-wait", "--json", *args)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


# ---------------------------------------------------------------------------------------------- help


def test_help_teaches_with_examples_and_exit_codes() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for text in ("mediagen serve", "-o fox.png", "mediagen jobs", "Exit codes", "mediagen config"):
        assert text in result.stdout


def test_version_is_said() -> None:
    result = run("--version")
    assert result.stdout.startswith("mediagen 0.")


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys, mediagen.cli\n"
        "heavy = {'aiohttp', 'alembic', 'fastapi', 'jsonschema', 'PIL', 'pydantic', 'sqlalchemy', 'uvicorn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mediagen", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout.startswith("mediagen 0.")


# ---------------------------------------------------------------------------------------------- generate


def test_without_a_server_the_job_runs_in_this_process() -> None:
    result = run("generate", "a red fox", "-o", "fox.png", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "No server runs" in result.stderr
    with Image.open("fox.png") as picture:
        assert picture.size == (64, 64)


def test_the_last_line_of_stdout_is_the_path_alone() -> None:
    result = run("generate", "a red fox", "-o", "fox.png", *QUICK)
    assert result.stdout == "fox.png\n"


def test_without_a_name_the_file_is_named_after_prompt_and_job() -> None:
    result = run("generate", "A red fox, in the snow!", *QUICK)
    job = json.loads(run("jobs", "--json").stdout)[0]
    assert result.stdout == f"a-red-fox-in-the-snow-{job['id'][-6:]}.png\n"
    assert Path(result.stdout.strip()).exists()


def test_json_is_the_job_and_where_it_is_saved() -> None:
    result = run("generate", "a red fox", "-o", "fox.png", "--json", *QUICK)
    job = json.loads(result.stdout)
    assert job["status"] == "completed"
    assert job["saved"] == ["fox.png"]


def test_a_dash_as_output_writes_the_bytes_to_stdout() -> None:
    result = run("generate", "a red fox", "-o", "-", *QUICK)
    assert result.exit_code == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout_bytes)) as picture:
        assert picture.size == (64, 64)


def test_of_several_outputs_the_first_goes_to_stdout_and_the_rest_is_told() -> None:
    result = run("generate", "a red fox", "-o", "-", "-p", "num_outputs=2", *QUICK)
    with Image.open(io.BytesIO(result.stdout_bytes)) as picture:
        assert picture.size == (64, 64)
    assert "the first of 2 files; for all of them: mediagen jobs save" in result.stderr


def test_several_outputs_are_numbered() -> None:
    result = run("generate", "a red fox", "-o", "fox.png", "-p", "num_outputs=2", *QUICK)
    assert result.stdout.split() == ["fox.png", "fox-2.png"]


def test_a_failed_job_is_told_with_its_code_and_what_to_do() -> None:
    result = run("generate", "a red fox", "-p", "fault=moderation", *QUICK)
    assert result.exit_code == 1
    assert "(moderation)" in result.stderr
    assert "change the prompt" in result.stderr
    assert result.stdout == ""


def test_a_name_that_promises_another_type_is_kept_with_a_warning() -> None:
    result = run("generate", "a red fox", "-o", "fox.jpg", *QUICK)
    assert Path("fox.jpg").exists()
    assert "fox.jpg is image/png" in result.stderr


def test_an_existing_file_is_refused_before_anything_is_bought() -> None:
    Path("fox.png").write_text("mine")
    result = run("generate", "a red fox", "-o", "fox.png", *QUICK)
    assert result.exit_code == 2
    assert Path("fox.png").read_text() == "mine"
    assert run("jobs", "--json").stdout == "[]\n"


def test_force_replaces_an_existing_file() -> None:
    Path("fox.png").write_text("mine")
    result = run("generate", "a red fox", "-o", "fox.png", "--force", *QUICK)
    assert result.exit_code == 0, result.stderr
    with Image.open("fox.png") as picture:
        assert picture.format == "PNG"


def test_the_second_file_never_replaces_one_that_was_there() -> None:
    Path("fox-2.png").write_text("mine")
    result = run("generate", "a red fox", "-o", "fox.png", "-p", "num_outputs=2", *QUICK)
    job = json.loads(run("jobs", "--json").stdout)[0]
    assert Path("fox-2.png").read_text() == "mine"
    assert result.stdout.split() == ["fox.png", f"fox-2-{job['id'][-6:]}.png"]


def test_no_draft_is_left_behind() -> None:
    run("generate", "a red fox", "-o", "fox.png", *QUICK)
    assert {path.name for path in Path().iterdir()} == {"data", "fox.png"}


def test_a_job_that_is_not_waited_for_stays_queued_and_is_saved_later() -> None:
    job = one_job(*QUICK)
    assert job["status"] == "pending"
    result = run("jobs", "save", job["id"][-6:], "-o", "later.png")
    assert result.exit_code == 0, result.stderr
    assert Path("later.png").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-p", "width"), "-p 'width' is not a parameter"),
        (("-p", "width=many"), "width"),
        (("-m", "no model"), "No provider runs the model 'no model'"),
        (("-o", "missing/fox.png"), "There is no folder 'missing'"),
        (("-o", "/dev/null"), "is no regular file"),
        (("--no-wait", "-o", "fox.png"), "--no-wait saves nothing"),
        (("-o", "-", "--json"), "both write to stdout"),
        (("--server", "ftp://x"), "is no server's address"),
    ],
)
def test_bad_use_is_one_sentence_and_exit_code_2(args: tuple[str, ...], said: str) -> None:
    result = run("generate", "a red fox", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1


def test_a_blank_prompt_is_refused_as_the_api_does() -> None:
    result = run("generate", "  ")
    assert result.exit_code == 2
    assert "prompt: must not be blank" in result.stderr


def test_a_bad_setting_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRIES", "many")
    result = run("generate", "a red fox")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: MAX_RETRIES: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seed=3", 3),
        ("ratio=1.5", 1.5),
        ("on=true", True),
        ("none=null", None),
        ('size={"w": 1}', {"w": 1}),
        ('quoted="3"', "3"),
        ("style=oil paint", "oil paint"),
        ("empty=", ""),
        ("sum=1+1=2", "1+1=2"),
        ("big=NaN", "NaN"),
    ],
)
def test_parameters_are_json_where_they_are_json_and_else_text(text: str, value: object) -> None:
    assert parameter(text) == (text.partition("=")[0], value)


# ---------------------------------------------------------------------------------------------- jobs


def test_jobs_before_the_first_start_are_none_and_nothing_is_created() -> None:
    result = run("jobs")
    assert result.exit_code == 0
    assert "No jobs" in result.stderr
    assert list(Path().iterdir()) == []


def test_a_search_without_a_hit_does_not_say_that_there_are_no_jobs() -> None:
    one_job()
    assert run("jobs", "-q", "a blue whale").stderr == "No job is like that. All of them: mediagen jobs\n"


def test_jobs_lists_the_newest_first_with_short_ids() -> None:
    older, newer = one_job(), one_job("-m", "mock/darkroom")
    lines = run("jobs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["id", newer["id"][-6:], older["id"][-6:]]


def test_jobs_can_be_filtered_by_status_and_text() -> None:
    one_job()
    assert json.loads(run("jobs", "--status", "failed", "--json").stdout) == []
    assert json.loads(run("jobs", "-q", "whale", "--json").stdout) == []
    assert len(json.loads(run("jobs", "--status", "pending", "-q", "FOX", "--json").stdout)) == 1


def test_show_tells_prompt_parameters_and_timeline() -> None:
    job = one_job("-p", "seed=3")
    shown = run("jobs", "show", job["id"][-6:]).stdout
    for text in (job["id"], "a red fox", "seed=3", "created", "pending"):
        assert text in shown


def test_cancel_ends_a_queued_job_and_retry_makes_a_new_one() -> None:
    job = one_job()
    assert run("jobs", "cancel", job["id"]).stdout == f"{job['id']} is canceled\n"
    new_id = run("jobs", "retry", job["id"][-6:]).stdout.strip()
    assert json.loads(run("jobs", "show", new_id, "--json").stdout)["retry_of"] == job["id"]


def test_delete_removes_a_finished_job() -> None:
    job = one_job()
    run("jobs", "cancel", job["id"])
    assert run("jobs", "delete", job["id"]).exit_code == 0
    assert run("jobs", "--json").stdout == "[]\n"


def test_what_the_job_does_not_allow_is_told_with_exit_code_1() -> None:
    job = one_job()
    result = run("jobs", "delete", job["id"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: The job is pending")


@pytest.mark.parametrize(
    ("part", "said"),
    [("abc", "too short"), ("zzzzzz", "None of the 100 newest jobs"), (JOB_ID, "Job not found")],
)
def test_an_id_that_names_no_job_is_bad_use(part: str, said: str) -> None:
    one_job()
    result = run("jobs", "show", part)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_part_that_fits_several_jobs_is_refused_with_their_ids() -> None:
    first, second = one_job(), one_job()
    assert first["id"][:6] == second["id"][:6]  # they begin with the time
    result = run("jobs", "show", first["id"][:6])
    assert result.exit_code == 2
    assert first["id"] in result.stderr
    assert second["id"] in result.stderr


# ---------------------------------------------------------------------------------------------- installation


def test_migrate_creates_the_database_and_says_so() -> None:
    assert run("migrate").stdout == f"{Path('data/mediagen.db').absolute()} has schema {HEAD} now\n"
    assert run("migrate").stdout == f"{Path('data/mediagen.db').absolute()} has schema {HEAD} already\n"


def test_config_shows_values_and_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("JOB_TIMEOUT=7\nMOCK_LATENCY=1\n")
    monkeypatch.setenv("max_retries", "5")
    shown = json.loads(run("config", "--json").stdout)
    assert shown["MAX_RETRIES"] == {"value": "5", "from": "environment"}
    assert shown["JOB_TIMEOUT"] == {"value": "7.0", "from": ".env"}
    assert shown["MOCK_LATENCY"] == {"value": "1.0", "from": ".env"}
    assert shown["LEASE_S"] == {"value": "30.0", "from": "default"}


def test_config_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4,
        "REPLICATE_API_TOKEN": "r8_abcdefghijklmnop",
        "S3_SECRET_KEY": "hunter21",
        "REDIS_URL": "redis://:hunter22@cache:6379/0",
        "DATABASE_URL": "postgresql://me:hunter23@db.example.com/media?password=hunter24",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    shown = run("config").stdout
    for part in ("c2VjcmV0", "abcdefgh", "hunter"):
        assert part not in shown
    for part in ("(hidden)", "redis://cache:6379/0", "postgresql://db.example.com/media"):
        assert part in shown


@pytest.mark.parametrize("name", ["serve", "migrate"])
def test_a_folder_that_can_not_be_made_is_told_in_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file" / "data"))
    result = run(name)
    assert result.exit_code in (1, 2)
    assert result.stderr.count("error: ") == 1
    assert "Traceback" not in result.stderr


def test_serve_refuses_to_be_open_to_the_network() -> None:
    result = run("serve", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "ALLOW_UNAUTHENTICATED" in result.stderr
