"""Cuts the power of a database: the product itself runs on a disk that forgets what was not synced.

SQLite's writes go through a VFS that logs them. At a cut only what was synced is sure to be there; of the rest
any part may be: none, the first writes, some of them in any order, some torn at a sector. The same holds for
names: a new file may be missing until its folder was synced, a deleted one may be back.

After each commit the whole content is hashed. What a cut leaves must be the content after some commit, and one
that is no earlier than the last that was acknowledged before the cut.
"""

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy import create_engine

from mediagen.db import engine
from proof.power_sqlite import Driver
from proof.power_work import work

SECTOR = 512  # bytes that a disk writes whole or not at all


class Op(StrEnum):
    """What was done to a file; `COMMITTED` is no write but the moment of an acknowledgement."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"
    COMMITTED = "committed"


@dataclass(frozen=True)
class Entry:
    """One line of the log."""

    op: Op
    file: str = ""
    at: int = 0  # offset, new size, or the number of the commit
    data: bytes = b""
    syncs_folder: bool = False


@dataclass
class Log:
    """All that was written, in order, and the contents that were committed."""

    entries: list[Entry] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)  # hash of the content -> its newest commit
    commits: int = 0
    pragmas: set[str] = field(default_factory=set)  # that the product set

    def committed(self, content: bytes) -> None:
        self.commits += 1
        self.numbers[content] = self.commits
        self.entries.append(Entry(Op.COMMITTED, at=self.commits))


# ---------------------------------------------------------------------------------------------- recording


class _File(apsw.VFSFile):
    """Passes everything on and logs what changes the file."""

    def __init__(self, name: str, flags: list[int], file: str, log: Log) -> None:
        super().__init__("", name, flags)
        self._file, self._log = file, log
        self._is_new_journal = False

    def created(self, *, journal: bool) -> None:
        self._log.entries.append(Entry(Op.CREATE, self._file))
        self._is_new_journal = journal

    def xWrite(self, data: Any, offset: int) -> None:
        self._log.entries.append(Entry(Op.WRITE, self._file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._log.entries.append(Entry(Op.TRUNCATE, self._file, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        # SQLite's own VFS for Unix syncs the folder with the first sync of a new journal or log.
        self._log.entries.append(Entry(Op.SYNC, self._file, syncs_folder=self._is_new_journal))
        self._is_new_journal = False


class _Disk(apsw.VFS):
    """SQLite's usual VFS, with a log of what happens to the files of one folder."""

    def __init__(self, name: str, folder: Path, log: Log) -> None:
        super().__init__(name, "")
        self._folder, self._log = folder, log

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        if path.parent != self._folder:
            return apsw.VFSFile("", name, flags)
        is_new = not path.exists()
        file = _File(name, flags, path.name, self._log)
        if is_new:
            file.created(journal=bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL)))
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._log.entries.append(Entry(Op.DELETE, Path(filename).name, syncs_folder=syncdir))
        super().xDelete(filename, syncdir)


@contextmanager
def recording(folder: Path, log: Log, instead: Mapping[str, str], checkpoint_pages: int) -> Iterator[None]:
    """Let every database that the product opens write through the log; `instead` replaces statements of it."""
    disk = _Disk(f"power-{id(log)}", folder, log)
    driver = Driver(
        vfs=f"power-{id(log)}",
        committed=lambda db: log.committed(content(db)),
        instead=instead,
        checkpoint_pages=checkpoint_pages,
    )
    product: Any = engine
    own = product.create_engine
    product.create_engine = lambda url, **more: create_engine(url, module=driver, **more)
    try:
        yield
    finally:
        product.create_engine = own
        disk.unregister()
        log.pragmas |= driver.pragmas


def content(db: Any) -> bytes:
    """Return a hash of all rows of all tables."""
    digest = hashlib.blake2b(digest_size=16)
    tables = [
        name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    ]
    for table in tables:
        for row in db.execute(f'SELECT * FROM "{table}"'):
            digest.update(repr((table, *row)).encode())
    return digest.digest()


# ---------------------------------------------------------------------------------------------- the disk


