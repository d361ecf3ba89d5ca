"""Cuts the power of artifacts: the product's own storage runs, and its system calls are replayed on a weak disk.

What `LocalStorage` asks of the system is recorded in its order: files made, synced, linked, renamed and removed,
folders made and synced. The disk of this model keeps of a file what it held when it was synced, and of a folder
the names that it had when it was synced. At a cut a file that was not synced may be empty, cut short or full of
zeros, and each name that was given or taken since may be there or not.
"""

import asyncio
import errno
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mediagen.storages.local import LocalStorage


class Do(StrEnum):
    """What was asked of the system; `STORED` and `DELETING` are the storage's own word to its caller."""

    MAKE = "make"
    SYNC = "sync"
    NAME = "name"  # link or rename
    REMOVE = "remove"
    MAKE_FOLDER = "make folder"
    SYNC_FOLDER = "sync folder"
    STORED = "stored"
    DELETING = "deleting"


@dataclass(frozen=True)
class Deed:
    """One line of the record. `data` is what the file held at that moment."""

    do: Do
    path: str
    source: str = ""
    data: bytes = b""


# ---------------------------------------------------------------------------------------------- recording


@dataclass
class Record:
    """The deeds of one run, and what links do in it."""

    root: str
    deeds: list[Deed] = field(default_factory=list)
    link_fails: int = 0  # errno of the next link; 0 for none
    folders: dict[int, str] = field(default_factory=dict)  # and files, by descriptor

    def note(self, do: Do, path: Any, *, source: str = "", data: bytes = b"") -> None:
        text = os.fspath(path)
        if text.startswith(self.root):
            self.deeds.append(Deed(do, text, source, data))


@contextmanager
def recording(record: Record) -> Iterator[None]:
    """Note what this process asks of the system below the root."""
    shims = _Shims(record)
    own = {name: getattr(os, name) for name in shims.made()}
    for name, shim in shims.made().items():
        setattr(os, name, shim)
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(os, name, function)


