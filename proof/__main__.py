"""Prove what mediagen promises, on this machine.

    ./run proof                 what can be proved, how, and how long it takes
    ./run proof NAME [ARGS]     run one of them; NAME --help tells its options
    ./run proof gate            run those that every change must pass and that the tests do not hold
    ./run proof release         run all of them at full length, one after the other: before a release

docs/explanation/promises.md says which promise each of them stands for. The exit code is 0 when what was promised held.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from proof.command import STOPPED
from proof.table import show
from tests.fakes import kept


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One command of this folder; `gate` and `release` are the options of its runs at those lengths."""

    name: str
    shows: str
    takes: str  # at full length on two cores
    gate: Sequence[str] = ()
    release: Sequence[str] = ("",)


PROOFS = (
    Proof(
        name="simulation",
        shows="random faults on the shipped engine: nothing lost, bought twice or stuck",
        takes="2 h",
        gate=("--schedules 6000 --jobs 2",),
        release=("--schedules 1000000 --jobs 2", "--mutant all --jobs 2"),
    ),
    Proof(
        name="model_check",
        shows="every interleaving of the submit protocol, with bounded faults",
        takes="1 min",
    ),
    Proof(name="kill_loop", shows="kill -9 again and again under an evil provider", takes="6 min"),
    Proof(
        name="evidence",
        shows="a provider that says what proves nothing: nothing bought again, nothing paid for lost",
        takes="15 min",
    ),
    Proof(name="power_cuts", shows="acknowledged commits and artifacts survive power cuts", takes="5 min"),
    Proof(name="bad_input", shows="odd values everywhere: clear errors, no 5xx, no rows", takes="2 min"),
    Proof(
        name="media_mutants",
        shows="whatever bytes a provider sends are kept, but for no bytes at all",
        takes="3 min",
    ),
    Proof(name="fuzz", shows="the API answers as its OpenAPI document says", takes="1 h"),
    Proof(name="security", shows="SSRF, bombs, path traversal, scripts, secrets", takes="3 min"),
    Proof(name="tests", shows="the tests that are too long for every change", takes="10 min"),
    Proof(name="chaos", shows="processes killed, Redis flushed, PostgreSQL restarted", takes="16 min"),
)
_BY_NAME = {proof.name: proof for proof in PROOFS}


def main() -> int:
    """Run what the command line says."""
    match sys.argv[1:]:
        case [] | ["-h" | "--help"]:
            return _list()
        case ["gate"]:
            return _all([(proof.name, options) for proof in PROOFS for options in proof.gate])
        case ["release"]:
            return _all([(proof.name, options) for proof in PROOFS for options in proof.release])
        case [name, *args] if name in _BY_NAME:
            os.execv(sys.executable, _command(name, args))  # signals reach it, not us
        case ["gate" | "release" as name, *_]:
            print(f"{name} takes no options: each of its proofs has its own length in it", file=sys.stderr)
        case [name, *_]:
            names = ", ".join(_BY_NAME)
            print(f"There is no proof {name!r}; there are: {names}, gate, release", file=sys.stderr)
    return 2


def _list() -> int:
    print(__doc__)
    rows = [(proof.name, proof.shows, proof.takes) for proof in PROOFS]
    show("Proofs", ("name", "shows", "takes"), rows, [])
    return 0


def _all(runs: Sequence[tuple[str, str]]) -> int:
    """Run all of them, also when one fails; return the worst exit code."""
    kept.keep()
    codes = []
    for name, given in runs:
        codes.append(_run(name, given.split()))
        if codes[-1] == STOPPED:
            return STOPPED
    return max(codes)


def _run(name: str, args: Sequence[str]) -> int:
    """Run one beside us; whatever tells us to stop is passed on, and then waited for."""
    with subprocess.Popen(_command(name, args)) as process:
        signal.signal(signal.SIGINT, lambda *_: None)  # of the terminal, which tells it, too
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


def _command(name: str, args: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", f"proof.{name}", *args]


if __name__ == "__main__":
    sys.exit(main())
