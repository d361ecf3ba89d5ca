"""Attack a real server in every way that SECURITY.md names, and count what got through.

    python -m proof.security [--json FILE]

The cases are those of `tests/security`: this runs all of them and adds them up by kind, so that nothing here can
differ from what is tested. Addresses are judged at the socket, scripts in a real Chromium, secrets in all that a
server writes. The exit code is 1 when anything got through, or when there are fewer cases than promised.
"""

import argparse
import io
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proof.command import finish, new_file
from proof.table import Moves, progress, save, show

FOLDER = Path(__file__).parents[1] / "tests" / "security"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A way to attack, the files that hold its cases, and how many these are at least."""

    name: str
    files: tuple[str, ...]
    least: int


KINDS = (
    Kind(name="addresses inside (SSRF)", files=("test_ssrf.py", "test_ssrf_through_jobs.py"), least=200),
    Kind(name="bombs", files=("test_bombs.py",), least=20),
    Kind(name="paths that climb", files=("test_paths.py",), least=20),
    Kind(name="scripts in Chromium", files=("test_scripts.py",), least=100),
    Kind(name="rebinding, cross-site posts", files=("test_guard.py",), least=100),
    Kind(name="secrets that leak", files=("test_canaries.py",), least=20),
)


@dataclass
class Count:
    """A plugin of pytest that counts the cases by file; a test that holds several says so, as its property."""

    moves: Moves
    done: Counter[str] = field(default_factory=Counter)
    through: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.done[Path(report.fspath).name] += int(dict(report.user_properties).get("cases", 1))  # type: ignore[call-overload]
            self.moves(self.done.total(), sum(kind.least for kind in KINDS))
        elif not report.passed:  # also a set-up that fails, and a case that is skipped
            self.through.append(report.nodeid)


def main() -> int:
    """Run all cases and show what became of them."""
    parser = argparse.ArgumentParser(
        prog="python -m proof.security", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    given = parser.parse_args()
    said = io.StringIO()
    with progress("security cases") as moves, redirect_stdout(said):
        count = Count(moves)
        code = pytest.main(["-m", "", "-n", "2", "--dist", "loadfile", str(FOLDER)], plugins=[count])
    if code:
        print(said.getvalue())
    held = {kind.name: sum(count.done[file] for file in kind.files) for kind in KINDS}
    bad = {kind.name: [node for node in count.through if _file(node) in kind.files] for kind in KINDS}
    rows = [
        (kind.name, held[kind.name] + len(bad[kind.name]), kind.least, len(bad[kind.name])) for kind in KINDS
    ]
    few = [f"{kind.name}: too few cases" for kind in KINDS if held[kind.name] < kind.least]
    show(
        "Attacks on a running server", ("kind", "cases", "at least", "got through"), rows, count.through + few
    )
    save(
        given.json,
        {"kinds": {name: {"cases": held[name], "through": bad[name]} for name in held}, "few": few},
    )
    return 1 if code or few or count.through else 0


def _file(node: str) -> str:
    return Path(node.partition("::")[0]).name


if __name__ == "__main__":
    finish(main)