class _Shims:
    """Stand-ins for functions of `os`: each does the thing, then notes it."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._own = {name: getattr(os, name) for name in self.made()}

    def made(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "open": self._open,
            "fsync": self._fsync,
            "link": self._link,
            "rename": self._rename,
            "replace": self._rename,
            "unlink": self._unlink,
            "remove": self._unlink,
            "mkdir": self._mkdir,
        }

    def _open(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        descriptor: int = self._own["open"](path, flags, *more, **named)
        self._record.folders[descriptor] = os.fspath(path)
        if is_new:
            self._record.note(Do.MAKE, path)
        return descriptor

    def _fsync(self, descriptor: int) -> None:
        self._own["fsync"](descriptor)
        path = Path(self._record.folders[descriptor])
        if path.is_dir():
            self._record.note(Do.SYNC_FOLDER, path)
        else:
            self._record.note(Do.SYNC, path, data=path.read_bytes())

    def _link(self, source: Any, target: Any, **named: Any) -> None:
        failure, self._record.link_fails = self._record.link_fails, 0
        if failure:
            raise OSError(failure, os.strerror(failure))
        self._own["link"](source, target, **named)
        self._named(source, target)

    def _rename(self, source: Any, target: Any) -> None:
        self._own["rename"](source, target)
        self._named(source, target)
        self._record.note(Do.REMOVE, source)

    def _named(self, source: Any, target: Any) -> None:
        self._record.note(Do.NAME, target, source=os.fspath(source), data=Path(target).read_bytes())

    def _unlink(self, path: Any, **named: Any) -> None:
        self._own["unlink"](path, **named)
        self._record.note(Do.REMOVE, path)

    def _mkdir(self, path: Any, *more: Any, **named: Any) -> None:
        self._own["mkdir"](path, *more, **named)
        self._record.note(Do.MAKE_FOLDER, path)


def record(folder: Path, seed: int, *, puts: int) -> Record:
    """Let the storage keep so many files in an empty folder, in all the ways it has; return what it did."""
    made = Record(root=str(folder))
    with recording(made):
        asyncio.run(_use(LocalStorage(folder / "artifacts", 0), made, random.Random(seed), puts))
    return made


async def _use(storage: LocalStorage, made: Record, chance: random.Random, puts: int) -> None:
    await storage.start()
    for number in range(puts):
        key = f"{chance.choice('abcd')}{chance.choice('xy')}/{number:026x}.png"
        data = chance.randbytes(chance.randrange(1, 3000))
        made.link_fails = chance.choice([0, 0, 0, errno.EPERM, errno.EXDEV])
        for _ in range(chance.choice([1, 1, 2])):  # a step may run twice
            await _put(storage, made, key, data)
        if chance.random() < 0.1:
            made.deeds.append(Deed(Do.DELETING, str(storage.root / key)))
            await storage.delete(key)


async def _put(storage: LocalStorage, made: Record, key: str, data: bytes) -> None:
    file = storage.temp_dir / "in"
    await asyncio.to_thread(file.write_bytes, data)  # as a download is: written and closed, not synced
    made.note(Do.MAKE, file, data=data)
    await storage.put(key, file)
    made.deeds.append(Deed(Do.STORED, str(storage.root / key), data=data))


# ---------------------------------------------------------------------------------------------- the disk


@dataclass
class _File:
    written: bytes = b""
    durable: bytes | None = None  # None: never synced


class Disk:
    """A disk on its way through a record."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._names: dict[str, dict[str, _File | None]] = {root: {}}  # by folder; None is a folder
        self._durable: dict[str, dict[str, _File | None]] = {root: {}}

    def apply(self, deed: Deed) -> None:
        """Do what the record says."""
        folder, name = os.path.split(deed.path)
        match deed.do:
            case Do.MAKE:
                self._names[folder][name] = _File(written=deed.data)
            case Do.SYNC:
                file = self._file(deed.path)
                file.written = file.durable = deed.data
            case Do.NAME:
                file = self._file(deed.source)
                file.written = deed.data
                self._names[folder][name] = file
            case Do.REMOVE:
                self._names[folder].pop(name, None)
            case Do.MAKE_FOLDER:
                self._names[folder][name] = None
                self._names[deed.path], self._durable[deed.path] = {}, {}
            case Do.SYNC_FOLDER:
                self._durable[deed.path] = dict(self._names[deed.path])

    def _file(self, path: str) -> _File:
        folder, name = os.path.split(path)
        file = self._names[folder][name]
        assert file is not None
        return file

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files that can be reached after the power fails now, and what they hold."""
        found: dict[str, bytes] = {}
        contents: dict[int, bytes] = {}
        folders = [self._root]
        while folders:
            folder = folders.pop()
            for name, file in self._found_names(folder, chance):
                path = os.path.join(folder, name)
                if file is None:
                    folders.append(path)
                else:
                    found[path] = contents.setdefault(id(file), _left(file, chance))
        return found

    def _found_names(self, folder: str, chance: random.Random) -> Iterator[tuple[str, _File | None]]:
        live, durable = self._names[folder], self._durable[folder]
        for name in sorted(live.keys() | durable.keys()):
            is_sure = name in live and name in durable and live[name] is durable[name]
            views = [live] if is_sure else [live, durable]
            view = chance.choice(views)
            if name in view:
                yield name, view[name]


def _left(file: _File, chance: random.Random) -> bytes:
    if file.durable == file.written:
        return file.written
    short = file.written[: chance.randrange(len(file.written) + 1)]
    return chance.choice([file.durable or b"", short, bytes(len(file.written)), file.written])


# ---------------------------------------------------------------------------------------------- the cuts


@dataclass
class Tally:
    """What became of the cuts."""

    cuts: int = 0
    corrupt: int = 0  # files under their own name that are not whole
    lost: int = 0  # files that the storage had said it keeps

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def cut_many(made: Record, cuts: int, chance: random.Random, without: Do | None = None) -> Tally:
    """Cut the power at so many places of the record; `without` leaves out what makes it safe."""
    deeds = [deed for deed in made.deeds if deed.do is not without]
    whole = {deed.path: deed.data for deed in deeds if deed.do is Do.STORED}
    tally, disk, done = Tally(), Disk(made.root), 0
    kept: set[str] = set()
    for place in sorted(chance.randint(0, len(deeds)) for _ in range(cuts)):
        for deed in deeds[done:place]:
            disk.apply(deed)
            if deed.do is Do.STORED:
                kept.add(deed.path)
            elif deed.do is Do.DELETING:
                kept.discard(deed.path)
        done = place
        found = disk.cut(chance)
        tally.cuts += 1
        tally.corrupt += any(found[path] != data for path, data in whole.items() if path in found)
        tally.lost += any(path not in found for path in kept)
    return tally
