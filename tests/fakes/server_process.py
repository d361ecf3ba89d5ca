"""A real `mediagen serve` in a process of its own."""

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.fakes import kept
from tests.fakes.ports import free_port

_URL = re.compile(r"http://[^\s/]+:\d+(?=\s|$)")
_START_S = 60.0
_STOP_S = 45.0  # longer than the grace of requests and of steps together


class ServerProcess:
    """Starts with `async with` (or `start`), listens on a free port unless told, and can be killed and started again.

    `env` is all of its environment but PATH, so that nothing of the machine leaks in; DATA_DIR must be in it.
    """

    def __init__(self, env: Mapping[str, str], args: Sequence[str] = ()) -> None:
        self.env = {
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "MIN_FREE_BYTES": "0",
            "PATH": os.environ["PATH"],
            **kept.mark(),
            **env,
        }
        self.args = tuple(args)
        self.url = ""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by `_end`
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def log(self) -> str:
        """What it wrote to stderr so far, over all its starts."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it says where it answers."""
        folder = Path(self.env["DATA_DIR"]).parent
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mediagen",
            "serve",
            *self.args,
            env=self.env,
            cwd=folder,  # not where a .env could lie
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
        )
        async with asyncio.timeout(_START_S):
            self.url = await self._said_url()

    async def _said_url(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        said = ""
        async for line in self._process.stdout:
            said += line.decode()
            found = _URL.search(said)
            if found:
                return found[0]
        code = await self._process.wait()
        raise AssertionError(f"the server ended with {code} before it answered: {said}{self.log}")

    async def stop(self) -> int:
        """Ask it to stop, as a service manager does, and return its exit code."""
        return await self._signal(signal.SIGTERM)

    async def interrupt(self) -> int:
        """Stop it as Ctrl+C does, and return its exit code."""
        return await self._signal(signal.SIGINT)

    async def kill(self) -> None:
        """End it at once, as a crash or a power cut does."""
        await self._signal(signal.SIGKILL)

    async def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(_STOP_S):
            return await self._process.wait()

    async def _end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.kill()
        self._log.close()
