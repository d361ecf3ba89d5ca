"""At rest: memory and CPU of a server with its worker that has done some jobs and now waits for more."""

import asyncio

from bench.following import submit_many, until_ended
from bench.lab import Lab, at_most, single
from bench.report import Row

_JOBS = 200
_SETTLE_S = 2.0


async def run(lab: Lab) -> list[Row]:
    provider = await lab.provider()
    ours = await lab.connected(provider)
    count = lab.size.count(_JOBS)
    await submit_many(lab, ours, count)
    await until_ended(ours, count)
    await asyncio.sleep(_SETTLE_S * min(1, lab.size.seconds))
    shares = []
    for _ in range(lab.size.rounds):
        used_s = ours.cpu_s
        await asyncio.sleep(2 * lab.size.seconds)
        shares.append((ours.cpu_s - used_s) / (2 * lab.size.seconds) * 100)
    return [
        single("idle", "memory", "MB", [ours.rss_kib / 1024], at_most(120)),
        single("idle", "CPU", "%", shares, at_most(0.5)),
    ]
