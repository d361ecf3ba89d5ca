"""Processes of our own: each is started, killed and waited for by its own id, and writes into a file."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

_STOP_S = 45.0


class Process:
    """One command that can be started again after it ended."""

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str], log: Path) -> None:
        """`folder` is where it works, `log` what its outputs are added to."""
        self._command = command
        self._folder = folder
        self._env = env
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; returns as soon as it exists."""
        assert not self.alive
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._folder,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
            )
        finally:
            os.close(descriptor)

    async def kill(self) -> None:
        """End it at once and wait until it is gone. Idempotent."""
        await self._signal(signal.SIGKILL)

    async def stop(self) -> int | None:
        """Ask it to end, as a service manager does; return its exit code."""
        await self._signal(signal.SIGTERM)
        return self._process.returncode if self._process else None

    async def _signal(self, number: signal.Signals) -> None:
        if self._process is None or not self.alive:
            return
        self._process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def working_in(folder: Path) -> list[int]:
    """Return the ids of all processes whose working folder this is; empty where the system does not tell."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder.resolve():
                found.append(int(entry.parent.name))
        except OSError:  # it ended, or is none of ours
            continue
    return found
