"""Kill the server again and again while an evil provider answers it, and count what was lost or bought twice.

    python -m proof.kill_loop [--jobs 2000] [--kills 150] [--rate 20] [--seed 1] [--unmarked] [--json FILE]

Real processes: `mediagen serve` with its worker and SQLite, and a provider that loses answers, fails, and
keeps its own book (`evil_provider.py`). A client submits jobs and tries again, with the same Idempotency-Key,
for as long as the server is away. Every 1 to 3 s the server is ended with SIGKILL, sometimes while it starts.

The exit code is 0 when every accepted job came to its right end and the provider's book, the ledger and the
files agree, else 1. docs/how-to/audit.md says what network the settings below assume.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proof.kill_verdict import Evidence, Restart, Verdict, judge
from proof.processes import Process, working_in
from tests.fakes.replicate_data import draw

ROOT = Path(__file__).parents[1]

SETTINGS = {
    "RECONCILE_GRACE": "4",  # no create takes longer from its arrival to the list: evil_provider.LATEST_S
    "PROVIDER_CREATES_PER_S": "500",
    "JOB_TIMEOUT": "60",
    "RETRY_BACKOFF_BASE": "0.2",
    "MAX_RETRIES": "20",  # answers are lost far more often than anywhere else, and each uses an attempt
    "LEASE_S": "5",
    "WORKER_POLL_INTERVAL": "0.5",
    "MIN_FREE_BYTES": "0",
}

DURING_START = 0.1  # share of the kills
LONG_LIFE_S = 32.0  # longer than the client waits for the answer of a create
LIVES_A_LONG_ONE = 50

_END_S = 180.0
_CLIENT = aiohttp.ClientTimeout(total=5)
_AGAIN_S = (0.05, 0.3)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run does."""

    jobs: int
    kills: int
    rate: float  # jobs submitted per second at most; they are spread over all kills
    seed: int
    least_s: float = 1.0  # from the server's first answer to the next kill
    most_s: float = 3.0
    marked: bool = True  # whether calls carry an address that names them, at which the provider rings


@dataclass
class Run:
    """One run under way."""

    plan: Plan
    folder: Path
    server: Process
    url: str
    provider_url: str
    environment: Mapping[str, str]
    session: aiohttp.ClientSession
    accepted: dict[int, set[str]] = field(default_factory=dict)  # job number -> ids that the server gave
    restarts: list[Restart] = field(default_factory=list)
    killed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def prompt(self, number: int) -> str:
        return f"job {number} of seed {self.plan.seed}"


# ---------------------------------------------------------------------------------------------- the world


@asynccontextmanager
async def _world(plan: Plan, folder: Path) -> AsyncIterator[Run]:
    command = (sys.executable, "-m", "proof.evil_provider", "--seed", str(plan.seed))
    outside = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    provider = Process(command, folder, outside, folder / "provider.log")
    try:
        await provider.start()
        provider_url = await _printed_url(folder / "provider.log")
        url = f"http://127.0.0.1:{_free_port()}"
        environment = {**outside, **_settings(folder, url, provider_url)}
        if plan.marked:
            environment["PUBLIC_URL"] = url
        server = Process(
            (sys.executable, "-m", "mediagen", "serve"), folder, environment, folder / "server.log"
        )
        try:
            async with aiohttp.ClientSession(timeout=_CLIENT) as session:
                yield Run(
                    plan=plan,
                    folder=folder,
                    server=server,
                    url=url,
                    provider_url=provider_url,
                    environment=environment,
                    session=session,
                )
        finally:
            await server.kill()
    finally:
        await provider.kill()


