"""Processes that are started again whenever they end, as a service manager does it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from proof.processes import Process

_AGAIN_S = 0.2


class Supervised:
    """One process, kept running inside `running()`. What it wrote is added to `log`."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str], *, worker: bool
    ) -> None:
        self.name = name
        self.is_worker = worker
        self.log = folder / f"{name}.log"
        self.gave_up = 0  # ends that nobody asked for
        self._killed = False
        self._process = Process(command, folder, env, self.log, with_children=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it running; at the end it is killed."""
        await self._process.start()
        keeping = asyncio.create_task(self._keep(), name=self.name)
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await self._process.kill()

    async def _keep(self) -> None:
        while True:
            await self._process.ended()
            self.gave_up += not self._killed
            self._killed = False
            await asyncio.sleep(_AGAIN_S)
            await self._process.start()

    async def kill(self) -> int | None:
        """End it with SIGKILL, and all that it started; return its id, None if it was between two lives."""
        if not self._process.alive:
            return None
        pid, self._killed = self._process.pid, True
        await self._process.kill()
        return pid
