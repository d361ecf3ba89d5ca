"""Outputs on their way in: what came of them so far, on this machine's disk, and what earlier tries taught.

    part-NAME       the beginning of an output whose download broke off; whoever writes it holds a lock on it
    odd-NAME        an output that came and looks cut off; it is kept if nothing better comes
    part-NAME.json  what is remembered of both, see `Memory`
    fetched-NAME    a whole output that waits for a storage that is away
    in-...          all else, of one run, gone with it

NAME is made from the job's secret and the output's index. What is left behind is swept after a day.
"""

import fcntl
import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import mkstemp

from mediagen.errors import FetchError, FetchPacked, FetchTooLarge, StorageFull, Unavailable
from mediagen.ranges import Resume
from mediagen.safefetch import Download
from mediagen.storages.base import WAITING, flush_file, flush_folder, on_disk

_CHECKPOINT_BYTES = 16 * 1024**2
"""So much of a large file is fetched again at most after the power or the worker went."""

_READ_BYTES = 1024**2


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file that arrived in the temporary folder."""

    path: Path
    sha256: str
    size_bytes: int
    proved: bool = False  # that all of it came, by what the transfer itself says
    again: bool = True  # whether fetching it again may bring something else
    doubt: str | None = None  # what was odd about how it came


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What is remembered of the tries to fetch one output."""

    validator: str = ""  # of the file that the part is of
    total_bytes: int = 0  # of that file
    part_bytes: int = 0  # so many of the part are surely on the disk
    as_sent: bool = False  # its coding could not be undone
    odd_sha256: str = ""  # of a file that looked cut off
    odd_bytes: int = 0  # its length, if the transfer proved it; else 0
    odd_tries: int = 0  # since then

    @classmethod
    def read(cls, path: Path) -> "Memory":
        """Return what is remembered; nothing, if it can't be read."""
        nothing = cls()
        try:
            memory = cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return nothing
        typed = all(type(value) is type(asdict(nothing)[name]) for name, value in asdict(memory).items())
        return memory if typed else nothing

    def write(self, path: Path) -> None:
        """Remember it, durably: it must never speak of another part than the one that is there."""
        file = file_with(path.parent, json.dumps(asdict(self)).encode())
        try:
            flush_file(file)
            os.replace(file, path)
        finally:
            unlink(file)
        flush_folder(path.parent)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The files of one output in the temporary folder."""

    folder: Path
    name: str

    @property
    def part(self) -> Path:
        return self.folder / f"part-{self.name}"

    @property
    def odd(self) -> Path:
        return self.folder / f"odd-{self.name}"

    @property
    def waiting(self) -> Path:
        return self.folder / f"{WAITING}{self.name}"

    @property
    def notes(self) -> Path:
        return self.folder / f"part-{self.name}.json"

    def begun(self) -> Resume | None:
        """Return what the next try to fetch it may go on from."""
        memory = Memory.read(self.notes)
        with suppress(OSError):
            there = min(memory.part_bytes, self.part.stat().st_size)
            return Resume(
                offset=there,
                size_bytes=memory.total_bytes,
                validator=memory.validator,
                as_sent=memory.as_sent,
            )
        return Resume(as_sent=True) if memory.as_sent else None

    def note_packed(self) -> None:
        """Remember that its coding can't be undone."""
        replace(Memory.read(self.notes), as_sent=True).write(self.notes)

    def seen_before(self, received: Received) -> bool:
        """Tell whether an earlier try brought the same file, or one of the same proved length."""
        memory = Memory.read(self.notes)
        same_length = received.proved and received.size_bytes == memory.odd_bytes
        return received.sha256 == memory.odd_sha256 or same_length

    def set_aside(self, received: Received) -> None:
        """Keep a file that looks cut off until something better comes, or nothing does."""
        proved = received.size_bytes if received.proved else 0
        memory = replace(Memory.read(self.notes), odd_sha256=received.sha256, odd_bytes=proved)
        memory.write(self.notes)
        if not self.odd.exists() or self.odd.stat().st_size <= received.size_bytes:
            os.replace(received.path, self.odd)

    def given_up(self, most_tries: int) -> bool:
        """Count one more try since a file was set aside; tell whether it is time to take that one."""
        if not self.odd.exists():
            return False
        memory = Memory.read(self.notes)
        replace(memory, odd_tries=memory.odd_tries + 1).write(self.notes)
        return memory.odd_tries + 1 >= most_tries

    def clear(self) -> None:
        """Remove all of them: the output is kept."""
        unlink(self.part, self.odd, self.notes, self.waiting)


