"""The simulation, short: the gate has 6,000 schedules (`python -m proof.simulation --schedules 6000 --jobs 2`)."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proof.simulation import parts, regressions
from proof.simulation.__main__ import main
from proof.simulation.database import Store
from proof.simulation.faults import Fault, Level
from proof.simulation.invariants import Kind
from proof.simulation.mutants import MUTANTS, applied
from proof.simulation.profiles import PROFILES
from proof.simulation.regressions import Regression
from proof.simulation.runs import Task, Totals, run
from proof.simulation.world import simulate

REGRESSIONS = regressions.load()
SCHEDULES = 600
SOON = 1_000
RARE = {"one-look", "impatient"}
"""Bugs that only many hundreds of schedules notice: `python -m proof.simulation --mutant all` has all of them."""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with closing(Store()) as opened:
        yield opened


@pytest.fixture(scope="module")
def totals() -> Totals:
    return run(Task(first=1_000_000, count=SCHEDULES, level=Level.MIXED), processes=1)


def test_no_schedule_breaks_a_promise(totals: Totals) -> None:
    assert [(result.seed, result.violations) for result in totals.violated] == []
    assert totals.schedules == SCHEDULES


def test_the_schedules_are_worth_something(totals: Totals) -> None:
    """Every fault, kind of provider and end of a job occurs in them."""
    assert set(totals.struck) == set(Fault)
    assert set(totals.profiles) == {profile.name for profile in PROFILES}
    assert set(totals.ends) == {"succeeded", "failed", "canceled"}
    assert totals.ends["succeeded"] > SCHEDULES / 2
    assert totals.sales > SCHEDULES


def test_without_faults_every_job_succeeds(store: Store) -> None:
    results = [simulate(seed, store, level=Level.NONE) for seed in range(20)]
    assert [result.violations for result in results] == [()] * 20
    assert {state for result in results for state in result.ends} == {"succeeded"}


@pytest.mark.parametrize("mutant", sorted(set(MUTANTS) - RARE))
def test_a_seeded_bug_is_noticed_soon(mutant: str) -> None:
    """By the schedule that was kept, and soon after it when other code made other schedules of the seeds."""
    one = REGRESSIONS[mutant]
    faults = MUTANTS[mutant].faults
    bug = Task(first=one.seed, count=SOON, level=one.level, mutant=mutant, only=faults, until_caught=True)
    noticed = run(bug, processes=1).violated[0].violations[0]
    assert noticed.kind is not Kind.CRASH or "IntegrityError" in noticed.what  # the database's last net


@pytest.mark.parametrize("one", REGRESSIONS.values(), ids=lambda one: one.mutant)
def test_what_was_noticed_once_is_mended(one: Regression, store: Store) -> None:
    faults = MUTANTS[one.mutant].faults
    assert simulate(one.seed, store, level=one.level, only=faults).violations == ()


def test_every_seeded_bug_has_a_schedule_and_together_they_break_every_promise() -> None:
    assert set(REGRESSIONS) == set(MUTANTS)
    assert {one.kind for one in REGRESSIONS.values()} == set(Kind)


def test_only_the_faults_that_are_named_happen(store: Store) -> None:
    only = frozenset({Fault.POST_LOST, Fault.SELLER_CLOCK})
    struck = [set(simulate(seed, store, only=only).struck) for seed in range(40)]
    assert set().union(*struck) == only


# ---------------------------------------------------------------------------------------------- parts


def run_parts(folder: Path) -> Totals:
    """Run 5 schedules in parts of 2."""
    task = Task(first=0, count=5, level=Level.MIXED)
    return parts.run_parts(task, folder, processes=1, most_s=60, moves=lambda _: None, size=2)


def test_parts_that_are_there_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "commit", lambda: "1234")
    whole = run_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000000000-2.json",
        "000000002-2.json",
        "000000004-1.json",
    ]
    monkeypatch.setattr(parts, "run", None)
    assert run_parts(tmp_path).figures == whole.figures
    assert whole.schedules == 5


@pytest.mark.parametrize("head", ["5678", "1234+"], ids=["of another commit", "of changed files"])
def test_parts_of_other_code_are_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(parts, "commit", lambda: "1234")
    run_parts(tmp_path)
    begun: list[int] = []

    def begin(task: Task, **_: object) -> Totals:
        begun.append(task.first)
        return Totals()

    monkeypatch.setattr(parts, "commit", lambda: head)
    monkeypatch.setattr(parts, "run", begin)
    run_parts(tmp_path)
    assert begun == [0, 2, 4]


def test_a_part_keeps_what_was_violated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "commit", lambda: "1234")
    with applied("retry-unknown"):
        task = Task(first=0, count=50, level=Level.HEAVY)
        first, again = (
            parts.run_parts(task, tmp_path, processes=1, most_s=60, moves=lambda _: None) for _ in range(2)
        )
    assert first.violated
    assert again.figures == first.figures


# ---------------------------------------------------------------------------------------------- replay


def trace(seed: int, store: Store) -> list[str]:
    """Return all that happens in a schedule."""
    return [str(line) for line in simulate(seed, store, traced=True).trace]


def test_a_seed_is_the_same_schedule_whatever_was_simulated_before(store: Store) -> None:
    first = [trace(seed, store) for seed in range(10)]
    again = [trace(seed, store) for seed in reversed(range(10))]
    assert first == again[::-1]
    assert len({tuple(lines) for lines in first}) == 10


def test_a_seed_is_the_same_schedule_in_another_process(store: Store) -> None:
    command = [sys.executable, "-m", "proof.simulation", "--seed", "7"]
    env = {**os.environ, "PYTHONHASHSEED": "4711"}
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[:-1] == trace(7, store)
    assert shown[-1].startswith("seed 7 (")


# ---------------------------------------------------------------------------------------------- the command


def command(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["simulation", *args])
    return main()


def test_the_command_shows_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--schedules", "3", "--json", str(tmp_path / "figures.json")) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["schedules"], figures["lost"], figures["bought_twice"], figures["stuck"]) == (3, 0, 0, 0)
    assert "a worker dies" in capsys.readouterr().out


def test_the_command_fails_when_a_promise_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with applied("retry-unknown"):
        assert command(monkeypatch, "--schedules", "50") == 1
    (seed,) = re.findall(r"^seed (\d+) \(.*: bought twice: ", capsys.readouterr().out, re.MULTILINE)[:1]
    assert command(monkeypatch, "--mutant", "retry-unknown", "--seed", seed) == 1
    assert "!!!       bought twice: " in capsys.readouterr().out
