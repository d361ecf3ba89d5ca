"""What is done to an installation while jobs are submitted, and how fast it comes back."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import OperationalError

from proof.chaos.designs import Rows
from proof.chaos.world import Run

_LOOK_S = 0.05


async def harm(run: Run, watching: asyncio.TaskGroup) -> None:
    """Kill, flush and restart until the time is up; `watching` goes on until all has recovered, or `run.over`."""
    plan, chance = run.plan, random.Random(run.plan.seed)
    async with asyncio.TaskGroup() as together:
        together.create_task(_every(run, plan.kill_every_s, lambda: _kill(run, chance, watching)))
        together.create_task(_every(run, plan.flush_every_s, lambda: _flush(run)))
        if plan.postgres_restarts:
            pause_s = plan.seconds / (plan.postgres_restarts + 1)
            together.create_task(_every(run, pause_s, lambda: _restart(run)))


async def _every(run: Run, pause_s: float, act: Callable[[], Awaitable[None]]) -> None:
    """Do it at even distances, and not at the very end."""
    begun = time.monotonic()
    for number in range(1, int(run.plan.seconds / pause_s + 0.001)):
        await asyncio.sleep(max(0.0, begun + number * pause_s - time.monotonic()))
        await act()


async def _kill(run: Run, chance: random.Random, watching: asyncio.TaskGroup) -> None:
    victim = chance.choice(run.processes)
    at = time.monotonic()
    pid = await victim.kill()
    if pid is None:  # it is between two lives
        return
    run.kills += 1
    if victim.is_worker:
        watching.create_task(_watch(run, pid, at))


async def _flush(run: Run) -> None:
    await asyncio.to_thread(run.servers.redis.flush)
    run.flushes += 1


async def _restart(run: Run) -> None:
    await asyncio.to_thread(run.servers.postgres.restart)
    run.restarts += 1


# ---------------------------------------------------------------------------------------------- recovery


async def _watch(run: Run, pid: int, killed: float) -> None:
    """Note, for each job that the killed worker was at, how long it took until another one took it up."""
    design = run.design
    held: dict[str, int] = dict(tuple(row) for row in await _ask(run, design.held, {"pid": str(pid)}))
    while held and not run.over:
        await asyncio.sleep(_LOOK_S)
        for job_id, number, ended in await _ask(run, design.taken, {"ids": list(held)}):
            if ended or number > held[job_id]:
                del held[job_id]
                run.recovered_s.append(time.monotonic() - killed)
    run.never_recovered += len(held)


async def _ask(run: Run, query: str, values: dict[str, object]) -> Rows:
    while True:
        try:
            rows = await asyncio.to_thread(run.design.ask, run.servers, query, values)
        except OperationalError:  # PostgreSQL is away for a moment
            await asyncio.sleep(_LOOK_S)
        else:
            return rows
