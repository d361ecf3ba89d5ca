"""Artifacts in a folder of this machine.

Safe against power loss: the file is flushed, then gets its name, then the folders are flushed. Keys are paths
below the root, as they are. A name is given once: of two processes that put the same key at the same time,
the slower one can't change what the faster one stored.
"""

import asyncio
import errno
import hashlib
import os
import shutil
import stat as filemode
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mediagen.errors import Conflict, NotFound, SettingsError, StorageFull, Unavailable
from mediagen.storages.base import (
    DISK_FULL,
    KEY_PATTERN,
    Storage,
    StoredFile,
    clear_old_files,
    flush_file,
    flush_folder,
)

WHOLE_READ_BYTES = 4 * 1024**2
"""Up to here a read is one read: with 64 KB pieces the same file is served at a fifth of the speed."""

CHUNK_BYTES = 1024**2

_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

# As the files in them are.
_FOLDER_MODE = 0o700

_ROOM_FRESH_S = 2.0


class LocalStorage(Storage):
    """A folder; its files have the mode 0600, its folders 0700. Symbolic links below it are never followed.

    Folders stay when their last file is deleted: removing one could cross a `put` that just made it.
    A key that does not match `KEY_PATTERN` is a bug of ours: `ValueError`.
    """

    name = "local"

    def __init__(self, root: Path, min_free_bytes: int) -> None:
        """Name the folder, which `start` creates, and the free bytes below which `check` complains."""
        self.root = root.resolve()
        self.temp_dir = self.root / ".tmp"  # no key starts with a dot
        self.min_free_bytes = min_free_bytes
        self._free = 0
        self._room_due = 0.0  # monotonic
        self._measuring = asyncio.Lock()

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    async def put(self, key: str, file: Path) -> None:
        """Store the file; see `Storage.put`. A file of another file system is copied first.

        Raises `Conflict` when the key holds other bytes; then both stay as they are.
        """
        await asyncio.to_thread(self._put, key, file)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        # Each piece opens the file anew: a reader that is canceled leaves nothing open.
        at_once = WHOLE_READ_BYTES
        while True:
            piece, stop = await asyncio.to_thread(self._piece, key, start, end, at_once)
            if piece:
                yield piece
            start += len(piece)
            if not piece or start >= stop:
                return
            at_once = CHUNK_BYTES

    async def stat(self, key: str) -> StoredFile | None:
        return await asyncio.to_thread(self._stat, key)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    async def check(self) -> str:
        """Prove that files can be written, read and deleted; see `Storage.check`.

        Raises `StorageFull` below the low-water mark, although what is there can still be read.
        """
        await asyncio.to_thread(self._probe)
        free = await self.free_bytes()
        if free < self.min_free_bytes:
            raise StorageFull(
                f"the disk of STORAGE_PATH has {free} bytes free, fewer than "
                f"MIN_FREE_BYTES={self.min_free_bytes}; free some space"
            )
        return f"writable, {free / 1024**3:.1f} GiB free"

    async def demand_room(self) -> None:
        if time.monotonic() >= self._room_due:
            async with self._measuring:  # those who come meanwhile wait: what was known before is out of date
                if time.monotonic() >= self._room_due:
                    self._free = await self.free_bytes()
                    self._room_due = time.monotonic() + _ROOM_FRESH_S
        if self._free < self.min_free_bytes:
            raise StorageFull(
                f"The disk of STORAGE_PATH has {self._free // 2**20} MiB free, less than "
                f"MIN_FREE_BYTES={self.min_free_bytes}; new jobs are refused until there is space"
            )

    async def free_bytes(self) -> int:
        """Return how many bytes this process may still write to the disk. Raises `Unavailable`."""
        with _translated("look at the free space"):
            return (await asyncio.to_thread(shutil.disk_usage, self.root)).free

    # --- all below runs in threads

    def _start(self) -> None:
        try:
            self._create()
            clear_old_files(self.temp_dir)
            tempfile.TemporaryFile(dir=self.temp_dir).close()
        except OSError as error:
            if error.errno in DISK_FULL:  # no wrong setting, and what is stored can still be read
                return
            raise SettingsError(
                f"STORAGE_PATH={str(self.root)!r} can't be used ({error.strerror}); "
                "name a folder that this user may create and write"
            ) from error

    def _create(self) -> None:
        missing = [folder for folder in (self.temp_dir, *self.temp_dir.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            flush_folder(folder.parent)

    def _put(self, key: str, file: Path) -> None:
        path = self._path(key)
        with _translated(f"store {key!r}"):
            flush_file(file)
            self._make_folders(path.parent)
            self._name(file, path, key)
            # All of them, new or not: the one who made them may not have come to flushing them yet.
            for folder in self._folders(path.parent):
                flush_folder(folder)
            file.unlink()

    def _name(self, file: Path, path: Path, key: str) -> None:
        """Give the bytes their name, unless they have it. Unlike a rename, a link never overwrites."""
        try:
            os.link(file, path, follow_symlinks=False)
        except FileExistsError:
            _demand_same_bytes(file, path, key)
        except OSError as error:
            if error.errno == errno.EXDEV:
                with self._flushed_copy(file) as copy:
                    self._name(copy, path, key)
            elif error.errno in _NO_HARD_LINKS:
                self._name_by_rename(file, path, key)
            else:
                raise

    def _name_by_rename(self, file: Path, path: Path, key: str) -> None:
        """Do without links, as on exFAT: keys stay write-once, but for two processes in the same instant."""
        if os.path.lexists(path):
            _demand_same_bytes(file, path, key)
            return
        with self._flushed_copy(file) as copy:
            os.rename(copy, path)

    @contextmanager
    def _flushed_copy(self, file: Path) -> Iterator[Path]:
        fd, name = tempfile.mkstemp(dir=self.temp_dir, prefix="copy-")
        copy = Path(name)
        try:
            with open(fd, "wb") as target, file.open("rb") as source:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
            flush_file(copy)
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def _piece(self, key: str, start: int, end: int | None, at_once: int) -> tuple[bytes, int]:
        """Return the bytes from `start`, all if no more than `at_once`, and where the whole read stops."""
        with self._looking_for(key) as path:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                size = _size_of_file(os.fstat(fd))
                stop = size if end is None else min(end, size)
                length = max(0, stop - start)
                return os.pread(fd, length if length <= at_once else CHUNK_BYTES, start), stop
            finally:
                os.close(fd)

    def _stat(self, key: str) -> StoredFile | None:
        try:
            with self._looking_for(key) as path:
                return StoredFile(key=key, size_bytes=_size_of_file(path.lstat()))
        except NotFound:
            return None

    def _delete(self, key: str) -> None:
        with suppress(NotFound), self._looking_for(key) as path:
            path.unlink()
            flush_folder(path.parent)

    def _probe(self) -> None:
        with _translated("write a small file"):
            fd, name = tempfile.mkstemp(dir=self.temp_dir, prefix="check-")
        file, key = Path(name), Path(name).name
        try:
            with _translated("write a small file"), open(fd, "wb") as target:
                target.write(key.encode())
            self._put(key, file)
            if self._piece(key, 0, None, CHUNK_BYTES)[0] != key.encode():
                raise Unavailable(
                    "the disk of STORAGE_PATH gives back other bytes than were written; check it"
                )
        finally:
            file.unlink(missing_ok=True)
            self._delete(key)

    def _path(self, key: str) -> Path:
        if not KEY_PATTERN.fullmatch(key):
            raise ValueError(f"{key!r} is no storage key; keys match {KEY_PATTERN.pattern}")
        path = self.root / key
        if os.path.realpath(path) != str(path):
            raise Unavailable(
                f"{key!r} leads over a symbolic link in STORAGE_PATH; remove it, none is followed there"
            )
        return path

    def _folders(self, folder: Path) -> list[Path]:
        """Return the folder and those above it up to the root, innermost first."""
        return [folder, *(above for above in folder.parents if above.is_relative_to(self.root))]

    def _make_folders(self, folder: Path) -> None:
        for each in reversed(self._folders(folder)[:-1]):
            with suppress(FileExistsError):
                each.mkdir(mode=_FOLDER_MODE)

    @contextmanager
    def _looking_for(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        with _translated(f"use {key!r}"):
            try:
                yield path
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                # Were it NotFound, an unmounted disk would make every artifact look deleted.
                if not self.temp_dir.is_dir():
                    raise Unavailable("the files of STORAGE_PATH are gone; is its disk mounted?") from error
                raise NotFound(f"there is no file {key!r}") from error


@contextmanager
def _translated(deed: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageFull(f"can't {deed}: the disk of STORAGE_PATH is full; free some space") from error
        raise Unavailable(f"can't {deed} in STORAGE_PATH: {error.strerror or error}") from error


def _size_of_file(status: os.stat_result) -> int:
    if not filemode.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "no ordinary file")
    return status.st_size


def _demand_same_bytes(file: Path, path: Path, key: str) -> None:
    if file.stat().st_size != path.stat().st_size or _sha256(file) != _sha256(path):
        raise Conflict(f"the key {key!r} holds other bytes already; keys are written once: delete it first")


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
