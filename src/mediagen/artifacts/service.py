"""Artifacts: take an output in, keep it for good, give it out, remove it.

Ingest is: stream to a temporary file, hash, look at the bytes, make durable in the storage, then write the
row. A kill between any two of these leaves at most a file that the same step writes again under the same key.
"""

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mediagen.artifacts import repository
from mediagen.artifacts.examine import Found, examine
from mediagen.artifacts.model import Artifact, ThumbnailState, storage_key, thumbnail_key
from mediagen.artifacts.parts import Part, Received, Shelf, measured, new_file, unlink
from mediagen.artifacts.spool import Spool
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.db.engine import Database
from mediagen.errors import Conflict, InvalidMedia, NotFound, Unavailable
from mediagen.ranges import Resume
from mediagen.safefetch import Download
from mediagen.storages.base import WAITING, Storage, clear_old_files, flush_file, on_disk

_WRITE_BYTES = 1024 * 1024  # collected before a hop to a thread, which costs more than the write of less
_INGESTS = 8  # outputs taken in at a time: bounds disk, memory and open connections
_ODD_TRIES = 5  # after so many tries that brought nothing better a file that looks cut off is kept
_SWEEP_S = 3600.0


class ArtifactService:
    """The one door to artifacts."""

    def __init__(self, db: Database, storage: Storage, thumbnailer: Thumbnailer) -> None:
        self._db = db
        self._storage = storage
        self._thumbnailer = thumbnailer
        self._spool = Spool(storage)
        self._ingests = asyncio.Semaphore(_INGESTS)
        self._sweep_due = 0.0  # monotonic

    # ------------------------------------------------------------------------------------------ in

    async def begun(self, secret: str, idx: int) -> Resume | None:
        """Return what earlier tries to fetch the output left on this machine, for the next one to go on from."""
        return await asyncio.to_thread(self._shelf(secret, idx).begun)

    async def ingest(self, job_id: str, secret: str, idx: int, download: Download) -> Artifact:
        """Keep one output of a job for good and return its row. Running it again gives the same artifact.

        Raises `FetchError` kinds from the download; `InvalidMedia` for an empty file, and for one that looks
        cut off until it came the same way once more; `StorageFull` or `Unavailable` from storage and disk.
        """
        shelf = self._shelf(secret, idx)
        async with self._ingests:
            received = await self._receive(Part(shelf, download), download)
            return await self._keep(received, shelf, job_id, idx)

    async def resume(self, job_id: str, secret: str, idx: int) -> bool:
        """Keep an output that was fetched before but could not be kept then; tell whether there was one.

        It lies on this machine's disk, so that an outage of the storage may be longer than the links live. One
        that looked cut off is kept when several tries since then brought nothing better.
        """
        shelf = self._shelf(secret, idx)
        with on_disk("look for an output"):
            received = await asyncio.to_thread(_here, shelf)
        if received is None:
            return False
        async with self._ingests:
            await self._keep(received, shelf, job_id, idx)
        return True

    async def _keep(self, received: Received, shelf: Shelf, job_id: str, idx: int) -> Artifact:
        try:
            with on_disk("examine an output"):
                found = await asyncio.to_thread(_judged, received, shelf)
            artifact = await self._stored(_described(received, found, shelf.name, job_id, idx), received.path)
        except Unavailable:
            with on_disk("keep an output until the storage is back"):
                await asyncio.to_thread(_retain, received.path, shelf.waiting)
            raise
        finally:
            await asyncio.to_thread(_remove_temporary, received.path)
        row = await self._db.transact(lambda connection: repository.record(connection, artifact))
        await asyncio.to_thread(shelf.clear)
        return row

    async def _stored(self, artifact: Artifact, path: Path) -> Artifact:
        """Store the file; if a run that was killed stored other bytes of the same output, these stay."""
        try:
            await self._storage.put(storage_key(artifact.key), path)
        except Conflict:
            return await self._as_stored(artifact)
        return artifact

    async def _as_stored(self, artifact: Artifact) -> Artifact:
        with on_disk("read an output again"):
            copy = await asyncio.to_thread(new_file, self._storage.temp_dir)
            try:
                await self._copy_out(artifact, copy)
                received = await asyncio.to_thread(measured, copy, proved=True)
                found = await asyncio.to_thread(examine, received)
            finally:
                await asyncio.to_thread(unlink, copy)
        name = artifact.key.partition(".")[0]
        described = _described(received, found, name, artifact.job_id, artifact.idx)
        return replace(described, key=artifact.key)

    def _shelf(self, secret: str, idx: int) -> Shelf:
        return Shelf(folder=self._storage.temp_dir, name=_random_part(secret, idx))

    async def _receive(self, part: Part, download: Download) -> Received:
        buffer = bytearray()
        try:
            await asyncio.to_thread(part.begin)
            async for chunk in download.chunks:
                buffer += chunk
                if len(buffer) >= _WRITE_BYTES:
                    full, buffer = buffer, bytearray()
                    await asyncio.to_thread(part.add, full)
            full, buffer = buffer, bytearray()
            await asyncio.to_thread(part.add, full)
            return await asyncio.to_thread(part.finish)
        except BaseException as error:
            await asyncio.to_thread(part.leave, buffer, error)
            raise

    # ------------------------------------------------------------------------------------------ spool

    async def spool(self, call_id: str, outputs: Sequence[bytes]) -> None:
        """Keep outputs that can't be asked for again, durably, before the state says that they exist."""
        await self._spool.put(call_id, outputs)

    async def spooled(self, call_id: str) -> list[bytes] | None:
        """Return what `spool` kept for the call, or None when it kept nothing, or not all."""
        return await self._spool.get(call_id)

    async def unspool(self, call_id: str) -> None:
        """Remove what `spool` kept. Idempotent."""
        await self._spool.remove(call_id)

    # ------------------------------------------------------------------------------------------ out

    async def get(self, key: str) -> Artifact:
        """Return an artifact by its key. Raises `NotFound`."""
        artifact = await self._db.read(lambda connection: repository.get(connection, key))
        if artifact is None:
            raise NotFound("No such file")
        return artifact

    def read(self, artifact: Artifact, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes `start` to `end` (exclusive) of an artifact."""
        return self._storage.read(storage_key(artifact.key), start, end)

    async def link(self, artifact: Artifact) -> str | None:
        """Return where the storage itself serves the artifact for a short time, if it is set to do so."""
        return await self._storage.link(storage_key(artifact.key))

    async def thumbnail(self, artifact: Artifact) -> bytes | None:
        """Return the thumbnail, a small WebP, or None when there is none (yet)."""
        if artifact.thumbnail is not ThumbnailState.READY:
            return None
        return b"".join([chunk async for chunk in self._storage.read(thumbnail_key(artifact.key))])

    # ------------------------------------------------------------------------------------------ upkeep

    async def make_thumbnails(self, limit: int = 16) -> int:
        """Make thumbnails that are still missing, oldest first; return how many were dealt with."""
        pending = await self._db.read(lambda connection: repository.without_thumbnail(connection, limit))
        for artifact in pending:
            state, placeholder = await self._make_thumbnail(artifact)
            await self._note_thumbnail(artifact.key, state, placeholder)
        return len(pending)

    async def _note_thumbnail(self, key: str, state: ThumbnailState, placeholder: str | None) -> None:
        await self._db.transact(
            lambda connection: repository.set_thumbnail(connection, key, state, placeholder)
        )

    async def _make_thumbnail(self, artifact: Artifact) -> tuple[ThumbnailState, str | None]:
        with on_disk("make a thumbnail"):
            source = await asyncio.to_thread(new_file, self._storage.temp_dir)
        target = source.with_suffix(".webp")
        try:
            await self._copy_out(artifact, source)
            made = await self._thumbnailer.make(source, target)
            # another worker made it too, or a run that was cut off, not byte by byte alike
            with suppress(Conflict):
                await self._storage.put(thumbnail_key(artifact.key), target)
        except (InvalidMedia, NotFound):
            return ThumbnailState.NONE, None
        finally:
            await asyncio.to_thread(unlink, source, target)
        return ThumbnailState.READY, made.placeholder

    async def _copy_out(self, artifact: Artifact, target: Path) -> None:
        async for chunk in self.read(artifact):
            with on_disk("copy an output"):
                await asyncio.to_thread(_append, target, chunk)

    async def remove_trash(self, limit: int = 100) -> int:
        """Remove files whose rows are gone; return how many. Now and then sweep what downloads left behind, too."""
        if time.monotonic() >= self._sweep_due:
            self._sweep_due = time.monotonic() + _SWEEP_S
            with on_disk("sweep"):
                await asyncio.to_thread(clear_old_files, self._storage.temp_dir)
        keys = await self._db.read(lambda connection: repository.trashed(connection, limit))
        for key in keys:
            await self._storage.delete(storage_key(key))
            await self._storage.delete(thumbnail_key(key))
        if keys:
            await self._db.transact(lambda connection: repository.empty_trash(connection, keys))
        return len(keys)

    async def close(self) -> None:
        """Stop the child that makes thumbnails."""
        await self._thumbnailer.close()


def _judged(received: Received, shelf: Shelf) -> Found:
    """Say what a received file is. Raises `InvalidMedia` for one that may be whole when it is fetched once more."""
    found = examine(received)
    if found.looks_cut_off and not shelf.seen_before(received):
        shelf.set_aside(received)
        raise InvalidMedia(f"{found.doubt}; it is fetched once more")
    return found


def _described(received: Received, found: Found, name: str, job_id: str, idx: int) -> Artifact:
    width, height = found.size or (None, None)
    return Artifact(
        key=f"{name}.{found.type.extension}",
        job_id=job_id,
        idx=idx,
        sha256=received.sha256,
        size_bytes=received.size_bytes,
        media_type=found.type.media_type,
        kind=found.type.kind,
        width=width,
        height=height,
        thumbnail=ThumbnailState.PENDING if found.size else ThumbnailState.NONE,
        placeholder=None,
        created_at=0,
        doubt=found.doubt,
    )


def _random_part(secret: str, idx: int) -> str:
    """Return 130 bits that nobody can guess without the job's secret, the same at every run of the step."""
    digest = hashlib.sha256(f"{secret}/{idx}".encode()).digest()
    return base64.b32encode(digest).decode().lower()[:26]


def _append(path: Path, data: bytes) -> None:
    """Add to a file that is there; it is opened anew each time, so that whoever is canceled leaves nothing open."""
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(data)


def _here(shelf: Shelf) -> Received | None:
    """Return an output that need not be fetched any more, if there is one."""
    if shelf.waiting.exists():
        return measured(shelf.waiting, proved=True)
    return measured(shelf.odd, proved=False) if shelf.given_up(_ODD_TRIES) else None


def _retain(path: Path, target: Path) -> None:
    """Give a fetched file its waiting name, durably."""
    flush_file(path)
    path.replace(target)


def _remove_temporary(path: Path) -> None:
    if not path.name.startswith(WAITING):
        unlink(path)
