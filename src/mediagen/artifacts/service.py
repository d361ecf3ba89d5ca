"""Artifacts: take an output in, keep it for good, give it out, remove it.

Ingest is: stream to a temporary file, hash, look at the bytes, make durable in the storage, then write the
row. A kill between any two of these leaves at most a file that the same step writes again under the same key.
"""

import asyncio
import base64
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from mediagen.artifacts import media, repository
from mediagen.artifacts.model import Artifact, ThumbnailState, storage_key, thumbnail_key
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.db.engine import Database
from mediagen.errors import Conflict, InvalidMedia, NotFound, StorageFull, Unavailable
from mediagen.safefetch import Download
from mediagen.storages.base import WAITING, Storage

_WRITE_BYTES = 1024 * 1024  # collected before a hop to a thread, which costs more than the write of less
_INGESTS = 8  # outputs taken in at a time: bounds disk, memory and open connections


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file that arrived in the temporary folder."""

    path: Path
    sha256: str
    size_bytes: int


class ArtifactService:
    """The one door to artifacts."""

    def __init__(self, db: Database, storage: Storage, thumbnailer: Thumbnailer) -> None:
        self._db = db
        self._storage = storage
        self._thumbnailer = thumbnailer
        self._ingests = asyncio.Semaphore(_INGESTS)

    # ------------------------------------------------------------------------------------------ in

    async def ingest(self, job_id: str, secret: str, idx: int, download: Download) -> Artifact:
        """Keep one output of a job for good and return its row. Running it again gives the same artifact.

        Raises `FetchError` kinds from the download, `InvalidMedia` for an empty or cut-off file, and
        `StorageFull` or `Unavailable` from the storage.
        """
        async with self._ingests:
            return await self._keep(await self._receive(download), job_id, secret, idx)

    async def resume(self, job_id: str, secret: str, idx: int) -> bool:
        """Keep an output that was fetched before but could not be stored then; tell whether there was one.

        It lies on this machine's disk, so that an outage of the storage may be longer than the links live.
        """
        path = self._fetched(secret, idx)
        if not await asyncio.to_thread(path.exists):
            return False
        async with self._ingests:
            await self._keep(await asyncio.to_thread(_measured, path), job_id, secret, idx)
        return True

    async def _keep(self, received: Received, job_id: str, secret: str, idx: int) -> Artifact:
        try:
            artifact = await asyncio.to_thread(_examine, received, job_id, secret, idx)
            await self._storage.put(storage_key(artifact.key), received.path)
        except Unavailable:
            await asyncio.to_thread(_retain, received.path, self._fetched(secret, idx))
            raise
        finally:
            await asyncio.to_thread(_remove_temporary, received.path)
        return await self._db.transact(lambda connection: repository.record(connection, artifact))

    def _fetched(self, secret: str, idx: int) -> Path:
        """Return where an output waits that was fetched and could not be stored yet."""
        return self._storage.temp_dir / f"{WAITING}{_random_part(secret, idx)}"

    async def _receive(self, download: Download) -> Received:
        digest, size = hashlib.sha256(), 0
        path = await asyncio.to_thread(_temporary_name, self._storage.temp_dir)
        try:
            buffer = bytearray()
            async for chunk in download.chunks:
                buffer += chunk
                size += len(chunk)
                if len(buffer) >= _WRITE_BYTES:
                    await asyncio.to_thread(_add, path, digest, buffer)
                    buffer = bytearray()
            await asyncio.to_thread(_add, path, digest, buffer)
        except BaseException as error:
            _unlink(path)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("The disk of the temporary files is full") from error
            raise
        return Received(path=path, sha256=digest.hexdigest(), size_bytes=size)

    # ------------------------------------------------------------------------------------------ spool

    async def spool(self, call_id: str, outputs: Sequence[bytes]) -> None:
        """Keep outputs that can't be asked for again, durably, before the state says that they exist."""
        for idx, data in enumerate(outputs):
            await self._put_bytes(_spool_key(call_id, str(idx)), data)
        await self._put_bytes(_spool_key(call_id, "count"), str(len(outputs)).encode())

    async def spooled(self, call_id: str) -> list[bytes] | None:
        """Return what `spool` kept for the call, or None when it kept nothing, or not all.

        Not all is there, too, when a late worker goes on spooling what another one has stored and removed.
        """
        try:
            count = await self._spooled_count(call_id)
            return [await self._get_bytes(_spool_key(call_id, str(idx))) for idx in range(count)]
        except NotFound:
            return None

    async def _spooled_count(self, call_id: str) -> int:
        return int(await self._get_bytes(_spool_key(call_id, "count")))

    async def unspool(self, call_id: str) -> None:
        """Remove what `spool` kept. Idempotent."""
        try:
            count = await self._spooled_count(call_id)
        except NotFound:
            return
        for name in (*map(str, range(count)), "count"):
            await self._storage.delete(_spool_key(call_id, name))

    async def _put_bytes(self, key: str, data: bytes) -> None:
        path = await asyncio.to_thread(_temporary_with, self._storage.temp_dir, data)
        await self._storage.put(key, path)

    async def _get_bytes(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self._storage.read(key)])

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
        return await self._get_bytes(thumbnail_key(artifact.key))

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
        source = await asyncio.to_thread(_temporary_name, self._storage.temp_dir)
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
            await asyncio.to_thread(_unlink, source, target)
        return ThumbnailState.READY, made.placeholder

    async def _copy_out(self, artifact: Artifact, target: Path) -> None:
        async for chunk in self.read(artifact):
            await asyncio.to_thread(_append, target, chunk)

    async def remove_trash(self, limit: int = 100) -> int:
        """Remove files whose rows are gone; return how many."""
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


