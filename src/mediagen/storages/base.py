"""What a storage is: a place where artifact bytes lie for good. Knows nothing of jobs or databases."""

import errno
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mediagen.errors import StorageFull, Unavailable

KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*(\.[a-z0-9]{1,5})?")
"""Keys are made by us, never from what a user wrote."""

WAITING = "fetched-"
"""How the names of temporary files begin that wait for a storage that is away, however long."""

TEMP_MAX_AGE_S = 24 * 3600.0
"""Nothing that is under way is left alone for a day: what is older was left by a process or a job that ended."""

FILE_MODE = 0o600
"""Outputs belong to whoever runs the server; other accounts of the machine get them through the API."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """What a storage knows of one file."""

    key: str
    size_bytes: int


class Storage(ABC):
    """Durable files under keys that match `KEY_PATTERN`. Keys are written once and never changed."""

    name: ClassVar[str]

    temp_dir: Path
    """A local folder for files on their way in; on the same file system where the storage is local."""

    @abstractmethod
    async def start(self) -> None:
        """Create or check what must exist. Raises `SettingsError` with the way out."""

    @abstractmethod
    async def put(self, key: str, file: Path) -> None:
        """Store the file under the key and take it away from `file`. It is durable when this returns.

        Putting the same key again with the same bytes is allowed (a step may run twice).
        Raises `StorageFull` or `Unavailable`; then `file` is still there.
        """

    @abstractmethod
    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive; None is the end of the file), in bounded memory.

        Raises `NotFound`.
        """

    @abstractmethod
    async def stat(self, key: str) -> StoredFile | None:
        """Return the size of a stored file, or None when there is none."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove the file. Idempotent."""

    @abstractmethod
    async def check(self) -> str:
        """Write, read and delete a small file; return a short sentence. Raises `Unavailable`."""

    async def link(self, key: str) -> str | None:
        """Return an address at which the storage itself serves the file for a short time; None: read it here."""
        return None

    async def demand_room(self) -> None:
        """Raise `StorageFull` when the output of one more job may not fit. Cheap enough for every submit."""
        return

    async def close(self) -> None:
        """Free connections. Idempotent."""
        return


def clear_old_files(temp_dir: Path) -> None:
    """Remove temporary files that processes left which died; not those that wait for the storage."""
    os.utime(temp_dir)  # asks the file system for the time: a network disk need not share our clock
    oldest = temp_dir.stat().st_mtime - TEMP_MAX_AGE_S
    with os.scandir(temp_dir) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process clears too
                status = entry.stat(follow_symlinks=False)
                is_old = stat.S_ISREG(status.st_mode) and status.st_mtime < oldest
                if is_old and not entry.name.startswith(WAITING):
                    os.unlink(entry.path)


@contextmanager
def on_disk(deed: str) -> Iterator[None]:
    """Raise trouble with the disk of the temporary files as what it is: an outage, and nobody's fault."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageFull(
                f"can't {deed}: the disk of the temporary files is full; free some space"
            ) from error
        raise Unavailable(
            f"can't {deed} on the disk of the temporary files: {error.strerror or error}"
        ) from error


def flush_file(file: Path) -> None:
    """Make it private, and both its bytes and that durable."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, FILE_MODE)
        os.fsync(fd)
    finally:
        os.close(fd)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
