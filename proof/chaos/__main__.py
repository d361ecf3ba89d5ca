"""Chaos: kill, flush and restart a whole installation under load, and count what was lost or bought twice.

    python -m proof.chaos [--minutes 5] [--kill-every 2] [--flush-every 10] [--pg-restarts 5] [--rate 4]
                          [--faults all|old] [--ours-only]

Real processes: PostgreSQL, Redis and S3 of its own, two API processes, two Celery workers, and the evil provider of
the kill loop. Jobs are submitted with an Idempotency-Key to either API process, again for as long as nobody
answers. Meanwhile a random process is ended with SIGKILL every 2 s and started again, Redis forgets everything
every 10 s, and PostgreSQL ends as in a crash five times. Then everything must settle.

The same is done to the usual design (`proof/peers/usual.py`), and shown beside it. Recovery is the time from the
kill of a worker until a job that it was at is taken up by another one, or has ended.

The exit code is 0 when our column has nothing lost, nothing bought twice and an audit of 0 / 0, else 1.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from proof.chaos.client import submit_all
from proof.chaos.designs import DESIGNS, Design
from proof.chaos.faults import harm
from proof.chaos.verdict import Evidence, Verdict, judge
from proof.chaos.world import Plan, Run, world
from proof.command import above_zero, finish, new_file, whole
from proof.evil_provider import FAULTS
from proof.processes import left_running
from proof.table import save, show
from tests.fakes import kept

_CRASHES = ("step.crashed", "chore.crashed", "worker.crashed", "engine.crashed", "request.crashed")


async def prove(plan: Plan, design: Design, folder: Path) -> Verdict:
    """Run the plan against the design, in an empty folder, and judge it."""
    async with world(plan, design, folder) as run:
        if not plan.evil:
            await _calm(run)
        async with asyncio.TaskGroup() as watching:
            async with asyncio.TaskGroup() as together:
                together.create_task(submit_all(run))
                together.create_task(harm(run, watching))
            settled_s = await _settle(run)
        verdict = judge(await _collect(run, settled_s))
    left = await left_running(folder)
    return verdict if not left else _with_left(verdict, left)


def _with_left(verdict: Verdict, left: Sequence[int]) -> Verdict:
    found = [f"left running: process {pid}" for pid in left]
    return Verdict(design=verdict.design, figures=verdict.figures, violations=[*verdict.violations, *found])


async def _settle(run: Run) -> float:
    """Let the provider be good from now on; wait until all jobs have ended, and return how long that took."""
    await _calm(run)
    begun = time.monotonic()
    while time.monotonic() < begun + run.plan.settle_s:
        [[unfinished]] = await asyncio.to_thread(run.design.ask, run.servers, run.design.unfinished)
        if not unfinished:
            break
        await asyncio.sleep(0.2)
    run.over = True
    return time.monotonic() - begun


async def _calm(run: Run) -> None:
    async with run.session.post(f"{run.servers.provider_url}/_calm") as answer:
        answer.raise_for_status()


async def _collect(run: Run, settled_s: float) -> Evidence:
    async with run.session.get(f"{run.servers.provider_url}/_book") as answer:
        book = await answer.json()
    return Evidence(
        design=run.design.name,
        accepted=run.accepted,
        prompts={number: run.prompt(number) for number in run.accepted},
        ends=await run.design.ends(run),
        sold=book["sold"],
        others=book["others"],
        audit=await run.design.audit(run, book),
        odd_answers=run.odd_answers,
        crashes=await asyncio.to_thread(_crashes, run),
        counts={
            "kills": run.kills,
            "flushes": run.flushes,
            "PostgreSQL restarts": run.restarts,
            "ends that nobody asked for": sum(process.gave_up for process in run.processes),
            "submits sent again": run.refused,
            "settled after": f"{settled_s:.0f} s",
        },
        recovered_s=run.recovered_s,
        never_recovered=run.never_recovered,
    )


def _crashes(run: Run) -> list[str]:
    lines = [line for process in run.processes for line in process.log.read_text().splitlines()]
    return [line[:500] for line in lines if any(name in line for name in _CRASHES)]


# ---------------------------------------------------------------------------------------------- the command


async def _prove_all(plan: Plan, designs: Sequence[Design], folder: Path) -> list[Verdict]:
    verdicts = []
    for number, design in enumerate(designs):
        own = folder / str(number)
        own.mkdir()
        verdicts.append(await prove(plan, design, own))
    return verdicts


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=above_zero, default=5.0)
    parser.add_argument("--kill-every", type=above_zero, default=2.0, help="seconds")
    parser.add_argument("--flush-every", type=above_zero, default=10.0, help="seconds")
    parser.add_argument("--pg-restarts", type=whole(0), default=5)
    parser.add_argument("--rate", type=above_zero, default=4.0, help="jobs submitted per second")
    parser.add_argument("--settle", type=above_zero, default=240.0, help="seconds until all must have ended")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--faults", choices=FAULTS, default="all", help="all: the provider also says what proves nothing"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--ours-only", action="store_true", help="leave the usual design out")
    only.add_argument("--usual", action="store_true", help="run against the usual design alone")
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    parser.add_argument("--keep", action="store_true", help="keep logs and files")
    return parser.parse_args()


def main() -> int:
    """Run what the command line says and print the table."""
    given = _given()
    plan = Plan(
        seconds=given.minutes * 60,
        kill_every_s=given.kill_every,
        flush_every_s=given.flush_every,
        postgres_restarts=given.pg_restarts,
        rate=given.rate,
        settle_s=given.settle,
        seed=given.seed,
        faults=given.faults,
    )
    ours, usual = DESIGNS
    designs = [usual] if given.usual else [ours] if given.ours_only else [ours, usual]
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=kept.lasting() if given.keep else None)).resolve()
    try:
        verdicts = asyncio.run(_prove_all(plan, designs, folder))
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return _tell(given, verdicts, folder)


def _tell(given: argparse.Namespace, verdicts: Sequence[Verdict], folder: Path) -> int:
    names = list(verdicts[0].figures)
    rows = [(name, *(verdict.figures[name] for verdict in verdicts)) for name in names]
    bad = [each for verdict in verdicts if verdict.design == DESIGNS[0].name for each in verdict.violations]
    lines = [f"VIOLATION {each}" for each in bad]
    if not given.usual and not bad:
        lines = ["mediagen: nothing was lost or bought twice."]
    if given.keep:
        lines.append(f"Everything is kept in {folder}.")
    show("Chaos", ("", *(verdict.design for verdict in verdicts)), rows, lines)
    save(given.json, {verdict.design: vars(verdict) for verdict in verdicts})
    return 1 if bad else 0


if __name__ == "__main__":
    finish(main)
