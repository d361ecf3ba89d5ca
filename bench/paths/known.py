"""Finish to known: from the end at the provider to the event at a client that follows by server-sent events.

By webhook, and by looking alone (list calls). The usual design lets clients poll every 3 s: 1.5 s on average.
"""

import asyncio

from bench.following import Follower, ended_at, submit
from bench.lab import Lab, at_most, percentile, single
from bench.processes import Process
from bench.report import Row

_JOBS = 60
_APART_S = 0.05
_LATENCY_S = 1.0


async def run(lab: Lab) -> list[Row]:
    provider = await lab.provider()
    ringing = await lab.connected(provider)
    silent = await lab.connected(provider, webhooks=False)
    await _lags_ms(lab, ringing, provider, "warm-up", bytes=1000)
    bare = await _rounds(lab, ringing, provider, "bare", fail=True)
    stored = await _rounds(lab, ringing, provider, "stored", bytes=1_000_000)
    looked = await _lags_ms(lab, silent, provider, "looked", fail=True)
    return [
        _row("known by webhook, no output", "p50", bare, 50, 5),
        _row("known by webhook, no output", "p99", bare, 99, 25),
        _row("known by webhook, 1 MB stored", "p50", stored, 50, 25),
        _row("known by webhook, 1 MB stored", "p99", stored, 99, 100),
        _row("known by looking, no output", "p99", [looked], 99, 1100),
    ]


async def _rounds(
    lab: Lab, server: Process, provider: Process, name: str, **parameters: object
) -> list[list[float]]:
    return [
        await _lags_ms(lab, server, provider, f"{name} {number}", **parameters)
        for number in range(lab.size.rounds)
    ]


async def _lags_ms(
    lab: Lab, server: Process, provider: Process, name: str, **parameters: object
) -> list[float]:
    """Submit jobs one after the other; return for each how long after its end it was known."""
    count = lab.size.count(_JOBS, least=3)
    latency_s = _LATENCY_S * min(1.0, lab.size.seconds)
    async with Follower(server) as follower:
        prompts = {}
        for number in range(count):
            prompt = f"{name} {number}"
            prompts[await submit(server, prompt, latency_s=latency_s, **parameters)] = prompt
            await asyncio.sleep(_APART_S)
        await follower.until(lambda: len(follower.ended) >= count)
    finished = await ended_at(provider)
    return [(heard.at - finished[prompts[job_id]]) * 1000 for job_id, heard in follower.ended.items()]


def _row(path: str, what: str, rounds: list[list[float]], percent: int, limit_ms: float) -> Row:
    return single(path, what, "ms", [percentile(lags, percent) for lags in rounds], at_most(limit_ms))
