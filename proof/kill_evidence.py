"""What is looked at after a kill loop: jobs, files, the provider's book, the audit, what is left running."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from proof.kill_verdict import Evidence
from proof.kill_world import SETTINGS, Run
from proof.processes import left_running
from tests.fakes.replicate_data import draw

_END_S = 300.0


async def until_ended(run: Run) -> None:
    """Wait until no job is at work, or it takes too long; the verdict sees which."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            while True:
                jobs = (await run.get("/api/v1/stats"))["jobs"]
                if not jobs["pending"] and not jobs["processing"]:
                    return
                await asyncio.sleep(0.2)


async def collect(run: Run) -> Evidence:
    """Collect all that there is to judge by; the server is stopped when this returns."""
    jobs = await _all_jobs(run)
    wrong_files = [job["id"] for job in jobs if job["artifacts"] and not await _has_its_picture(run, job)]
    async with run.session.get(f"{run.provider_url}/_book") as answer:
        book = await answer.json()
    stopped = await run.server.stop()
    return Evidence(
        plan={**vars(run.plan), "settings": SETTINGS},
        accepted=run.accepted,
        prompts={number: run.prompt(number) for number in run.accepted},
        jobs=jobs,
        wrong_files=wrong_files,
        sold=book["sold"],
        faults=book["faults"],
        restarts=run.restarts,
        stopped=stopped,
        audit=await _audit(run),
        others=book["others"],
        database=run.folder / "data" / "mediagen.db",
        log=await asyncio.to_thread((run.folder / "server.log").read_text),
        left_running=await left_running(run.folder, but=1),
    )


async def _all_jobs(run: Run) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    path = "/api/v1/jobs?limit=100"
    while True:
        page = await run.get(path)
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