@dataclass
class _State:
    """What is surely on the disk of one file, and what may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)
    is_named: bool = False  # surely
    exists: bool = True  # as the running process sees it
    before: bytes | None = None  # of a file of the same name whose deletion was not synced


class Disk:
    """A disk on its way through a log."""

    def __init__(self) -> None:
        self._files: dict[str, _State] = {}

    def apply(self, entry: Entry) -> None:
        """Do what the log says."""
        match entry.op:
            case Op.CREATE:
                old = self._files.get(entry.file)
                before = bytes(old.durable) if old is not None and old.is_named else None
                self._files[entry.file] = _State(before=before)
            case Op.WRITE | Op.TRUNCATE:
                self._files[entry.file].pending.append(entry)
            case Op.SYNC:
                state = self._files[entry.file]
                for each in state.pending:
                    _write(state.durable, each)
                state.pending.clear()
            case Op.DELETE:
                self._files[entry.file].exists = False
            case Op.COMMITTED:
                return
        if entry.syncs_folder:
            for state in self._files.values():
                state.is_named, state.before = state.exists, None

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return files as they may be found after the power fails now."""
        found = {}
        for file, state in self._files.items():
            is_there = state.exists if state.exists == state.is_named else chance.random() < 0.5
            if is_there:
                image = bytearray(state.durable)
                for each in _survivors(state.pending, chance):
                    _write(image, each)
                found[file] = bytes(image)
            elif state.exists and state.before is not None:
                found[file] = state.before
        return found


def _survivors(pending: Sequence[Entry], chance: random.Random) -> Iterator[Entry]:
    match chance.randrange(4):
        case 0:
            return
        case 1:
            yield from pending[: chance.randint(0, len(pending))]
        case 2:
            yield from (each for each in pending if chance.random() < 0.5)
        case _:
            for each in pending:
                yield from _torn(each, chance)


def _torn(entry: Entry, chance: random.Random) -> Iterator[Entry]:
    """Yield those sectors of a write that reached the disk."""
    if entry.op is not Op.WRITE:
        if chance.random() < 0.5:
            yield entry
        return
    for start in range(0, len(entry.data), SECTOR):
        if chance.random() < 0.5:
            yield Entry(Op.WRITE, entry.file, entry.at + start, entry.data[start : start + SECTOR])


def _write(image: bytearray, entry: Entry) -> None:
    if entry.op is Op.TRUNCATE:
        del image[entry.at :]
        return
    missing = entry.at - len(image)
    if missing > 0:
        image.extend(bytes(missing))
    image[entry.at : entry.at + len(entry.data)] = entry.data


# ---------------------------------------------------------------------------------------------- the cuts


@dataclass
class Tally:
    """What became of the cuts."""

    cuts: int = 0
    cuts_that_lost: int = 0
    commits_lost: int = 0
    corrupt: int = 0

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def cut_many(log: Log, folder: Path, cuts: int, chance: random.Random) -> Tally:
    """Cut the power at so many places of the log, and look each time at what is left, in an empty folder."""
    places = sorted(chance.randint(0, len(log.entries)) for _ in range(cuts))
    tally, disk, done, acknowledged = Tally(), Disk(), 0, 0
    for place in places:
        for entry in log.entries[done:place]:
            disk.apply(entry)
            acknowledged = entry.at if entry.op is Op.COMMITTED else acknowledged
        done = place
        found = _number(log, folder, disk.cut(chance))
        tally.cuts += 1
        if found is None:
            tally.corrupt += 1
        elif found < acknowledged:
            tally.cuts_that_lost += 1
            tally.commits_lost += acknowledged - found
    return tally


def _number(log: Log, folder: Path, files: Mapping[str, bytes]) -> int | None:
    """Return the commit after which the database has this content; None when it is damaged or has no such content.

    It is opened with the library that the product uses, which repairs it as it would after a real cut.
    """
    [main] = {file.removesuffix("-wal").removesuffix("-journal") for file in files} or {"none"}
    for file, data in files.items():
        (folder / file).write_bytes(data)
    try:
        with closing(sqlite3.connect(folder / main)) as db:
            if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
                return None
            return log.numbers.get(content(db))
    except sqlite3.DatabaseError:
        return None
    finally:
        for left in folder.iterdir():
            left.unlink()


def record(
    folder: Path, seed: int, *, commits: int, checkpoint_pages: int, instead: Mapping[str, str]
) -> Log:
    """Run the product in an empty folder until so many commits were made; return what it wrote.

    The log is brought into the database when it has so many pages; `instead` replaces statements.
    """
    log, chance = Log(), random.Random(seed)
    log.numbers[hashlib.blake2b(digest_size=16).digest()] = 0  # nothing at all: before the first commit
    with recording(folder, log, instead, checkpoint_pages):
        asyncio.run(work(folder, chance, lambda: log.commits < commits))
    return log
