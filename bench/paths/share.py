"""Our share of a synchronous call: one client submits, follows until the end and submits again.

What the provider takes itself is the bound, and is taken off: it runs a fixed time.
"""

import time
from statistics import quantiles

from bench.following import Follower, submit
from bench.lab import Lab, at_most, single
from bench.report import Row

_JOBS = 40
_LATENCY_S = 0.2


async def run(lab: Lab) -> list[Row]:
    provider = await lab.provider()
    server = await lab.connected(provider)
    rounds = []
    async with Follower(server) as follower:

        async def one(number: int) -> float:
            begun = time.time()
            job_id = await submit(server, f"call {number}", latency_s=_LATENCY_S, fail=True)
            await follower.until(lambda: job_id in follower.ended)
            return (follower.ended[job_id].at - begun - _LATENCY_S) * 1000

        await one(0)
        for _ in range(lab.size.rounds):
            rounds.append([await one(number) for number in range(lab.size.count(_JOBS, least=3))])
    path = "share of a call"
    cuts = [quantiles(shares, n=100, method="inclusive") for shares in rounds]
    return [
        single(path, "p50", "ms", [cut[49] for cut in cuts], at_most(10)),
        single(path, "p99", "ms", [cut[98] for cut in cuts], at_most(30)),
    ]
