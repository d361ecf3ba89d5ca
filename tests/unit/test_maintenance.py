"""The chores of a worker."""

import asyncio
import time
from contextlib import suppress
from typing import cast

from mediagen.artifacts.service import ArtifactService
from mediagen.errors import Unavailable
from mediagen.jobs.pruning import Pruner
from mediagen.worker.loop import Worker
from mediagen.worker.maintenance import Maintenance
from mediagen.worker.webhooks import WebhookSender
from tests.unit.conftest import Engine


class Broken:
    """A storage that is away, and nobody to ring."""

    name = "worker"
    steps_running = 0

    def __init__(self) -> None:
        self.tries = 0

    async def make_thumbnails(self) -> int:
        self.tries += 1
        raise Unavailable("the storage can't be used now")

    async def send_due(self) -> int:
        return 0

    async def close(self) -> None:
        return

    async def remove_trash(self) -> int:
        return 0


async def test_a_chore_that_fails_is_not_tried_again_at_every_commit(engine: Engine) -> None:
    broken = Broken()
    chores = Maintenance(
        engine.db,
        cast(ArtifactService, broken),
        cast(WebhookSender, broken),
        cast(Worker, broken),
        Pruner(keep_ms=0),
    )
    begun = time.monotonic()
    running = asyncio.create_task(chores.run())
    for _ in range(20):
        await engine.submit()
        await asyncio.sleep(0.02)  # more than the pause that makes a burst one look, in all
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert 1 <= broken.tries <= 1 + (time.monotonic() - begun)
