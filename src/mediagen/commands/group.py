"""What all commands share: how they end, and how they say what went wrong."""

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from mediagen.errors import InvalidRequest, MediagenError, NotFound, SettingsError

FAILED, BAD_USE, INTERRUPTED = 1, 2, 130
"""Exit codes, beside 0."""


class Commands(TyperGroup):
    """Says errors made for people in one sentence on stderr, and ends with the exit code of their kind."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MediagenError as error:
            bad_use = isinstance(error, (SettingsError, InvalidRequest, NotFound))
            raise _complaint(str(error), BAD_USE if bad_use else FAILED) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone
                raise
            named = f": {error.filename!r}" if error.filename else ""
            raise _complaint(f"{error.strerror or error}{named}", FAILED) from error
        except ImportError as error:
            raise _complaint(f"{error}; install mediagen again, with what it needs", FAILED) from error


def _complaint(message: str, code: int) -> typer.Exit:
    from mediagen.commands.terminal import complain

    complain(message)
    return typer.Exit(code)
