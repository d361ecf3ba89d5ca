"""Engine: jobs that wait are claimed, bought at a provider that answers at once, and ended; no output.

On PostgreSQL ours is a Celery worker process beside the server, else the worker within the server.
The peer is Celery over Redis with tasks that do nothing, prefork with a process for each core. Both find their
work waiting; the rate is that between 10 % and the end of it, so that the start does not count.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from celery import Celery
from redis.asyncio import Redis

from bench.following import ended_jobs, submit_many
from bench.lab import Lab, Unmeasurable, at_least, versus
from bench.peers import NOOP_QUEUE
from bench.processes import Process, python
from bench.report import Row

_JOBS = 3000
_LOOK_S = 0.2  # each look is work for the server
_MOST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What it took to end the jobs."""

    per_s: float
    cpu_us: float  # of the worker, for one job


async def run(lab: Lab) -> list[Row]:
    broker = await lab.redis(NOOP_QUEUE)
    if not broker:
        raise Unmeasurable("there is no Redis for the Celery peer")
    count = lab.size.count(_JOBS, least=20)
    seen = await lab.in_turn({"us": lambda: _ours(lab, count), "Celery": lambda: _celery(lab, broker, count)})
    goal = at_least(2 if lab.is_postgres else 3)
    path = f"engine, {lab.database}"
    return [
        versus(path, "jobs ended", "/s", seen, "Celery", lambda turn: turn.per_s, goal),
        versus(path, "worker CPU", "us", seen, "Celery", lambda turn: turn.cpu_us),
    ]


async def _ours(lab: Lab, count: int) -> Drained:
    server = await lab.server(MAX_RETRIES="0", **lab.instant())
    working = server.command
    server.command = [*working, "--no-worker"]
    async with server:
        await submit_many(lab, server, count)
    if lab.is_postgres:
        server.env["REDIS_URL"] = await lab.broker()
        worker = lab.worker(server)
        async with server, worker:
            return await _drained(lambda: ended_jobs(server), count, worker)
    server.command = working
    async with server:
        return await _drained(lambda: ended_jobs(server), count, server)


async def _celery(lab: Lab, broker: str, count: int) -> Drained:
    await asyncio.to_thread(_publish, broker, count)
    command = python("celery", "-A", "bench.peers.noop", "worker", "--loglevel=WARNING", "--without-gossip")
    worker = Process(
        [*command, f"--concurrency={os.cpu_count()}"], lab.new_folder(), env={"REDIS_URL": broker}
    )
    async with Redis.from_url(broker) as client, worker:

        async def done() -> int:
            waiting, taken = await client.llen(NOOP_QUEUE), await client.hlen("unacked")
            return count - int(waiting) - int(taken)

        return await _drained(done, count, worker)


def _publish(broker: str, count: int) -> None:
    with Celery("publisher", broker=broker) as app:
        for number in range(count):
            app.send_task("noop.run", args=[str(number)], queue=NOOP_QUEUE, ignore_result=True)


async def _drained(done: Callable[[], Awaitable[int]], count: int, worker: Process) -> Drained:
    begun, used_s, first = time.perf_counter(), worker.cpu_s, 0
    async with asyncio.timeout(_MOST_S):
        while (seen := await done()) < count:
            if not first and seen >= count / 10:
                begun, used_s, first = time.perf_counter(), worker.cpu_s, seen
            await asyncio.sleep(_LOOK_S)
    ended = count - first
    return Drained(
        per_s=ended / (time.perf_counter() - begun), cpu_us=(worker.cpu_s - used_s) / ended * 1e6 or 0.01
    )