def _examine(received: Received, job_id: str, secret: str, idx: int) -> Artifact:
    """Say what a received file is, from its bytes alone."""
    if received.size_bytes == 0:
        raise InvalidMedia("The output is empty (0 bytes)")
    with received.path.open("rb") as file:
        kind = media.sniff(file.read(media.SNIFF_BYTES), received.path)
    if not media.complete(received.path, kind):
        raise InvalidMedia(
            f"The output is cut off: {received.size_bytes} bytes of {kind.media_type} without an end"
        )
    size = media.dimensions(received.path, kind)
    return Artifact(
        key=f"{_random_part(secret, idx)}.{kind.extension}",
        job_id=job_id,
        idx=idx,
        sha256=received.sha256,
        size_bytes=received.size_bytes,
        media_type=kind.media_type,
        kind=kind.kind,
        width=size[0] if size else None,
        height=size[1] if size else None,
        thumbnail=ThumbnailState.PENDING if size else ThumbnailState.NONE,
        placeholder=None,
        created_at=0,
    )


def _random_part(secret: str, idx: int) -> str:
    """Return 130 bits that nobody can guess without the job's secret, the same at every run of the step."""
    digest = hashlib.sha256(f"{secret}/{idx}".encode()).digest()
    return base64.b32encode(digest).decode().lower()[:26]


def _spool_key(call_id: str, name: str) -> str:
    return f"spool/{call_id}/{name}"


def _temporary_name(folder: Path) -> Path:
    return _temporary_with(folder, b"")


def _temporary_with(folder: Path, data: bytes) -> Path:
    with NamedTemporaryFile(dir=folder, prefix="in-", delete=False) as file:
        file.write(data)
        return Path(file.name)


def _add(path: Path, digest: "hashlib._Hash", data: bytearray) -> None:
    _append(path, data)
    digest.update(data)


def _append(path: Path, data: bytes | bytearray) -> None:
    """Add to a file that is there; it is opened anew each time, so that whoever is canceled leaves nothing open."""
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(data)


def _measured(path: Path) -> Received:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Received(path=path, sha256=digest, size_bytes=path.stat().st_size)


def _retain(path: Path, target: Path) -> None:
    """Give a fetched file its waiting name, durably."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)


def _remove_temporary(path: Path) -> None:
    if not path.name.startswith(WAITING):
        path.unlink(missing_ok=True)


def _unlink(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
