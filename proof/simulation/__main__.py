"""Run random fault schedules on the shipped engine and count what was lost or bought twice.

    python -m proof.simulation --schedules 6000 --jobs 2     the gate of every change
    python -m proof.simulation --schedules 1000000 --parts DIR   the same, in pieces that outlive a stop
    python -m proof.simulation --faults POST_LOST,SELLER_CLOCK   let only these faults happen
    python -m proof.simulation --seed 4711                   replay one schedule and show all that happens
    python -m proof.simulation --mutant all                  show that seeded bugs are noticed
    python -m proof.simulation --mutant NAME --seed 4711     replay one schedule with a seeded bug

A schedule follows from its seed, its fault level and the code alone, in any process. The exit code is 0 when
nothing was violated, else 1. With a mutant it is 0 when the bug was noticed.
"""

import argparse
import math
from functools import partial
from pathlib import Path

from proof.command import above_zero, finish, new_file, whole
from proof.simulation.faults import Fault, Level
from proof.simulation.invariants import Kind
from proof.simulation.mutants import MUTANTS
from proof.simulation.parts import run_parts
from proof.simulation.regressions import Regression, keep
from proof.simulation.result import Result
from proof.simulation.runs import Task, Totals, replay, run, run_each
from proof.table import progress, save, show

MUTANT_SCHEDULES = 100_000
"""Within so many schedules every mutant must be noticed."""

_SHOWN = 20  # violated schedules that are named


def main() -> int:
    """Run what the command line says."""
    parser = _parser()
    given = parser.parse_args()
    if given.seed is not None and given.json is not None:
        parser.error("a replay (--seed) has no figures: leave --json out")
    if given.parts is not None and (given.seed is not None or given.mutant):
        parser.error("only schedules of the product as it is are kept in parts")
    if given.seed is not None:
        return _replay(given)
    return _mutants(given) if given.mutant else _gate(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proof.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--schedules", type=whole(1), help="how many, 20000 by default; of a mutant at most 100000"
    )
    parser.add_argument("--minutes", type=above_zero, default=math.inf, help="begin no more after so long")
    parser.add_argument("--from-seed", type=whole(0), default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this schedule with a full trace")
    parser.add_argument("--jobs", type=whole(1), default=1, help="processes")
    parser.add_argument(
        "--parts",
        type=Path,
        metavar="DIR",
        help="keep what every 10000 come to there, and run only what is missing",
    )
    parser.add_argument("--fault-level", type=Level, choices=list(Level), default=Level.MIXED)
    parser.add_argument(
        "--faults", type=_faults, metavar="NAME,...", help="let only these happen, for example POST_LOST"
    )
    parser.add_argument("--mutant", choices=[*MUTANTS, "all"], help="run the engine with this seeded bug")
    parser.add_argument("--keep", action="store_true", help="note what noticed the mutants as regressions")
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    return parser


def _faults(text: str) -> frozenset[Fault]:
    names = [name.strip().upper() for name in text.split(",")]
    if unknown := [name for name in names if name not in Fault.__members__]:
        raise argparse.ArgumentTypeError(
            f"no such fault: {', '.join(unknown)}; there are {', '.join(Fault.__members__)}"
        )
    return frozenset(Fault[name] for name in names)


def _gate(given: argparse.Namespace) -> int:
    task = Task(
        first=given.from_seed, count=given.schedules or 20_000, level=given.fault_level, only=given.faults
    )
    with progress("schedules") as moves:
        go = run if given.parts is None else partial(run_parts, folder=given.parts)
        totals = go(
            task,
            processes=given.jobs,
            most_s=given.minutes * 60,
            moves=lambda done: moves(done, task.count),
        )
    show("Simulation", ("", "figure"), _rows(totals), [])
    faults = [(fault.value, totals.struck[fault]) for fault in Fault]
    show("What went wrong in it", ("fault", "times"), faults, _violations(totals))
    save(given.json, totals.figures)
    return 1 if totals.violated else 0


def _rows(totals: Totals) -> list[tuple[str, object]]:
    return [
        ("schedules", totals.schedules),
        ("steps", totals.steps),
        ("faults", totals.struck.total()),
        *[(f"jobs {state}", totals.ends[state]) for state in sorted(totals.ends)],
        ("generations bought", totals.sales),
        ("lost", totals.of(Kind.LOST)),
        ("bought twice", totals.of(Kind.TWICE)),
        ("stuck", totals.of(Kind.STUCK)),
        ("wrong pictures", totals.of(Kind.WRONG)),
        ("other violations", totals.of(Kind.LEDGER, Kind.RULE, Kind.CRASH)),
        ("virtual hours", totals.virtual_ms // 3_600_000),
        ("seconds", f"{totals.seconds:.1f}"),
        ("schedules/s", f"{totals.rate:.1f}"),
    ]


def _violations(totals: Totals) -> list[str]:
    lines = [_line(result) for result in totals.violated[:_SHOWN]]
    if len(totals.violated) > _SHOWN:
        lines.append(f"... and {len(totals.violated) - _SHOWN} more schedules")
    return lines


def _line(result: Result) -> str:
    first = result.violations[0]
    return f"seed {result.seed} ({result.profile}): {first.kind}: {first.what}"


def _mutants(given: argparse.Namespace) -> int:
    names = list(MUTANTS) if given.mutant == "all" else [given.mutant]
    tasks = [
        Task(
            first=given.from_seed,
            count=given.schedules or MUTANT_SCHEDULES,
            level=given.fault_level,
            mutant=name,
            only=given.faults or MUTANTS[name].faults,
            until_caught=True,
        )
        for name in names
    ]
    found = dict(zip(names, run_each(tasks, processes=given.jobs), strict=True))
    if given.keep:
        keep(_regressions(found, given.fault_level))
    rows = [_mutant_row(name, totals) for name, totals in found.items()]
    show("Seeded bugs", ("bug", "schedules", "seconds", "noticed as"), rows, [])
    save(given.json, {name: totals.figures for name, totals in found.items()})
    return 0 if all(totals.violated for totals in found.values()) else 1


def _regressions(found: dict[str, Totals], level: Level) -> dict[str, Regression]:
    noticed = {name: totals.violated[0] for name, totals in found.items() if totals.violated}
    return {
        name: Regression(mutant=name, seed=result.seed, level=level, kind=result.violations[0].kind)
        for name, result in noticed.items()
    }


def _mutant_row(name: str, totals: Totals) -> tuple[object, ...]:
    noticed = _line(totals.violated[0]) if totals.violated else "NOT NOTICED"
    return name, totals.schedules, f"{totals.seconds:.1f}", noticed


def _replay(given: argparse.Namespace) -> int:
    mutant = None if given.mutant == "all" else given.mutant
    only = given.faults or (MUTANTS[mutant].faults if mutant else None)
    result = replay(given.seed, level=given.fault_level, mutant=mutant, only=only)
    for line in result.trace:
        print(line)
    print(
        f"seed {result.seed} ({result.profile}): {result.steps} steps, {sum(result.struck.values())} faults"
    )
    return 1 if result.violations else 0


if __name__ == "__main__":
    finish(main)
