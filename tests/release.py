"""Which cases of a test every change has to pass; `./run proof release` runs the others, too."""

from collections.abc import Iterable
from typing import Any

import pytest


def gate(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the cases for `parametrize`: those that are named (else the first) for every change, all for a release."""
    every = list(cases)
    of_all = kept or every[:1]
    return [case if case in of_all else pytest.param(case, marks=pytest.mark.release) for case in every]
