"""The feed of job events: readers get every event once, in order, from where they left off.

One task tails the events for all readers of the process, so that ten thousand readers cost one query. It is
woken by every commit of this process and looks by itself for what other processes wrote.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from mediagen.db.engine import Database
from mediagen.errors import Unavailable
from mediagen.jobs import events
from mediagen.jobs.model import JobEvent

_BATCH = 500
_QUEUE = 1000  # events that a slow reader may lag behind before it reads from the database again
_POLL_S = 1.0


class _Reader:
    """One reader's share: a queue, and whether it must look into the database for what did not fit."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[JobEvent | None] = asyncio.Queue(_QUEUE)
        self.lagged = True  # what was written before the tail started comes from the database

    def push(self, event: JobEvent | None) -> None:
        if self._queue.full():
            self.lagged = True
            while not self._queue.empty():
                self._queue.get_nowait()
        self._queue.put_nowait(event)

    async def next(self) -> JobEvent | None:
        return await self._queue.get()


class Feed:
    """Hands out job events. One instance per process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._readers: dict[str | None, set[_Reader]] = defaultdict(set)  # by job; None: of all jobs
        self._bell = asyncio.Event()
        self._tail: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        db.on_commit(self._bell.set)
        db.on_change(self._bell.set)

    async def follow(self, *, after: int | None = None, job_id: str | None = None) -> AsyncIterator[JobEvent]:
        """Yield events for ever: those after the id `after` first (None: only new ones), without a gap.

        With `job_id` only that job's. Ends when the feed is closed.
        """
        with self._reading(job_id) as reader:
            await self._ensure_tail()
            last = await self._db.read(events.last_id) if after is None else after
            event: JobEvent | None = None
            while not self._closed:
                if reader.lagged:
                    reader.lagged = False
                    async for event in self._replay(last, job_id):
                        last = event.id
                        yield event
                event = await reader.next()
                if event is None:
                    return
                if event.id > last and not reader.lagged:
                    last = event.id
                    yield event

    async def close(self) -> None:
        """End all readers. Idempotent."""
        self._closed = True
        for readers in self._readers.values():
            for reader in readers:
                reader.push(None)
        if self._tail is not None:
            self._tail.cancel()
            with suppress(asyncio.CancelledError):
                await self._tail

    @contextmanager
    def _reading(self, job_id: str | None) -> Iterator[_Reader]:
        reader, readers = _Reader(), self._readers[job_id]
        readers.add(reader)
        try:
            yield reader
        finally:
            readers.discard(reader)
            if not readers:
                self._readers.pop(job_id, None)

    async def _replay(self, last: int, job_id: str | None) -> AsyncIterator[JobEvent]:
        while True:
            batch = await self._after(last, job_id)
            for event in batch:
                last = event.id
                yield event
            if len(batch) < _BATCH:
                return

    async def _after(self, last: int, job_id: str | None = None) -> list[JobEvent]:
        return await self._db.read(
            lambda connection: events.after(connection, last, limit=_BATCH, job_id=job_id)
        )

    async def _ensure_tail(self) -> None:
        async with self._starting:
            if self._tail is None or self._tail.done():
                last = await self._db.read(events.last_id)
                self._tail = asyncio.create_task(self._run(last), name="feed")

    async def _run(self, last: int) -> None:
        while self._readers:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):  # wait_for() loses a cancellation that meets a ring
                    await self._bell.wait()
            self._bell.clear()
            with suppress(Unavailable):  # the next look finds what this one missed
                last = await self._publish(last)

    async def _publish(self, last: int) -> int:
        while batch := await self._after(last):
            for event in batch:
                last = event.id
                for readers in (self._readers.get(None, ()), self._readers.get(event.job_id, ())):
                    for reader in readers:
                        reader.push(event)
        return last
