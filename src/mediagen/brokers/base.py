"""What a broker is: it wakes workers. It carries job ids, never jobs; losing every message loses no job."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar


class Broker(ABC):
    """A doorbell from those who submit to those who work. One instance per process."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def ring(self, job_id: str) -> None:
        """Wake workers, best effort: returns at once, never raises, may be lost or come twice."""
        self.wake()

    def wake(self) -> None:
        """Wake the worker of this process only."""
        self._bell.set()

    async def wait(self, timeout_s: float) -> None:
        """Return at the next ring heard in this process, or after `timeout_s` seconds; rings are coalesced."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):  # wait_for() loses a cancellation that meets a ring
                await self._bell.wait()
        self._bell.clear()

    @abstractmethod
    async def check(self) -> str:
        """Return a short sentence on its health. Raises `Unavailable`."""

    async def close(self) -> None:
        """Free connections. Idempotent."""
        return
