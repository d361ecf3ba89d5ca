"""Start-up: from the start of the process to its first answer.

The bound is a bare FastAPI app with one route; the peer is the usual design. Ours has its database already, as
after the first start.
"""

import time
from functools import partial

from bench.lab import Lab, at_most, versus
from bench.processes import Process
from bench.report import Row


async def run(lab: Lab) -> list[Row]:
    ours = await lab.server()
    async with ours:  # the first start makes the database
        pass
    contenders = {"us": ours, "bare FastAPI": lab.bare(), "usual design": await lab.usual_design()}
    seen = await lab.in_turn({name: partial(_started_s, process) for name, process in contenders.items()})
    return [
        versus("start-up", "first answer", "s", seen, "bare FastAPI", float, at_most(2)),
        versus("start-up", "first answer", "s", seen, "usual design", float),
    ]


async def _started_s(process: Process) -> float:
    begun = time.perf_counter()
    async with process:
        return time.perf_counter() - begun
