"""Durable accept: 64 clients submit jobs to one server process; each job is durable before its answer.

The bound is an echo: FastAPI, the same request model, no database. The peer is the usual design.
"""

from functools import partial

from bench.lab import Lab, Load, at_least, at_most, submits, versus
from bench.processes import Process
from bench.report import Row


async def run(lab: Lab) -> list[Row]:
    servers = {
        "us": await lab.ours("--no-worker"),
        "echo": await lab.peer("echo"),
        "usual design": await lab.usual(),
    }
    requests = submits()

    async def turn(server: Process) -> Load:
        return await lab.load(server, requests, status=202)

    for server in servers.values():
        await lab.warm_up(server, requests, status=202)
    seen = await lab.in_turn({name: partial(turn, server) for name, server in servers.items()})
    path = f"accept, {lab.database}"
    bound = at_least(1.0 if lab.is_postgres else 0.9)
    return [
        versus(path, "accepted", "/s", seen, "echo", lambda load: load.rate, bound),
        versus(path, "accepted", "/s", seen, "usual design", lambda load: load.rate, at_least(15)),
        versus(path, "p50", "ms", seen, "echo", lambda load: load.p50_ms),
        versus(path, "p99", "ms", seen, "echo", lambda load: load.p99_ms, at_most(2)),
        versus(path, "p99", "ms", seen, "usual design", lambda load: load.p99_ms),
        versus(path, "server CPU", "us", seen, "echo", lambda load: load.cpu_us),
    ]
