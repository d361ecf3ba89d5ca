"""Status read: 64 clients look at jobs, whole answers and 304 for what has not changed.

The bound is the echo of the accept; the peer is the usual design.
"""

import json
from collections.abc import Sequence
from functools import partial

from bench.lab import Lab, Load, ask, at_least, get, submits, versus
from bench.processes import Process
from bench.report import Row

_JOBS = 200


async def run(lab: Lab) -> list[Row]:
    ours = await lab.ours("--no-worker")
    echo = await lab.peer("echo")
    usual = await lab.usual()
    paths = {server: [f"/api/v1/status/{job}" for job in await _ids(lab, server)] for server in (ours, usual)}
    known = [await _conditional(ours, path) for path in paths[ours]]

    async def turn(server: Process, requests: Sequence[bytes], status: int) -> Load:
        return await lab.load(server, requests, status=status)

    plans = {
        "us": (ours, [get(path) for path in paths[ours]], 200),
        "unchanged": (ours, known, 304),
        "echo": (echo, submits(), 202),
        "usual design": (usual, [get(path) for path in paths[usual]], 200),
    }
    for server, requests, status in plans.values():
        await lab.warm_up(server, requests, status=status)
    seen = await lab.in_turn({name: partial(turn, *plan) for name, plan in plans.items()})
    path = f"status, {lab.database}"
    unchanged = {**seen, "us": seen["unchanged"]}
    return [
        versus(path, "looks", "/s", seen, "echo", lambda load: load.rate, at_least(0.8)),
        versus(path, "looks", "/s", seen, "usual design", lambda load: load.rate),
        versus(path, "p99", "ms", seen, "echo", lambda load: load.p99_ms),
        versus(path, "server CPU", "us", seen, "echo", lambda load: load.cpu_us),
        versus(path, "304s", "/s", unchanged, "echo", lambda load: load.rate, at_least(0.8)),
    ]


async def _ids(lab: Lab, server: Process) -> list[str]:
    made = await lab.load(
        server, submits(), status=202, connections=8, count=lab.size.count(_JOBS), keep_bodies=True
    )
    return [json.loads(body)["id"] for body in made.bodies]


async def _conditional(server: Process, path: str) -> bytes:
    """Return the request of a client that has the answer already."""
    answer = await ask(server.port, get(path))
    return get(path, if_none_match=answer.headers["etag"])
