"""What the commands of this folder have in common: checked numbers and files, and an end that leaves nothing behind."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tests.fakes import kept

STOPPED = 130


def finish(main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code. SIGTERM ends it as Ctrl-C does: with all that it started and wrote.

    What it can't end itself, because it is killed, its keeper ends.
    """
    kept.keep()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        code = STOPPED
    sys.exit(code)


def whole(least: int) -> Callable[[str], int]:
    """Return an argument's type: a whole number from `least` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return number

    return read


def above_zero(text: str) -> float:
    """Read a number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def new_file(text: str) -> Path:
    """Read the name of a file that can be written: said now, not when all is done."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text!r} can't be written: there is no folder {str(path.parent)!r}"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} can't be written: it is not allowed")
    return path
