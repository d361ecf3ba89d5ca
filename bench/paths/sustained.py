"""Sustained: jobs come in at a fixed rate, run 10 s at the provider, and their outputs of 100 KB are stored.

One process, by webhook. What comes out is counted while the last half of them comes in.
"""

import asyncio
import time

from bench.following import ended_jobs, until_ended
from bench.lab import Lab, Load, ask, at_least, at_most, get, post, single
from bench.processes import Process
from bench.report import Row

_RATE = 500
_LATENCY_S = 10.0
_SECONDS = 20.0
_BYTES = 100_000


async def run(lab: Lab) -> list[Row]:
    rate, part = lab.size.count(_RATE, least=10), min(1.0, lab.size.seconds)
    latency_s, seconds = _LATENCY_S * part, _SECONDS * part
    provider = await lab.provider()
    server = await lab.connected(provider)
    used_s, begun = server.cpu_s, time.perf_counter()
    loading = asyncio.create_task(_accepted(lab, server, rate, seconds, latency_s))
    await asyncio.sleep(latency_s + (seconds - latency_s) / 2)
    half, half_at = await ended_jobs(server), time.perf_counter()
    load = await loading
    out_per_s = (await ended_jobs(server) - half) / (time.perf_counter() - half_at)
    running = (await ask(provider.port, get("/_stats"))).json["most_running"]
    count = int(load.rate * seconds)
    await until_ended(server, count - 1, look_s=0.5)
    each_us = (server.cpu_s - used_s) / count * 1e6
    path = f"sustained, {rate}/s asked for"
    return [
        single(path, "in", "/s", [load.rate], at_least(rate * 0.98)),
        single(path, "out", "/s", [max(out_per_s, 0.01)], at_least(rate * 0.98)),
        single(path, "in flight", "", [running], at_least(rate * latency_s * 0.98)),
        single(path, "accept p99", "ms", [load.p99_ms], at_most(15)),
        single(path, "all done after", "s", [time.perf_counter() - begun]),
        single(path, "CPU a job", "us", [each_us]),
    ]


async def _accepted(lab: Lab, server: Process, rate: int, seconds: float, latency_s: float) -> Load:
    requests = [
        post(
            "/api/v1/generate",
            {"prompt": f"job {number}", "parameters": {"latency_s": latency_s, "bytes": _BYTES}},
        )
        for number in range(100)
    ]
    return await lab.load(server, requests, status=202, connections=32, seconds=seconds, rate=rate)
