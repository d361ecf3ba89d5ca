"""Measure mediagen on this machine: each path against its bound and its peer, in one run.

./run bench                  list the paths
./run bench accept status    measure some
./run bench all --json FILE  measure all, and write what was seen as JSON
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import paths
from bench.lab import Lab, Size, Unmeasurable
from bench.processes import Failed
from bench.report import Missing, Report
from tests.fakes import kept

_MOST_S = 180  # for one path, on a machine that has other things to do, too


def main() -> int:
    """Run what the command line says; the exit code is 1 when something could not be measured."""
    given = _given()
    console = Console(width=max(140, Console().width))
    if not given.path:
        _list(console)
        return 0
    names = paths.NAMES if "all" in given.path else tuple(dict.fromkeys(given.path))
    if unknown := set(names) - set(paths.NAMES):
        _say(f"There is no path {', '.join(sorted(unknown))}; there are: {', '.join(paths.NAMES)}, all")
        return 2
    report = Report()
    for name in names:
        asyncio.run(_measure(report, name, given))
        _say(f"{name}: done")
    report.show(console)
    if given.json:
        report.save(given.json)
    return 1 if report.missing else 0


def _given() -> argparse.Namespace:
    """Read the command line; what makes no sense is said now, not when all is measured."""
    parser = _options()
    given = parser.parse_args()
    if given.rounds < 1 or given.seconds <= 0 or given.scale <= 0:
        parser.error("--rounds must be at least 1, --seconds and --scale above 0")
    if given.json and not given.json.absolute().parent.is_dir():
        parser.error(f"--json {str(given.json)!r} can't be written: there is no such folder")
    return given


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = Size()
    parser.add_argument("path", nargs="*", help="what to measure")
    parser.add_argument(
        "--rounds", type=int, default=size.rounds, help="turns of each contender (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=size.seconds, help="of load in a turn (%(default)s)")
    parser.add_argument("--scale", type=float, default=size.scale, help="of the counts of jobs and clients")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen")
    parser.add_argument("--database-url", default="", help="a PostgreSQL to make databases on; else SQLite")
    parser.add_argument(
        "--redis-url", default="redis://127.0.0.1:6379/11", help="broker of the peers (%(default)s)"
    )
    return parser


def _list(console: Console) -> None:
    print(__doc__)
    table = Table("path", "what is measured", box=None)
    for name in paths.NAMES:
        table.add_row(name, paths.about(name))
    console.print(table)


async def _measure(report: Report, name: str, given: argparse.Namespace) -> None:
    size = Size(rounds=given.rounds, seconds=given.seconds, scale=given.scale)
    me = asyncio.current_task()
    assert me is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)  # so that nothing is left behind
    try:
        async with (
            asyncio.timeout(_MOST_S),
            Lab(size, database_url=given.database_url, redis_url=given.redis_url) as lab,
        ):
            report.rows += await paths.path_of(name)(lab)
            report.notes += lab.notes
    except (Unmeasurable, Failed) as error:
        report.missing.append(Missing(path=name, why=str(error)))
    except TimeoutError:
        report.missing.append(Missing(path=name, why=f"it was not done within {_MOST_S} s"))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    kept.keep()
    sys.exit(main())
