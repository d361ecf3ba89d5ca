"""The client: submits jobs at a rate, to any API process, until each has been accepted."""

import asyncio
import random
import time

import aiohttp

from proof.chaos.world import Run

_AGAIN_S = (0.1, 0.5)
_SECOND_TIME = 0.1  # share of submits that are repeated although they were answered
_PATIENCE_S = 120.0


async def submit_all(run: Run) -> None:
    """Submit for as long as the plan says; returns when the last one is accepted."""
    plan, begun = run.plan, time.monotonic()
    async with asyncio.TaskGroup() as submitting:
        for number in range(int(plan.seconds * plan.rate)):
            await asyncio.sleep(max(0.0, begun + number / plan.rate - time.monotonic()))
            submitting.create_task(_submit(run, number))


async def _submit(run: Run, number: int) -> None:
    chance = random.Random(f"{run.plan.seed}/{number}")
    wanted = 2 if chance.random() < _SECOND_TIME else 1
    run.accepted[number] = set()
    async with asyncio.timeout(_PATIENCE_S):
        while wanted:
            job_id = await _ask(run, number, chance.choice(run.urls))
            if job_id is None:
                run.refused += 1
                await asyncio.sleep(chance.uniform(*_AGAIN_S))
                continue
            run.accepted[number].add(job_id)
            wanted -= 1


async def _ask(run: Run, number: int, url: str) -> str | None:
    """Send one submit; None when it has to be sent again."""
    key = {"Idempotency-Key": f"{run.plan.seed}-{number}"}
    try:
        async with run.session.post(
            f"{url}/api/v1/generate", json={"prompt": run.prompt(number)}, headers=key
        ) as answer:
            if answer.status >= 500:
                if answer.status != 503:
                    run.odd_answers.append(f"{answer.status}: {(await answer.text())[:200]}")
                return None
            body = await answer.json()
    except (aiohttp.ClientError, OSError, ValueError):  # a timeout is an OSError
        return None
    if answer.status != 202:
        raise RuntimeError(f"job {number} was refused: {answer.status} {body}")
    return str(body["id"])