def _settings(folder: Path, url: str, provider_url: str) -> dict[str, str]:
    return {
        **SETTINGS,
        "DATA_DIR": str(folder / "data"),
        "PORT": url.rpartition(":")[2],
        "REPLICATE_API_TOKEN": "r8_fake",
        "REPLICATE_API_BASE_URL": provider_url,
        "REPLICATE_DEFAULT_MODEL": "acme/painter",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def _printed_url(log: Path) -> str:
    async with asyncio.timeout(60):
        while True:
            text = await asyncio.to_thread(log.read_text)
            if text.endswith("\n"):
                break
            await asyncio.sleep(0.05)
    if not text.startswith("http://"):
        raise RuntimeError(f"the provider does not start: {text}")
    return text.strip()


# ---------------------------------------------------------------------------------------------- submit


async def _submit_all(run: Run) -> None:
    """Submit the jobs at their rate, but never ahead of the kills: there is traffic until the last one."""
    plan, begun = run.plan, time.monotonic()
    async with asyncio.TaskGroup() as submitting:
        for number in range(plan.jobs):
            await asyncio.sleep(max(0.0, begun + number / plan.rate - time.monotonic()))
            due = number * plan.kills // plan.jobs
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
    restart = Restart(killed_ms=_now_ms())
    await run.server.start()
    live_s = await _until_live(run)
    for number in range(1, plan.kills + 1):
        is_long = number % LIVES_A_LONG_ONE == LIVES_A_LONG_ONE // 2
        await asyncio.sleep(LONG_LIFE_S if is_long else chance.uniform(plan.least_s, plan.most_s))
        if number == plan.kills:  # what hangs now dies with the server; what comes later is answered well
            await _post(run, f"{run.provider_url}/_calm")
        restart = Restart(killed_ms=_now_ms())
        await run.server.kill()
        await run.server.start()
        if chance.random() < DURING_START and number < plan.kills:
            await asyncio.sleep(live_s * chance.random())
        else:
            restart.live_s = live_s = await _until_live(run)
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


# ---------------------------------------------------------------------------------------------- look


async def _until_ended(run: Run) -> bool:
    """Wait until no job is at work; False when that takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            while True:
                jobs = (await _get(run, "/api/v1/stats"))["jobs"]
                if not jobs["pending"] and not jobs["processing"]:
                    return True
                await asyncio.sleep(0.2)
    return False


async def _evidence(run: Run, *, ended: bool) -> Evidence:
    """Collect all that there is to judge by; the server is stopped when this returns."""
    jobs = await _all_jobs(run)
    wrong_files = [job["id"] for job in jobs if job["artifacts"] and not await _has_its_picture(run, job)]
    async with run.session.get(f"{run.provider_url}/_book") as answer:
        book = await answer.json()
    stopped = await run.server.stop()
    return Evidence(
        plan={**vars(run.plan), "settings": SETTINGS},
        ended=ended,
        accepted=run.accepted,
        prompts={number: run.prompt(number) for number in run.accepted},
        jobs=jobs,
        wrong_files=wrong_files,
        sold=book["sold"],
        faults=book["faults"],
        restarts=run.restarts,
        stopped=stopped,
        audit=await _audit(run),
        database=run.folder / "data" / "mediagen.db",
        log=await asyncio.to_thread((run.folder / "server.log").read_text),
        left_running=await _left_running(run),
    )


async def _all_jobs(run: Run) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    path = "/api/v1/jobs?limit=100"
    while True:
        page = await _get(run, path)
        jobs += page["items"]
        if page["next_cursor"] is None:
            return jobs
        path = f"/api/v1/jobs?limit=100&cursor={page['next_cursor']}"


async def _has_its_picture(run: Run, job: dict[str, Any]) -> bool:
    """Tell whether the job has one file, with exactly the bytes that the provider drew for it."""
    [artifact, *more] = job["artifacts"]
    async with run.session.get(run.url + artifact["path"]) as answer:
        data = await answer.read()
    expected = await asyncio.to_thread(draw, {"prompt": job["prompt"]})
    return not more and answer.status == 200 and data == expected


async def _audit(run: Run) -> dict[str, Any]:
    """Run `mediagen audit` as an operator would."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            "import sys; from mediagen.commands.auditing import run; sys.exit(not run(None, '7d', as_json=True))",
        ),
        cwd=run.folder,
        env=run.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    try:
        [found] = json.loads(out)
    except ValueError:
        return {"exit_code": process.returncode, "error": err.decode(errors="replace")}
    return {"exit_code": process.returncode, **found}


async def _left_running(run: Run) -> list[int]:
    """Return what the server's processes left behind, a moment after their end; only the provider may run."""
    for _ in range(50):
        left = await asyncio.to_thread(working_in, run.folder)
        if len(left) <= 1:
            return []
        await asyncio.sleep(0.1)
    return left


async def _get(run: Run, path: str) -> Any:
    async with run.session.get(run.url + path) as answer:
        answer.raise_for_status()
        return await answer.json()


async def _post(run: Run, url: str) -> None:
    async with run.session.post(url) as answer:
        answer.raise_for_status()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# ---------------------------------------------------------------------------------------------- the command


async def prove(plan: Plan, folder: Path) -> Verdict:
    """Run the plan in an empty folder and judge it; ends its processes also when it is told to terminate."""
    begun, task = time.monotonic(), asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with _world(plan, folder) as run:
        async with asyncio.TaskGroup() as together:
            together.create_task(_kill_all(run))
            together.create_task(_submit_all(run))
        evidence = await _evidence(run, ended=await _until_ended(run))
    return await asyncio.to_thread(judge, evidence, time.monotonic() - begun)


def main() -> None:
    """Run what the command line says, print the table, and end with 1 on any violation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=150)
    parser.add_argument("--rate", type=float, default=20.0, help="jobs submitted per second, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unmarked", action="store_true", help="no webhooks: calls are known by their input")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--keep", action="store_true", help="keep database, files and logs")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill-loop-")).resolve()
    plan = Plan(
        jobs=given.jobs, kills=given.kills, rate=given.rate, seed=given.seed, marked=not given.unmarked
    )
    try:
        verdict = asyncio.run(prove(plan, folder))
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{verdict.table()}\n" + (f"kept in {folder}\n" if given.keep else ""))
    if given.json:
        given.json.write_text(json.dumps(verdict.figures, indent=2) + "\n")
    sys.exit(1 if verdict.violations else 0)


if __name__ == "__main__":
    main()
