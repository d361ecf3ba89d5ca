"""Processes of our own: each is started, killed and waited for by its own id, and writes into a file."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.fakes import kept

_STOP_S = 45.0
_GONE_S, _GLANCE_S = 10.0, 0.1


class Process:
    """One command that can be started again after it ended."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        log: Path,
        *,
        with_children: bool = False,
    ) -> None:
        """`folder` is where it works, `log` what its outputs are added to.

        `with_children` signals all that it started, too, as when a container ends.
        """
        self._command = command
        self._with_children = with_children
        self._folder = folder
        self._env = env
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    async def ended(self) -> int:
        """Wait until it is gone; return its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def start(self) -> None:
        """Start it; returns as soon as it exists."""
        assert not self.alive
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._folder,
                env={**kept.mark(), **self._env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=self._with_children,
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
        self._send(number)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        if not self._with_children:
            self._process.send_signal(number)
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


async def left_running(folder: Path, *, but: int = 0) -> list[int]:
    """Return the ids of the processes that still work in this folder, though they were told to end.

    What was killed is given a moment to be gone: a process that only its parent could wait for ends some time
    after the signal when the machine is busy. `but` are how many may go on. Empty where the system does not tell.
    """
    for _ in range(int(_GONE_S / _GLANCE_S)):
        left = await asyncio.to_thread(_working_in, folder)
        if len(left) <= but:
            return []
        await asyncio.sleep(_GLANCE_S)
    return left


def _working_in(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder.resolve():
                found.append(int(entry.parent.name))
        except OSError:  # it ended, or is none of ours
            continue
    return found
