"""Many schedules in pieces: each leaves a file with what it came to, so that a run can be stopped and go on later.

A piece counts only for the commit that it was run with. What was changed and not committed can't be told apart, so
nothing is taken over then.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from proof.simulation.faults import Fault
from proof.simulation.invariants import Kind, Violation
from proof.simulation.result import Result
from proof.simulation.runs import Task, Totals, run

PART = 10_000
"""Schedules of a piece."""

_CODE = Path(__file__).resolve().parents[2]


def commit() -> str:
    """Return the commit of this code; it ends in `+` where files differ from it."""

    def git(*args: str) -> str:
        done = subprocess.run(("git", "-C", str(_CODE), *args), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "src", "proof") else "")


def run_parts(
    task: Task, folder: Path, *, processes: int, most_s: float, moves: Callable[[int], None], size: int = PART
) -> Totals:
    """Run the pieces of the task that are not in the folder yet; return what all of them come to."""
    folder.mkdir(parents=True, exist_ok=True)
    head, begun, totals = commit(), time.monotonic(), Totals()
    for first in range(task.first, task.first + task.count, size):
        piece = replace(task, first=first, count=min(size, task.seeds.stop - first))
        path = folder / f"{piece.first:09d}-{piece.count}.json"
        found = _kept(path, head, piece)
        if found is None and time.monotonic() - begun < most_s:
            done = totals.schedules
            found = run(piece, processes=processes, moves=lambda more, done=done: moves(done + more))  # type: ignore[misc]
            _keep(path, head, piece, found)
        if found is not None:
            totals.merge(found)
            totals.seconds += found.seconds
            moves(totals.schedules)
    return totals


def _named(head: str, piece: Task) -> dict[str, Any]:
    only = None if piece.only is None else sorted(fault.name for fault in piece.only)
    return {"commit": head, "level": piece.level.value, "only": only, "mutant": piece.mutant}


def _kept(path: Path, head: str, piece: Task) -> Totals | None:
    """Return what a piece came to; None when it was not run, or with other code or otherwise."""
    if head.endswith("+") or not path.exists():
        return None
    said = json.loads(path.read_text())
    return _totals(said["totals"]) if said["run"] == _named(head, piece) else None


def _keep(path: Path, head: str, piece: Task, totals: Totals) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"run": _named(head, piece), "totals": _plain(totals)}, indent=1) + "\n")
    os.replace(new, path)  # a piece is there whole or not at all


def _plain(totals: Totals) -> dict[str, Any]:
    violated = [_plain_result(result) for result in totals.violated]
    struck = {fault.name: times for fault, times in totals.struck.items()}
    return {**totals.__dict__, "struck": struck, "violated": violated}


def _plain_result(result: Result) -> dict[str, Any]:
    violations = [each.__dict__ for each in result.violations]
    return {**result.__dict__, "violations": violations, "struck": {}, "trace": []}


def _totals(said: dict[str, Any]) -> Totals:
    totals = Totals(**{name: said[name] for name in ("schedules", "steps", "sales", "virtual_ms", "seconds")})
    totals.profiles.update(said["profiles"])
    totals.ends.update(said["ends"])
    totals.struck.update({Fault[name]: times for name, times in said["struck"].items()})
    totals.violated += [_result(one) for one in said["violated"]]
    return totals


def _result(said: dict[str, Any]) -> Result:
    violations = tuple(Violation(**{**each, "kind": Kind(each["kind"])}) for each in said["violations"])
    return Result(**{**said, "violations": violations, "trace": ()})
