"""Where outputs that can't be asked for again lie until they are artifacts.

    spool/CALL/0-DIGEST, 1-DIGEST, ...    one output each, under a name made from its bytes
    spool/CALL/list                       their names, written last: before it is there, nothing is

A worker that is killed in between may come back with other bytes of the same call; then both lie there, and the
first list says which of them count.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress

from mediagen.artifacts.parts import file_with, unlink
from mediagen.errors import Conflict, NotFound
from mediagen.storages.base import Storage, on_disk


class Spool:
    """Outputs by call."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def put(self, call_id: str, outputs: Sequence[bytes]) -> None:
        """Keep outputs, durably. What was kept of the call before stays as it is."""
        names = [f"{idx}-{hashlib.sha256(data).hexdigest()[:32]}" for idx, data in enumerate(outputs)]
        for name, data in zip(names, outputs, strict=True):
            await self._write(_key(call_id, name), data)
        with suppress(Conflict):  # another worker kept what it got
            await self._write(_key(call_id, "list"), json.dumps(names).encode())

    async def get(self, call_id: str) -> list[bytes] | None:
        """Return what is kept of the call, or None when there is nothing, or not all.

        Not all is there, too, when a late worker goes on putting what another one has stored and removed.
        """
        try:
            return [await self._read(_key(call_id, name)) for name in await self._names(call_id)]
        except NotFound:
            return None

    async def remove(self, call_id: str) -> None:
        """Remove what is kept of the call. Idempotent."""
        try:
            names = await self._names(call_id)
        except NotFound:
            return
        for name in (*names, "list"):
            await self._storage.delete(_key(call_id, name))

    async def _names(self, call_id: str) -> list[str]:
        names: list[str] = json.loads(await self._read(_key(call_id, "list")))
        return names

    async def _write(self, key: str, data: bytes) -> None:
        with on_disk("keep an output"):
            path = await asyncio.to_thread(file_with, self._storage.temp_dir, data)
        try:
            await self._storage.put(key, path)
        finally:
            await asyncio.to_thread(unlink, path)

    async def _read(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self._storage.read(key)])


def _key(call_id: str, name: str) -> str:
    return f"spool/{call_id}/{name}"