class Part:
    """One output being received. All methods block, and may be called from any thread.

    `begin`, then `add` as often as needed, then `finish` or, whatever happened before, `leave`.
    """

    def __init__(self, shelf: Shelf, download: Download) -> None:
        self._shelf = shelf
        self._download = download
        self._lock = threading.Lock()  # whoever is canceled leaves a thread behind that still writes
        self._fd = -1
        self._path = shelf.part
        self._left = False
        self._goes_on = False
        self._ready = False
        self._digest = hashlib.sha256()
        self._size = self._safe = 0

    def begin(self) -> None:
        """Make ready to write behind what an earlier try left, if the download begins there."""
        with self._lock, on_disk("receive a file"):
            if self._left:
                return
            self._goes_on = self._download.validator is not None and self._open_shared()
            if not self._goes_on:
                self._open_private()
            elif self._download.start:
                self._take_over()
            else:
                self._note(0)
                os.ftruncate(self._fd, 0)
            self._ready = True

    def add(self, data: bytes | bytearray) -> None:
        """Write the next bytes."""
        with self._lock, on_disk("receive a file"):
            if self._left or not self._ready:
                return
            self._digest.update(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            self._size += len(data)
            if self._goes_on and self._size - self._safe >= _CHECKPOINT_BYTES:
                self._note(self._size)

    def finish(self) -> Received:
        """Return the file, under a name of its own, so that nobody writes to it any more."""
        with self._lock, on_disk("receive a file"):
            if self._goes_on:
                self._path = _renamed(self._path)
            self._close()
        announced = self._download.size_bytes
        return Received(
            path=self._path,
            sha256=self._digest.hexdigest(),
            size_bytes=self._size,
            proved=self._download.framed or announced == self._size,
            again=not self._download.here,
            doubt=self._download.doubt,
        )

    def leave(self, last: bytes | bytearray, error: BaseException) -> None:
        """Keep what came, if the next try can go on from there; idempotent, raises nothing."""
        if not isinstance(error, Unavailable):
            with suppress(Unavailable):
                self.add(last)
        with self._lock, suppress(OSError):
            if isinstance(error, FetchPacked) and not self._left:
                self._shelf.note_packed()
            if self._ready and not self._left:
                self._keep_or_remove(error)
        with self._lock:
            self._close()

    def _keep_or_remove(self, error: BaseException) -> None:
        useless = isinstance(error, FetchPacked | FetchTooLarge | StorageFull)
        if self._goes_on and self._size and not useless:
            self._note(self._size)
        else:
            unlink(self._path)

    def _close(self) -> None:
        self._left = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open_private(self) -> None:
        if self._download.start:
            raise FetchError("another worker receives this output at the moment; try again later")
        self._fd, name = mkstemp(dir=self._shelf.folder, prefix="in-")
        self._path = Path(name)

    def _open_shared(self) -> bool:
        """Open and lock the part; tell whether it is ours."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(fd), os.stat(self._path))
        except OSError:  # locked, renamed or removed meanwhile, or no locks on this disk
            is_ours = False
        if is_ours:
            self._fd = fd
        else:
            os.close(fd)
        return is_ours

    def _take_over(self) -> None:
        """Go on behind the bytes that are there, which count for the hash too."""
        start = self._download.start
        memory = Memory.read(self._shelf.notes)
        if memory.validator != self._download.validator or memory.part_bytes < start:
            raise FetchError("what was here of this output is gone; try again later")
        while self._size < start and (piece := os.read(self._fd, min(_READ_BYTES, start - self._size))):
            self._digest.update(piece)
            self._size += len(piece)
        if self._size < start:
            raise FetchError("what was here of this output is gone; try again later")
        os.ftruncate(self._fd, start)
        self._safe = start

    def _note(self, part_bytes: int) -> None:
        """Remember how much is surely here: flushed, and of which file."""
        memory = Memory.read(self._shelf.notes)
        if not part_bytes and not memory.part_bytes:
            return
        os.fsync(self._fd)
        replace(
            memory,
            validator=self._download.validator or "",
            total_bytes=self._download.size_bytes or 0,
            part_bytes=part_bytes,
        ).write(self._shelf.notes)
        self._safe = part_bytes


def file_with(folder: Path, data: bytes) -> Path:
    """Return a new temporary file that holds the bytes."""
    path = new_file(folder)
    try:
        path.write_bytes(data)
    except OSError:
        unlink(path)
        raise
    return path


def _renamed(path: Path) -> Path:
    """Give a file a new name of its own, and return that."""
    name = new_file(path.parent)
    try:
        return path.replace(name)
    except OSError:
        unlink(name)
        raise


def measured(path: Path, *, proved: bool) -> Received:
    """Return a file that was received whole before."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Received(path=path, sha256=digest, size_bytes=path.stat().st_size, proved=proved, again=False)


def unlink(*paths: Path) -> None:
    """Remove files that may be gone; what can't be removed is swept later."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def new_file(folder: Path) -> Path:
    """Return a new, empty temporary file."""
    fd, name = mkstemp(dir=folder, prefix="in-")
    os.close(fd)
    return Path(name)
