"""Server-sent events: clients that follow a job each, held by one process; its cancellation is the event.

The time counts from the request that causes the event until its client has it.
"""

import asyncio
import json
import time
from statistics import quantiles

from bench.lab import Lab, Unmeasurable, ask, at_least, at_most, post, single, submits
from bench.processes import Process, open_files, python
from bench.report import Row

_CLIENTS = 10_000
_EVENTS = 100
_APART_S = 0.02


async def run(lab: Lab) -> list[Row]:
    clients = lab.size.count(_CLIENTS, least=20)
    if open_files() < clients + 500:
        raise Unmeasurable(
            f"a process may open {open_files()} files only; raise it: ulimit -n {clients + 500}"
        )
    server = await lab.ours("--no-worker")
    made = await lab.load(
        server, submits(), status=202, connections=32, count=clients, seconds=60, keep_bodies=True
    )
    ids = [json.loads(body)["id"] for body in made.bodies]
    listeners = await lab.run(Process(python("bench.listeners"), lab.new_folder(), talks=True))
    before_kib = server.rss_kib
    paths = [f"/api/v1/jobs/{job_id}/events" for job_id in ids]
    held = int(await listeners.ask(json.dumps({"port": server.port, "paths": paths, "type": "canceled"})))
    each_kib = (server.rss_kib - before_kib) / held
    rounds = []
    count = lab.size.count(_EVENTS, least=4)
    for number in range(lab.size.rounds):
        rounds.append(await _lags_ms(server, listeners, ids[number * count : (number + 1) * count], number))
    cuts = [quantiles(lags, n=100, method="inclusive") for lags in rounds]
    return [
        single("sse", "clients", "", [held], at_least(clients)),
        single("sse", "memory a client", "KB", [max(each_kib, 0.01)], at_most(30)),
        single("sse", "event p50", "ms", [cut[49] for cut in cuts]),
        single("sse", "event p99", "ms", [cut[98] for cut in cuts], at_most(10)),
    ]


async def _lags_ms(server: Process, listeners: Process, ids: list[str], number: int) -> list[float]:
    sent = {}
    for job_id in ids:
        sent[job_id] = time.time()
        await ask(server.port, post(f"/api/v1/jobs/{job_id}/cancel", {}))
        await asyncio.sleep(_APART_S)
    heard = dict(json.loads(await listeners.ask(str(len(ids) * (number + 1)))))
    return [(heard[job_id] - at) * 1000 for job_id, at in sent.items()]
