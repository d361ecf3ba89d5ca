"""Kill the server again and again while an evil provider answers it, and count what was lost or bought twice.

    python -m proof.kill_loop [--jobs 2000] [--kills 150] [--rate 20] [--life 1 3] [--seed 1] [--unmarked]
                              [--faults all|old]

Real processes: `mediagen serve` with its worker and SQLite, and a provider that loses answers, fails, and
keeps its own book (`evil_provider.py`). A client submits jobs and tries again, with the same Idempotency-Key,
for as long as the server is away. Every 1 to 3 s the server is ended with SIGKILL, sometimes while it starts.

The exit code is 0 when every accepted job came to its right end and the provider's book, the ledger and the
files agree, else 1. docs/how-to/audit.md says what network the settings below assume.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp

from proof.command import above_zero, finish, new_file, whole
from proof.evil_provider import FAULTS, LISTED_AFTER_S
from proof.kill_evidence import collect, until_ended
from proof.kill_verdict import Restart, Verdict, judge
from proof.kill_world import Plan, Run, world
from proof.table import save, show
from tests.fakes import kept

DURING_START = 0.1  # share of the kills
LONG_LIFE_S = 32.0  # longer than the client waits for the answer of a create
LIVES_A_LONG_ONE = 50

_AGAIN_S = (0.05, 0.3)


# ---------------------------------------------------------------------------------------------- submit


async def _submit_all(run: Run) -> None:
    """Submit the jobs at their rate, but never ahead of the kills: there is traffic until the last ones."""
    plan, begun = run.plan, time.monotonic()
    async with asyncio.TaskGroup() as submitting:
        for number in range(plan.jobs):
            await asyncio.sleep(max(0.0, begun + number / plan.rate - time.monotonic()))
            due = number * (plan.kills - 1) // plan.jobs
            async with run.killed:
                if len(run.restarts) < due:
                    await run.killed.wait_for(lambda due=due: len(run.restarts) >= due)  # type: ignore[misc]
                    begun = time.monotonic() - number / plan.rate
            submitting.create_task(_submit(run, number))


async def _submit(run: Run, number: int) -> None:
    """Submit one job until the server says that it has it; now and then ask again although it said so."""
    chance = random.Random(f"{run.plan.seed}/{number}")
    run.accepted[number] = set()
    wanted = 2 if chance.random() < 0.1 else 1
    while wanted:
        job_id = await _ask(run, number)
        if job_id is not None:
            run.accepted[number].add(job_id)
            wanted -= 1
        else:
            await asyncio.sleep(chance.uniform(*_AGAIN_S))


async def _ask(run: Run, number: int) -> str | None:
    """Send one submit; None when it has to be sent again."""
    key = {"Idempotency-Key": f"{run.plan.seed}-{number}"}
    try:
        async with run.session.post(
            f"{run.url}/api/v1/generate", json={"prompt": run.prompt(number)}, headers=key
        ) as answer:
            body = await answer.json()
    except (aiohttp.ClientError, OSError, ValueError):
        return None
    if answer.status >= 500:
        return None
    if answer.status != 202:
        raise RuntimeError(f"job {number} was refused: {answer.status} {body}")
    return str(body["id"])


# ---------------------------------------------------------------------------------------------- kill


async def _kill_all(run: Run) -> None:
    """End the server and start it again, as often as the plan says."""
    plan, chance = run.plan, random.Random(run.plan.seed)
    await run.server.start()
    live_s, life_s = await _until_live(run), chance.uniform(plan.least_s, plan.most_s)
    for number in range(1, plan.kills + 1):
        await asyncio.sleep(life_s)
        if number == plan.kills:  # what hangs now dies with the server; what comes later is answered well
            await _calm(run)
        restart = Restart(killed_ms=_now_ms())
        await run.server.kill()
        await run.server.start()
        if chance.random() < DURING_START and number < plan.kills:
            life_s = live_s * chance.random()
        else:
            restart.live_s = live_s = await _until_live(run)
            is_long = number % LIVES_A_LONG_ONE == LIVES_A_LONG_ONE // 2
            life_s = LONG_LIFE_S if is_long else chance.uniform(plan.least_s, plan.most_s)
        await _note(run, restart)


async def _note(run: Run, restart: Restart) -> None:
    async with run.killed:
        run.restarts.append(restart)
        run.killed.notify_all()


async def _until_live(run: Run) -> float:
    """Return the seconds from now until the server answers."""
    begun = time.monotonic()
    async with asyncio.timeout(60):
        while True:
            if not run.server.alive:
                raise RuntimeError(f"the server does not start; see {run.folder / 'server.log'}")
            with suppress(aiohttp.ClientError, OSError):
                async with run.session.get(f"{run.url}/health/live") as answer:
                    if answer.status == 200:
                        return time.monotonic() - begun
            await asyncio.sleep(0.01)


async def _calm(run: Run) -> None:
    async with run.session.post(f"{run.provider_url}/_calm") as answer:
        answer.raise_for_status()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# ---------------------------------------------------------------------------------------------- the command


async def prove(plan: Plan, folder: Path) -> Verdict:
    """Run the plan in an empty folder and judge it."""
    begun = time.monotonic()
    async with world(plan, folder) as run:
        async with asyncio.TaskGroup() as together:
            together.create_task(_kill_all(run))
            together.create_task(_submit_all(run))
        await until_ended(run)
        evidence = await collect(run)
    return await asyncio.to_thread(judge, evidence, time.monotonic() - begun)


def main() -> int:
    """Run what the command line says, print the table, and return 1 on any violation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=whole(1), default=2000)
    parser.add_argument("--kills", type=whole(1), default=150)
    parser.add_argument("--rate", type=above_zero, default=20.0, help="jobs submitted per second, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--life", type=above_zero, nargs=2, default=(1.0, 3.0), help="seconds from start to kill"
    )
    parser.add_argument("--unmarked", action="store_true", help="no webhooks: calls are known by their input")
    parser.add_argument(
        "--listed-after",
        type=float,
        default=LISTED_AFTER_S,
        help="seconds until the provider lists a create; above RECONCILE_GRACE, jobs are bought twice",
    )
    parser.add_argument(
        "--faults", choices=FAULTS, default="all", help="all: the provider also says what proves nothing"
    )
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    parser.add_argument("--keep", action="store_true", help="keep database, files and logs")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill-loop-", dir=kept.lasting() if given.keep else None)).resolve()
    plan = Plan(
        jobs=given.jobs,
        kills=given.kills,
        rate=given.rate,
        seed=given.seed,
        least_s=given.life[0],
        most_s=given.life[1],
        marked=not given.unmarked,
        listed_after_s=given.listed_after,
        faults=given.faults,
    )
    try:
        verdict = asyncio.run(prove(plan, folder))
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    where = [f"Everything is kept in {folder}."] if given.keep else []
    show("Kill loop", ("", "figure"), verdict.rows, [*verdict.lines, *where])
    save(given.json, verdict.figures)
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    finish(main)
