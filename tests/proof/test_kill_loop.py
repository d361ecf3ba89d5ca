"""The kill loop, short: real processes, an evil provider, SIGKILL, and a judge that sees what it must."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from proof.evil_provider import FINAL, LISTED_AFTER_S, TRANSIENT, EvilProvider
from proof.kill_loop import prove
from proof.kill_verdict import Evidence, Restart, judge
from proof.kill_world import SETTINGS, Plan


async def test_nothing_is_lost_or_bought_twice_while_the_server_is_killed(tmp_path: Path) -> None:
    plan = Plan(jobs=60, kills=4, rate=40, seed=20, least_s=0.5, most_s=1.5)
    verdict = await prove(plan, tmp_path)
    assert verdict.violations == []
    assert verdict.figures["kills"] == 4
    assert verdict.figures["jobs_accepted"] == 60
    assert verdict.figures["predictions_sold"] >= 60


def test_the_provider_is_as_evil_again_with_the_same_seed() -> None:
    one, again, other = (EvilProvider(seed, listed_after_s=60) for seed in (1, 1, 2))
    prompts = [f"job {number}" for number in range(50)]
    assert [one.fate(prompt) for prompt in prompts] == [again.fate(prompt) for prompt in prompts]
    assert [one.fate(prompt) for prompt in prompts] != [other.fate(prompt) for prompt in prompts]


def test_the_provider_lists_what_it_sold_within_the_grace_that_the_server_is_told() -> None:
    provider = EvilProvider(1)
    fates = [provider.fate(f"job {number}") for number in range(1000)]
    assert max(fate.answer_delay_s + fate.list_lag_s for fate in fates) < LISTED_AFTER_S
    assert float(SETTINGS["RECONCILE_GRACE"]) >= LISTED_AFTER_S
    assert len({fate.name for fate in fates}) == 11


def test_with_all_faults_the_rest_is_as_evil_as_before_and_predictions_are_listed_in_time() -> None:
    old, tricky = EvilProvider(1), EvilProvider(1, faults="all")
    prompts = [f"job {number}" for number in range(1000)]
    pairs = [(old.fate(prompt), tricky.fate(prompt)) for prompt in prompts]
    assert {
        (one.name, one.fail, one.latency_s) == (two.name, two.fail, two.latency_s) for one, two in pairs
    } == {True}
    assert max(two.answer_delay_s + two.list_lag_s for _, two in pairs) < LISTED_AFTER_S
    tricks = {name for name in tricky.faults if name.startswith("trick ")}
    assert len(tricks) == 14
    assert not [name for name in old.faults if name.startswith("trick ")]


# --- the judge


def a_job(**changes: Any) -> dict[str, Any]:
    return {"id": "id-0", "prompt": "job 0", "status": "completed", "error": None, "attempt": 1, **changes}


def sold(status: str = "succeeded", error: str | None = None, job: str = "job 0") -> dict[str, Any]:
    return {"ref": "r", "job": job, "status": status, "error": error}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job_events (type TEXT, at INTEGER)")
        connection.executemany(
            "INSERT INTO job_events VALUES (?, ?)", [("created", 1100), ("submitted", 1500)]
        )
    connection.close()
    return path


def evidence(database: Path, **changes: Any) -> Evidence:
    found: dict[str, Any] = {
        "plan": {},
        "accepted": {0: {"id-0"}},
        "prompts": {0: "job 0"},
        "jobs": [a_job()],
        "wrong_files": [],
        "sold": [sold()],
        "faults": {},
        "restarts": [Restart(killed_ms=1000, live_s=0.3)],
        "stopped": 0,
        "audit": {"exit_code": 0},
        "others": {},
        "database": database,
        "log": "",
        "left_running": [],
        **changes,
    }
    return Evidence(**found)


def found(*orphans: str, missing: Sequence[str] = ()) -> dict[str, Any]:
    """Return an audit that names these."""
    refs = [{"ref": ref} for ref in orphans]
    return {"exit_code": 1, "orphans": refs, "missing": missing, "bought_twice": []}


def kinds(given: Evidence) -> set[str]:
    return {violation.partition(":")[0] for violation in judge(given, 1.0).violations}


def test_a_good_run_has_no_violation_and_tells_how_fast_work_went_on(database: Path) -> None:
    verdict = judge(evidence(database), 1.0)
    assert verdict.violations == []
    assert verdict.figures["answers_again_s"]["p50"] == 0.3
    assert verdict.figures["works_again_s"]["p50"] == 0.5


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"jobs": []}, {"lost"}),
        ({"accepted": {0: set()}}, {"lost"}),
        ({"accepted": {0: {"id-0", "id-1"}}}, {"accepted twice"}),
        ({"jobs": [a_job(), a_job(id="id-1")]}, {"accepted twice"}),
        ({"jobs": [a_job(status="processing")]}, {"not ended", "wrong end"}),
        ({"sold": [sold(), sold()]}, {"bought twice"}),
        ({"sold": [sold("failed", FINAL), sold()]}, {"bought twice"}),
        ({"sold": [sold("failed", TRANSIENT), sold()]}, set()),
        ({"jobs": [a_job(status="failed", error={"code": "output_lost"})]}, {"wrong end"}),
        ({"sold": [sold("failed", FINAL)]}, {"wrong end"}),
        ({"sold": []}, {"wrong end"}),
        ({"wrong_files": ["id-0"]}, {"wrong file"}),
        ({"audit": {"exit_code": 1}}, {"audit"}),
        ({"others": {"o": "job 9"}, "audit": found("o")}, set()),
        ({"others": {"o": "job 9"}, "audit": found("o", missing=["m"])}, {"audit"}),
        ({"others": {"o": "job 9"}, "audit": found("o", "r")}, {"audit"}),
        ({"others": {"o": "job 9"}, "audit": found()}, {"audit"}),
        ({"others": {"o": "job 9"}, "audit": {"exit_code": 2}}, {"audit"}),
        ({"log": '{"event": "step.crashed"}'}, {"crashed step"}),
        ({"left_running": [7]}, {"left running"}),
        ({"stopped": -9}, {"bad stop"}),
    ],
    ids=lambda value: "-".join(sorted(value)),
)
def test_the_judge_sees_what_must_not_be(database: Path, changes: dict[str, Any], expected: set[str]) -> None:
    assert kinds(evidence(database, **changes)) == expected
