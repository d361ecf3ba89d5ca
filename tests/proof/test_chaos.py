"""Chaos, short: the command on a whole installation, the usual design unharmed, and a judge that sees what it must."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from proof.chaos.__main__ import prove
from proof.chaos.designs import DESIGNS, Audit, End
from proof.chaos.verdict import Evidence, judge
from proof.chaos.world import Plan
from proof.evil_provider import FINAL, TRANSIENT
from proof.kill_world import ROOT
from tests.fakes import servers
from tests.fakes.started import postgres_bin, redis_binary


@pytest.fixture
def _own_servers() -> None:
    servers.demand(postgres_bin(), "PostgreSQL")
    servers.demand(redis_binary(), "Redis")


@pytest.mark.usefixtures("_own_servers")
async def test_nothing_is_lost_or_bought_twice_in_chaos(tmp_path: Path) -> None:
    options = (
        "--minutes 0.3 --rate 2 --kill-every 2.5 --flush-every 5 --pg-restarts 1 --settle 60 --ours-only"
    )
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proof.chaos", *options.split(), "--json", str(tmp_path / "figures.json")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await command.communicate()
    assert command.returncode == 0, said.decode()
    found = json.loads((tmp_path / "figures.json").read_text())["mediagen"]
    assert found["violations"] == []
    expected = {"jobs accepted": 36, "lost": 0, "bought twice": 0, "audit: left / unknown": "0 / 0"}
    assert expected.items() <= found["figures"].items()
    assert (found["figures"]["flushes"], found["figures"]["PostgreSQL restarts"]) == (2, 1)
    assert found["figures"]["kills"] >= 3


@pytest.mark.release
@pytest.mark.usefixtures("_own_servers")
async def test_the_usual_design_completes_all_when_nothing_is_done_to_it(tmp_path: Path) -> None:
    """What chaos finds in it is not a fault of how we wrote it."""
    plan = Plan(
        seconds=4, kill_every_s=60, flush_every_s=60, postgres_restarts=0, rate=3, settle_s=60, evil=False
    )
    verdict = await prove(plan, DESIGNS[1], tmp_path)
    assert verdict.violations == []
    assert (verdict.figures["jobs accepted"], verdict.figures["completed"]) == (12, 12)


# --- the judge


def an_end(**changes: Any) -> End:
    return End(
        **{
            "id": "id-0",
            "prompt": "job 0",
            "status": "completed",
            "error": "",
            "has_picture": True,
            **changes,
        }
    )


def sold(status: str = "succeeded", error: str | None = None) -> dict[str, Any]:
    return {"ref": "r", "job": "job 0", "status": status, "error": error}


def evidence(**changes: Any) -> Evidence:
    found: dict[str, Any] = {
        "design": "mediagen",
        "accepted": {0: {"id-0"}},
        "prompts": {0: "job 0"},
        "ends": [an_end()],
        "sold": [sold()],
        "others": {},
        "audit": Audit(left=0, unknown=0, said=""),
        "odd_answers": [],
        "crashes": [],
        "counts": {"kills": 1},
        "recovered_s": [0.5, 1.0],
        "never_recovered": 0,
        **changes,
    }
    return Evidence(**found)


def test_a_good_run_has_no_violation_and_tells_how_fast_jobs_were_taken_over() -> None:
    verdict = judge(evidence())
    assert verdict.violations == []
    assert (verdict.figures["recovery p50"], verdict.figures["recovery p99"]) == ("1.0 s", "1.0 s")
    assert verdict.figures["kills"] == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ends": []}, {"lost"}),
        ({"accepted": {0: set()}}, {"lost"}),
        ({"ends": [an_end(status="processing")]}, {"lost"}),
        ({"ends": [an_end(has_picture=False)]}, {"lost"}),
        ({"ends": [an_end(prompt="another")]}, {"lost"}),
        ({"accepted": {0: {"id-0", "id-1"}}}, {"lost", "accepted twice"}),
        ({"sold": [sold(), sold()]}, {"bought twice"}),
        ({"sold": [sold(), sold("failed", TRANSIENT)]}, {"bought twice"}),
        ({"sold": [sold("failed", FINAL), sold()]}, {"bought twice"}),
        ({"sold": [sold("failed", TRANSIENT), sold()]}, set()),
        ({"ends": [an_end(status="failed")]}, {"failed without need"}),
        ({"ends": [an_end(status="failed")], "sold": []}, {"failed without need"}),
        ({"ends": [an_end(status="failed")], "sold": [sold("failed", FINAL)]}, set()),
        ({"audit": Audit(left=1, unknown=0, said="")}, {"audit"}),
        ({"audit": Audit(left=0, unknown=1, said="")}, {"audit"}),
        ({"audit": Audit(left=0, unknown=0, said="bought twice")}, {"audit"}),
        ({"odd_answers": ["500: oops"]}, {"5xx other than 503"}),
        ({"crashes": ['{"event": "step.crashed"}']}, {"crashed"}),
        ({"never_recovered": 1}, {"never recovered"}),
    ],
    ids=lambda value: "-".join(sorted(value)),
)
def test_the_judge_sees_what_must_not_be(changes: dict[str, Any], expected: set[str]) -> None:
    violations = judge(evidence(**changes)).violations
    assert {violation.partition(":")[0] for violation in violations} == expected
