"""Cut the power at thousands of moments, and look what is left of what was acknowledged.

    python -m proof.power_cuts [--cuts 10000] [--seed 1] [--json FILE]

The database: the product itself (its migration, its engine with its settings, its jobs, ledger and steps) runs
on a disk that keeps only what was synced and any part of the rest; see `power_database.py`. The artifacts: the
system calls of the product's own storage are replayed on such a disk; see `power_files.py`.

The other lines show the same with less care, so that it is seen that these cuts do harm where they can. The
exit code is 0 when the product's own lines are all 0 and every other line is not, else 1.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proof import power_database, power_files
from proof.command import finish, new_file, whole
from proof.power_files import Do
from proof.table import save, show
from tests.fakes import kept

CUTS_A_RUN = 100
COMMITS_A_RUN = 100
PUTS_A_RUN = 20
CONTRAST = 10  # of so many cuts one is made with less care, too

_OURS = "PRAGMA synchronous=FULL"
_FREQUENT_CHECKPOINTS = (8, 40, 1000)  # pages; SQLite's own choice is 1000, which a short run never reaches


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table. `harm` counts cuts that did some; `expected` says whether they should."""

    name: str
    cuts: int
    harm: int
    details: Mapping[str, int]
    expected: bool


def prove(cuts: int, seed: int) -> list[Line]:
    """Make so many cuts with the product's own care, and some with less."""
    some = max(50, cuts // CONTRAST)
    return [
        _database("database, as the product sets it", cuts, seed, expected=False),
        _database("database, synchronous=NORMAL", some, seed, instead={_OURS: f"{_OURS[:-4]}NORMAL"}),
        _database("database, synchronous=OFF", some, seed, instead={_OURS: f"{_OURS[:-4]}OFF"}),
        _artifacts("artifacts, as the product stores them", cuts, seed, expected=False),
        _artifacts("artifacts, files not synced", some, seed, without=Do.SYNC),
        _artifacts("artifacts, folders not synced", some, seed, without=Do.SYNC_FOLDER),
    ]


def _database(
    name: str, cuts: int, seed: int, *, instead: Mapping[str, str] | None = None, expected: bool = True
) -> Line:
    tally = power_database.Tally()
    for run, share in _shares(cuts):
        chance = random.Random(f"{seed}/{run}")
        pages = _FREQUENT_CHECKPOINTS[run % len(_FREQUENT_CHECKPOINTS)]
        with _folder() as used, _folder() as left:
            log = power_database.record(
                used, seed + run, commits=COMMITS_A_RUN, checkpoint_pages=pages, instead=instead or {}
            )
            if _OURS.removeprefix("PRAGMA ") not in log.pragmas or "journal_mode=WAL" not in log.pragmas:
                raise SystemExit(f"the product sets {sorted(log.pragmas)}: this proof has to be written anew")
            tally.add(power_database.cut_many(log, left, share, chance))
    details = {"commits lost": tally.commits_lost, "corrupt": tally.corrupt}
    return Line(
        name=name, cuts=cuts, harm=tally.cuts_that_lost + tally.corrupt, details=details, expected=expected
    )


def _artifacts(name: str, cuts: int, seed: int, *, without: Do | None = None, expected: bool = True) -> Line:
    tally = power_files.Tally()
    for run, share in _shares(cuts):
        with _folder() as used:
            made = power_files.record(used, seed + run, puts=PUTS_A_RUN)
        tally.add(power_files.cut_many(made, share, random.Random(f"{seed}/{run}"), without))
    details = {"lost": tally.lost, "corrupt": tally.corrupt}
    return Line(name=name, cuts=cuts, harm=tally.lost + tally.corrupt, details=details, expected=expected)


def _shares(cuts: int) -> Iterator[tuple[int, int]]:
    """Yield the runs by number, and how many cuts each one gets."""
    for run, start in enumerate(range(0, cuts, CUTS_A_RUN)):
        yield run, min(CUTS_A_RUN, cuts - start)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="power-", dir=kept.memory()) as folder:
        yield Path(folder).resolve()


def main() -> int:
    """Run what the command line says, print the table, and return 1 when a line is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=whole(1), default=10_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    given = parser.parse_args()
    begun = time.monotonic()
    lines = prove(given.cuts, given.seed)
    wrong = [line for line in lines if bool(line.harm) != line.expected]
    said = [f"NOT AS IT SHOULD BE: {line.name}" for line in wrong] or [
        "Nothing that was acknowledged was lost."
    ]
    rows = [
        (
            line.name,
            line.cuts,
            line.harm,
            ", ".join(f"{kind} {count}" for kind, count in line.details.items()),
        )
        for line in lines
    ]
    show("Power cuts", ("", "cuts", "did harm", "of which"), rows, said)
    took_s = round(time.monotonic() - begun, 1)
    save(given.json, {"seed": given.seed, "took_s": took_s, "lines": [vars(line) for line in lines]})
    return 1 if wrong else 0


if __name__ == "__main__":
    finish(main)
