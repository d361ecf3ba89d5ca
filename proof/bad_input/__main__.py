"""Put hundreds of odd values into every field, header, path and query of a running server.

    python -m proof.bad_input [--requests 5000] [--seed 1] [--database-url URL] [--json FILE]

A real `mediagen serve` with an empty database answers raw bytes on a socket. `--requests 0` sends all requests
that there are: every value in every place where it fits. Then the values go to the job service itself, past
all that reads requests. What must hold: no answer of 5xx, no request without an answer, every refusal a problem
document with its reason, no row written by a refused request, every text that was taken given back as it came,
no crash in the log, the server healthy, its memory bounded, and every job made of odd input comes to its end.

`--database-url` names an empty PostgreSQL database to be used in place of SQLite. The exit code is 1 when
anything of this does not hold.
"""

import argparse
import asyncio
import logging
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from mediagen.telemetry import set_up_logging
from proof.bad_input import service
from proof.bad_input.corpus import corpus
from proof.bad_input.drive import Drive, Report
from proof.bad_input.service import ServiceReport
from proof.command import finish, new_file, whole
from proof.serving import Server
from proof.table import progress, save, show

MOST_GROWTH_MIB = 64.0
_SHOWN = 40  # faults told in full
_OUTCOMES = ("2xx", "3xx", "4xx", "refused by the HTTP layer", "5xx", "no answer")


async def drive(requests: int, seed: int, folder: Path, database_url: str = "") -> Report:
    """Start a server in `folder`, send requests and return what came of them."""
    env = {"DATABASE_URL": database_url} if database_url else {}
    async with Server(folder, env) as server, aiohttp.ClientSession() as http:
        with progress("requests") as moves:
            return await Drive(server, http).run(requests, Random(seed), moves)


async def try_service(folder: Path, database_url: str = "") -> ServiceReport:
    """Give all values to a job service with its files in `folder`."""
    with progress("job service") as moves:
        return await service.run(folder, corpus(), moves, database_url)


def violations(report: Report, tried: ServiceReport) -> list[str]:
    """Return all that should not be, in words."""
    found = [f"{fault}: {case}: {details}" for fault, case, details in report.faults]
    found += report.aftermath
    if report.memory_growth_mib > MOST_GROWTH_MIB:
        found.append(f"the server's memory grew by {report.memory_growth_mib:.0f} MiB")
    return found + [f"job service: {fault}" for fault in tried.faults]


def summary(report: Report, tried: ServiceReport) -> dict[str, Any]:
    """Return the figures as JSON."""
    return {
        "values": len(corpus()),
        "values_sent": len(report.values),
        "places": len(report.places),
        "requests": report.requests,
        "jobs_of_odd_input": report.accepted,
        "answers": dict(sum((Counter(counts) for counts in report.families.values()), Counter())),
        "by_family": {family: dict(counts) for family, counts in sorted(report.families.items())},
        "faults": dict(Counter(fault.value for fault, _, _ in report.faults)),
        "memory_growth_mib": round(report.memory_growth_mib, 1),
        "service": {"submits": tried.submits, "kept": tried.kept, "refused": tried.refused},
        "violations": violations(report, tried),
    }


def main() -> int:
    """Run from the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m proof.bad_input", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=whole(0), default=5000, help="0 sends all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL database")
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    given = parser.parse_args()
    set_up_logging()
    logging.getLogger().setLevel(logging.ERROR)  # of the job service in this process
    with tempfile.TemporaryDirectory(prefix="bad-input-") as folder:
        report = asyncio.run(drive(given.requests, given.seed, Path(folder) / "server", given.database_url))
        tried = asyncio.run(try_service(Path(folder) / "service", given.database_url))
    result = summary(report, tried)
    save(given.json, result)
    rows = [
        (family, sum(counts.values()), *(counts[outcome] for outcome in _OUTCOMES))
        for family, counts in sorted(report.families.items())
    ]
    found = result["violations"]
    show("Bad input", ("family", "requests", *_OUTCOMES), rows, [*_told(result), *found[:_SHOWN]])
    return 1 if found else 0


def _told(result: dict[str, Any]) -> list[str]:
    tried = result["service"]
    return [
        f"{result['values_sent']} of {result['values']} values in {result['places']} places, "
        f"{result['requests']:,} requests, {result['jobs_of_odd_input']} jobs made of them",
        f"the server's memory grew by {result['memory_growth_mib']} MiB",
        f"job service: {tried['submits']:,} submits, {tried['kept']:,} kept as they came, {tried['refused']:,} refused",
        f"{len(result['violations'])} violations",
    ]


if __name__ == "__main__":
    finish(main)
