"""Run the tests that are marked `release`: long loops, and the same again over more parameters.

    python -m proof.tests

`./run test` leaves them out, so that a change does not wait for them; those of attacks are in `proof.security`.
The exit code is 0 when all of them passed.
"""

import argparse
from pathlib import Path

import pytest

from proof.command import finish

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run them, and say what pytest says."""
    argparse.ArgumentParser(
        prog="python -m proof.tests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    attacks = f"--ignore={ROOT / 'tests' / 'security'}"
    return int(pytest.main(["-m", "release", "-n", "2", "--dist", "loadfile", attacks, str(ROOT / "tests")]))


if __name__ == "__main__":
    finish(main)
