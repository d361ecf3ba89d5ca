"""What a worker does beside jobs: thumbnails, webhooks, the trash, what has expired, a sign of life."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

import structlog

from mediagen.artifacts.service import ArtifactService
from mediagen.db.engine import Connection, Database
from mediagen.errors import MediagenError
from mediagen.jobs import leases, pauses, search, stats, wishes
from mediagen.jobs.pruning import Pruner
from mediagen.worker import ledger
from mediagen.worker.loop import Worker
from mediagen.worker.webhooks import WebhookSender

log = structlog.get_logger(__name__)

_BEAT_S = 5.0
_RESCUE_S = 1.0
_SETTLE_S = 1.0
_INDEX_S = 1.0  # what is newer is looked through by hand
_HOUSEKEEPING_S = 30.0
_LOOK_S = 5.0  # for thumbnails and webhooks that another process left
_BURST_S = 0.05  # so many commits are one look
_BREATH_S = 0.05  # between steps of a chore that may have many
_REST_S = 1.0  # after a failure, however many commits there are: the next try would fail, too

Chore = Callable[[], Awaitable[object]]


class Maintenance:
    """Runs the chores of one worker until it is stopped."""

    def __init__(
        self,
        db: Database,
        artifacts: ArtifactService,
        webhooks: WebhookSender,
        worker: Worker,
        pruner: Pruner,
    ) -> None:
        self._db = db
        self._artifacts = artifacts
        self._webhooks = webhooks
        self._worker = worker
        self._pruner = pruner
        self._committed = {"thumbnails": asyncio.Event(), "webhooks": asyncio.Event()}
        for bell in self._committed.values():
            db.on_commit(bell.set)

    async def run(self) -> None:
        """Run all chores, each in its own rhythm, until canceled."""
        chores = (
            self._whenever("thumbnails", self._artifacts.make_thumbnails),
            self._whenever("webhooks", self._webhooks.send_due),
            self._every(_BEAT_S, self.beat),
            self._every(_RESCUE_S, self.rescue),
            self._every(_SETTLE_S, self._end_canceled),
            self._every(_SETTLE_S, self._settle),
            self._every(_INDEX_S, self._index),
            self._every(_HOUSEKEEPING_S, self._clean),
        )
        tasks = [asyncio.create_task(chore) for chore in chores]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._webhooks.close()
            with suppress(MediagenError):
                await self._db.transact(lambda c: stats.leave(c, self._worker.name))

    async def _whenever(self, name: str, chore: Chore) -> None:
        """Run a chore after commits until it finds nothing more to do, and now and then anyway."""
        bell = self._committed[name]
        while True:
            bell.clear()
            while done := await _attempt(chore):
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):  # wait_for() loses a cancellation that meets a ring
                    await bell.wait()
            await asyncio.sleep(_REST_S if done is None else _BURST_S)

    async def _every(self, seconds: float, chore: Chore) -> None:
        while True:
            await _attempt(chore)
            await asyncio.sleep(seconds)

    async def beat(self) -> None:
        """Note that this worker lives."""
        await self._db.transact(lambda c: stats.beat(c, self._worker.name, self._worker.steps_running))

    async def rescue(self) -> None:
        """Free the leases of workers that died, so that nobody waits for them to run out.

        A wrong guess is harmless: the fence refuses the writes of a worker whose lease was taken.
        """
        holders = await self._db.read(leases.lease_owners)
        dead = await self._db.dead([name for name in holders if name != self._worker.name])
        if dead:
            freed = await self._db.transact(lambda c: sum(leases.release_all(c, name) for name in dead))
            log.info("leases.freed", jobs=freed)
            self._worker.ring()

    async def _end_canceled(self) -> None:
        await ledger.end_canceled(self._worker.ports)

    async def _settle(self) -> None:
        while await ledger.settle_due(self._worker.ports):
            pass

    async def _index(self) -> None:
        if not await self._db.read(search.is_current):
            await self._in_steps(search.index_step)

    async def _clean(self) -> None:
        unrecovered = self._worker.unrecovered
        await self._db.transact(lambda c: _expire(c, unrecovered))
        while await self._artifacts.remove_trash():
            pass
        await self._in_steps(self._pruner.step)

    async def _in_steps(self, step: Callable[[Connection], bool]) -> None:
        """Run a step, each in a transaction of its own, until it says that there is no more."""
        more = True
        while more:
            more = await self._db.transact(step)
            await asyncio.sleep(_BREATH_S)


def _expire(connection: Connection, unrecovered: Collection[str]) -> None:
    wishes.expire(connection, but=unrecovered)
    pauses.forget(connection)


async def _attempt(chore: Chore) -> object:
    """Run a chore and return what it did; None when it failed, which is logged, and tried again at the next turn."""
    try:
        return await chore()
    except MediagenError as error:
        log.warning("chore.failed", reason=str(error))
    except Exception:
        log.exception("chore.crashed")
    return None
