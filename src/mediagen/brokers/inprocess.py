"""The broker of one process: a bell that its own worker hears."""

import asyncio
from contextlib import suppress

from mediagen.brokers.base import Broker


class InProcessBroker(Broker):
    """Wakes the worker inside the same process; rings are coalesced while it is busy."""

    name = "in-process"

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def ring(self, job_id: str) -> None:
        self._bell.set()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next ring, or after `timeout_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):  # wait_for() loses a cancellation that meets a ring
                await self._bell.wait()
        self._bell.clear()

    async def check(self) -> str:
        return "in this process"
