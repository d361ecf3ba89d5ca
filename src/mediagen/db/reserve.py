"""A file that keeps a little room on the disk of a SQLite database, so that a server starts when the disk is full.

SQLite needs a few pages beside the database to be read at all. What the file holds is given up then; once there is
room it is made again.
"""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_BYTES = 4 * 1024**2
_LOW_BYTES = 1024**2  # with less than that SQLite may not open
_PLENTY_BYTES = 64 * 1024**2


def keep_reserve(folder: Path) -> None:
    """Make the reserve where there is room, give it up where there is none. Nothing else fails with it."""
    path = folder / "reserve"
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < _LOW_BYTES and path.exists():
            path.unlink()
            log.warning(
                "database.disk_full",
                say=f"The disk of {str(folder)!r} is full. What is there can be read; new jobs are refused until "
                "there is room.",
            )
        elif free > _PLENTY_BYTES and not path.exists():
            _make(path)


def _make(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(secrets.token_bytes(_BYTES))  # zeros may take no room
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
