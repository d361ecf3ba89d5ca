"""Damage files of every kind in every way, and see that each one is kept all the same.

    python -m proof.media_mutants [--mutants 100000] [--jobs 2000] [--seed 1] [--json FILE]

The mutants first go through all that looks at the bytes of an output: nothing may raise, but for an empty file,
and nothing may be unforeseen. Then whole jobs take mutants in, on SQLite and on PostgreSQL (the one that
DATABASE_URL names, else one of its own): every one must be kept, byte by byte, but for the empty ones.
The exit code is 0 when that held, else 1.
"""

import argparse
import asyncio
import hashlib
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import structlog

from mediagen.artifacts import media
from mediagen.artifacts.ends import ending
from mediagen.artifacts.examine import examine
from mediagen.artifacts.media import MediaType
from mediagen.artifacts.model import Artifact
from mediagen.artifacts.parts import Received
from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.sizes import LARGEST, dimensions
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.errors import InvalidMedia
from mediagen.safefetch import Download
from mediagen.storages.local import LocalStorage
from proof.command import finish, new_file, whole
from proof.media_damage import mutant
from proof.media_files import valid_files
from proof.table import save, show
from tests.conformance.databases import DATABASES, Desk
from tests.fakes import kept
from tests.fakes.clock import ManualClock

_TRIES = 2  # one that looks cut off is fetched once more
_AT_ONCE = 8
_SHOWN = 20


@dataclass(kw_only=True)
class Tally:
    """What became of the mutants of one line."""

    name: str
    mutants: int = 0
    kept: int = 0
    empty: int = 0
    doubted: int = 0
    took_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def a_second(self) -> int:
        return round(self.mutants / max(self.took_s, 0.001))

    def note(self, found: Artifact | None, data: bytes, kind: str) -> None:
        """Count one that was taken in; None was refused."""
        self.mutants += 1
        self.empty += not data
        if found is None:
            if data:
                self.faults.append(f"{kind}: {len(data)} bytes were thrown away")
            return
        self.kept += 1
        self.doubted += found.doubt is not None
        if found.sha256 != hashlib.sha256(data).hexdigest():
            self.faults.append(f"{kind}: other bytes were kept")


def look(mutants: int, seed: int, folder: Path) -> Tally:
    """Let all that looks at bytes look at so many mutants."""
    files, chance, tally = list(valid_files().items()), Random(seed), Tally(name="looked at")
    begun = time.monotonic()
    path = folder / "mutant"
    for number in range(mutants):
        name, (file, kind) = files[number % len(files)]
        data = mutant(file, chance)
        path.write_bytes(data)
        received = Received(
            path=path,
            sha256="",
            size_bytes=len(data),
            proved=chance.random() < 0.5,
            again=chance.random() < 0.5,
        )
        tally.mutants += 1
        tally.empty += not data
        try:
            tally.doubted += _look(received, data, kind)
            tally.kept += bool(data)
        except Exception as error:  # noqa: BLE001  any is what is looked for
            tally.faults.append(f"{name}: {type(error).__name__}: {error}: {data[:64].hex()}")
    tally.took_s = time.monotonic() - begun
    return tally


def _look(received: Received, data: bytes, kind: MediaType) -> bool:
    """Look at one file in every way; tell whether it is doubted."""
    found = media.sniff(data[: media.SNIFF_BYTES], received.path)
    for told in {found, kind}:  # what it was, too: its own readers are to see the damage
        ending(received.path, told)
        _measure(received.path, told)
    try:
        examined = examine(received)
    except InvalidMedia:
        if data:
            raise
        return False
    if "could not be examined" in (examined.doubt or ""):
        raise AssertionError("something unforeseen was met")
    return examined.doubt is not None


def _measure(path: Path, kind: MediaType) -> None:
    try:
        size = dimensions(path, kind)
    except InvalidMedia:
        return
    if size is not None and not (min(size) > 0 and max(size) <= LARGEST):
        raise AssertionError(f"a size of {size}")


async def ingest(kind: str, jobs: int, seed: int, folder: Path) -> Tally:
    """Take mutants in as the outputs of so many jobs on the kind of database."""
    clock, chance = ManualClock(), Random(seed)
    async with DATABASES[kind](folder, clock) as db:
        storage = LocalStorage(folder / "artifacts", 0)
        await storage.start()
        desk = Desk(db=db, clock=clock, again=lambda: DATABASES[kind](folder, clock))
        artifacts, tally = ArtifactService(db, storage, Thumbnailer()), Tally(name=f"jobs on {kind}")
        files = list(valid_files().items())
        begun = time.monotonic()
        for start in range(0, jobs, _AT_ONCE):
            together = range(start, min(start + _AT_ONCE, jobs))
            given = [
                (name, mutant(file, chance)) for name, (file, _) in (files[n % len(files)] for n in together)
            ]
            await asyncio.gather(
                *(
                    _one(desk, artifacts, tally, Random(f"{seed}/{n}"), *each)
                    for n, each in zip(together, given, strict=True)
                )
            )
        tally.took_s = time.monotonic() - begun
        left = [path.name for path in storage.temp_dir.iterdir()]
        if left:
            tally.faults.append(f"{len(left)} temporary files were left, such as {left[0]}")
    return tally


async def _one(
    desk: Desk, artifacts: ArtifactService, tally: Tally, chance: Random, name: str, data: bytes
) -> None:
    job = await desk.add()
    framed, announced, here = (chance.random() < 0.5 for _ in range(3))
    found = None
    for _ in range(_TRIES):
        download = Download(
            chunks=_pieces(data),
            size_bytes=len(data) if announced else None,
            media_type="image/png",
            framed=framed,
            here=here,
            validator='"one"' if announced else None,
        )
        try:
            found = await artifacts.ingest(job.id, job.secret, 0, download)
            break
        except InvalidMedia:
            continue
        except Exception as error:  # noqa: BLE001  any is what is looked for
            tally.faults.append(f"{name}: {type(error).__name__}: {error}")
            break
    if found is not None and b"".join([piece async for piece in artifacts.read(found)]) != data:
        tally.faults.append(f"{name}: other bytes lie in the storage")
    tally.note(found, data, name)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


def prove(mutants: int, jobs: int, seed: int) -> Iterator[Tally]:
    """Yield a line for the looks, and one for the jobs on each kind of database."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with _folder() as folder:
        yield look(mutants, seed, folder)
    for kind in sorted(DATABASES) if jobs else ():
        with _folder() as folder:
            yield asyncio.run(ingest(kind, jobs, seed, folder))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=kept.memory()) as name:
        yield Path(name).resolve()


def main() -> int:
    """Run what the command line says, print the table, and return 1 when something was not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=whole(1), default=100_000, help="files to look at")
    parser.add_argument("--jobs", type=whole(0), default=2000, help="whole jobs on each kind of database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=new_file, help="write the figures there, too")
    given = parser.parse_args()
    tallies = list(prove(given.mutants, given.jobs, given.seed))
    faults = [f"{tally.name}: {fault}" for tally in tallies for fault in tally.faults]
    rows = [(t.name, t.mutants, t.kept, t.empty, t.doubted, len(t.faults), t.a_second) for t in tallies]
    said = faults[:_SHOWN] or ["Everything but empty files was kept, and nothing unforeseen was met."]
    show("Mutants", ("", "mutants", "kept", "empty", "with a doubt", "faults", "a second"), rows, said)
    save(given.json, {"seed": given.seed, "lines": [asdict(tally) for tally in tallies]})
    return 1 if faults else 0


if __name__ == "__main__":
    finish(main)
