"""In flight: jobs that one worker process has running at a provider at the same time, and what each costs.

The usual design holds a process for each job: with `--concurrency 2` it has 2 in flight.
"""

import asyncio
import time

from bench.following import submit_many, until_ended
from bench.lab import Lab, ask, at_least, at_most, get, post, single
from bench.processes import Process
from bench.report import Row

_JOBS = 10_000
_LOOK_S = 0.25
_FILL_S = 40.0


async def run(lab: Lab) -> list[Row]:
    count = lab.size.count(_JOBS, least=20)
    provider = await lab.provider()
    server = await lab.connected(provider, JOB_TIMEOUT="3600")
    await submit_many(lab, server, 10, fail=True)
    await until_ended(server, 10)
    before_kib, used_s, begun = server.rss_kib, server.cpu_s, time.perf_counter()
    await submit_many(lab, server, count, latency_s=-1, fail=True)
    reached = await _filled(provider, count)
    filled_s = time.perf_counter() - begun
    each_kib = (server.rss_kib - before_kib) / reached
    begun = time.perf_counter()
    await ask(provider.port, post("/_finish", {}))
    await until_ended(server, reached)
    drained_s = time.perf_counter() - begun
    each_us = (server.cpu_s - used_s) / count * 1e6
    return [
        single("in flight", "jobs at the provider", "", [reached], at_least(count)),
        single("in flight", "memory a job", "KB", [max(each_kib, 0.01)], at_most(3)),
        single("in flight", "CPU a job, in all", "us", [each_us], at_most(300)),
        single("in flight", "submitted and bought", "/s", [reached / filled_s]),
        single("in flight", "ended at once", "/s", [reached / drained_s]),
    ]


async def _filled(provider: Process, count: int) -> int:
    """Wait until all jobs run at the provider; return how many got there in time."""
    ends_at = time.perf_counter() + _FILL_S
    reached = 0
    while reached < count and time.perf_counter() < ends_at:
        await asyncio.sleep(_LOOK_S)
        reached = (await ask(provider.port, get("/_stats"))).json["most_running"]
    return reached
