"""The parts of commands: names of files, addresses of servers, and how things look."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mediagen.commands.connection import server_url
from mediagen.commands.saving import Target, contradicts, slug
from mediagen.commands.terminal import advice, job_details, jobs_table, now, plain, short, size, span
from mediagen.errors import InvalidRequest

JOB_ID = "01a1fb9c-b12a-73f4-b13f-ae804f493ad2"
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "status": "processing",
    "message": "mock is making it",
    "progress": 0.5,
    "prompt": "a red fox",
    "model": "mock/darkroom",
    "parameters": {},
    "artifacts": [],
    "error": None,
    "attempt": 1,
    "max_attempts": 4,
    "retry_of": None,
    "created_at": "2026-11-20T12:00:00.000Z",
    "completed_at": None,
    "timeline": [],
}


def test_a_slug_keeps_words_and_drops_the_rest() -> None:
    assert slug("A red fox, in the snow!") == "a-red-fox-in-the-snow"
    assert slug("雪の中の狐") == "雪の中の狐"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("!?") == "mediagen"
    assert slug("word " * 20) == "word-word-word-word-word-word-word-word"
    assert slug("x" * 100) == "x" * 40


@pytest.mark.parametrize(
    ("name", "key", "wrong"),
    [
        ("fox.png", "a.png", False),
        ("fox.jpeg", "a.jpg", False),
        ("fox.JPG", "a.png", True),
        ("fox", "a.png", False),
        ("fox.v1.2", "a.png", False),
        ("fox.final", "a.png", False),
    ],
)
def test_a_name_contradicts_when_it_promises_another_type(name: str, key: str, wrong: bool) -> None:
    assert contradicts(Path(name), {"key": key}) is wrong


def test_a_folder_as_output_takes_names_made_from_prompts() -> None:
    target = Target.of(".", force=False)
    artifact = {"index": 1, "key": "abc.webp"}
    assert target.named({"prompt": "fox", "id": JOB_ID}, artifact) == Path("fox-493ad2-2.webp")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("https://media.example.com/", "https://media.example.com"),
        ("http://127.0.0.1:8000/api/v1", "http://127.0.0.1:8000"),
    ],
)
def test_a_server_may_be_named_in_every_usual_way(text: str, url: str) -> None:
    assert server_url(text, "/api/v1") == url


def test_a_password_in_a_server_s_address_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as caught:
        server_url("ftp://me:hunter22@host", "/api/v1")
    assert "hunter22" not in str(caught.value)


def test_an_escape_sequence_does_not_reach_the_terminal() -> None:
    assert "\x1b" not in plain("a\x1b[2Jb\u202e\r\n").plain


def test_tables_show_hostile_prompts_without_commanding_the_terminal() -> None:
    hostile = {**JOB, "prompt": "fox\x1b]0;title\x07[bold red]"}
    console = Console(file=io.StringIO(), width=200)
    console.print(jobs_table([hostile], now()))
    console.print(job_details(hostile, now()))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    assert "\x1b" not in shown
    assert "[bold red]" in shown


@pytest.mark.parametrize("width", [80, 110, 200])
def test_of_a_long_prompt_only_the_prompt_is_cut(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    completed = {**JOB, "status": "completed", "completed_at": "2026-11-20T12:00:03.200Z"}
    console.print(jobs_table([completed, {**completed, "prompt": "a long sentence " * 50}], now()))
    heads, *rows = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is the StringIO
    assert heads.split() == ["id", "status", "model", "prompt", "age", "took"]
    for row in rows:
        assert row.startswith(short(JOB))
        assert "● completed" in row
        assert "mock/darkroom" in row
        assert row.rstrip().endswith("3.2 s")
    assert "…" in rows[1]


def test_lengths_of_time_and_sizes_are_said_in_words() -> None:
    assert [span(s) for s in (3.21, 125, 3780, 400_000)] == ["3.2 s", "2 min 5 s", "1 h 3 min", "4 d"]
    assert [size(n) for n in (17, 1_500, 2_000_000, 3_000_000_000)] == ["17 B", "1.5 KB", "2.0 MB", "3.0 GB"]


def shown(job: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(job_details(job, now()))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]  # it is the StringIO


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (None, "1 of 4\n"),
        (0, "free of charge"),
        (0.000002, "0.000002 USD"),
        (0.003, "0.0030 USD"),
        (2.5, "2.5000 USD"),
    ],
)
def test_what_a_job_cost_is_said_however_little(usd: float | None, words: str) -> None:
    text = shown({**JOB, "cost": {"usd": usd, "calls": 1}})
    assert words in "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def test_of_progress_in_a_row_only_the_last_is_shown() -> None:
    at = "2026-11-20T12:00:01.000Z"
    events = [
        ("accepted", {}),
        ("progress", {"progress": 0.2}),
        ("progress", {"progress": 0.7}),
        ("storing", {}),
    ]
    timeline = [{"type": kind, "at": at, "data": data} for kind, data in events]
    text = shown({**JOB, "timeline": timeline})
    assert "0.7" in text
    assert "0.2" not in text


def test_a_failed_job_comes_with_advice_on_its_code() -> None:
    error = {"code": "outcome_unknown", "message": "Nobody knows"}
    text = shown({**JOB, "status": "failed", "error": error})
    assert "Nobody knows (outcome_unknown)" in text
    assert "It may have been charged" in text


def test_commands_in_advice_are_named_as_the_user_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediagen.commands.terminal.CALLED", "./run")
    assert advice("See `mediagen doctor`; mediagen is fine") == "See `./run doctor`; mediagen is fine"
