"""Distributed: a server and a Celery worker, each a process of its own, with Redis between them.

How soon a client of the server sees what the worker wrote, how soon it sees what ended at the provider, and how
long many jobs that wait at the provider take in all.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from bench.following import Follower, Heard, ended_at, submit, submit_many, until_ended
from bench.lab import Lab, ask, at_most, get, percentile, single
from bench.processes import Process
from bench.report import Row

_LAGS, _APART_S = 60, 0.05
_JOBS, _LATENCY_S = 5_000, 10.0


async def run(lab: Lab) -> list[Row]:
    provider = await lab.provider()
    server = await lab.connected(provider, "--no-worker", REDIS_URL=await lab.broker())
    worker = await lab.run(lab.worker(server))
    await submit_many(lab, server, 10, fail=True)
    await until_ended(server, 10)
    lags = [await _lags_ms(lab, server, provider, number) for number in range(lab.size.rounds)]
    written = [by_write for by_write, _ in lags]
    finished = [by_end for _, by_end in lags]
    return [
        *_percentiles("written elsewhere to known", written, {50: None, 99: 100}),
        *_percentiles("finish to known", finished, {50: None, 99: None}),
        *await _many(lab, server, worker),
    ]


def _percentiles(
    what: str, rounds: Sequence[Sequence[float]], limits_ms: Mapping[int, float | None]
) -> list[Row]:
    return [
        single(
            "distributed",
            f"{what}, p{percent}",
            "ms",
            [percentile(lags, percent) for lags in rounds],
            None if limit is None else at_most(limit),
        )
        for percent, limit in limits_ms.items()
    ]


async def _lags_ms(
    lab: Lab, server: Process, provider: Process, number: int
) -> tuple[list[float], list[float]]:
    """Return how long after the worker wrote the end of a job, and after its end at the provider, it was known."""
    count = lab.size.count(_LAGS, least=3)
    async with Follower(server) as follower:
        prompts = {}
        for index in range(count):
            prompt = f"lag {number} {index}"
            prompts[await submit(server, prompt, latency_s=min(1.0, lab.size.seconds), fail=True)] = prompt
            await asyncio.sleep(_APART_S)
        await follower.until(lambda: len(follower.ended) >= count)
    ends = await ended_at(provider)
    heard = list(follower.ended.values())
    written = [(one.at - await _written_at(server, one)) * 1000 for one in heard]
    return written, [(one.at - ends[prompts[one.job_id]]) * 1000 for one in heard]


async def _written_at(server: Process, heard: Heard) -> float:
    job = (await ask(server.port, get(f"/api/v1/jobs/{heard.job_id}"))).json
    return datetime.fromisoformat(job["completed_at"]).timestamp()


async def _many(lab: Lab, server: Process, worker: Process) -> list[Row]:
    """Let one worker process have many jobs at the provider at the same time."""
    count, latency_s = lab.size.count(_JOBS, least=10), _LATENCY_S * min(1.0, lab.size.seconds)
    before = (await ask(server.port, get("/api/v1/stats"))).json["jobs"]["failed"]
    used_s, begun = worker.cpu_s, time.perf_counter()
    await submit_many(lab, server, count, latency_s=latency_s, fail=True)
    await until_ended(server, before + count, timeout_s=120)
    took_s, each_us = time.perf_counter() - begun, (worker.cpu_s - used_s) / count * 1e6
    path = f"distributed, {count:,} jobs of {latency_s:g} s"
    return [
        single(path, "all done after", "s", [took_s], at_most(1.25 * latency_s)),
        single(path, "worker CPU a job", "us", [each_us], at_most(700)),
    ]
