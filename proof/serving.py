"""A real `mediagen serve` in a process of its own, of which all words and the memory are known."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes import kept

_URL = re.compile(r"http://[^\s/]+:\d+(?=\s|$)")
_START_S = 60.0
_STOP_S = 45.0  # longer than the grace of requests and of steps together
_MEMORY = re.compile(r"^(VmHWM|VmRSS):\s+(\d+) kB$", re.MULTILINE)


class Server:
    """Answers at `url` inside `async with`. It works in `folder` and sees no environment but PATH and `env`.

    Without a setting of one's own it listens on a free port of 127.0.0.1 and keeps everything in `folder`.
    """

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, args: Sequence[str] = ()) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.url = ""
        self._args = args
        self._env = {
            "PATH": os.environ["PATH"],
            **kept.mark(),
            "DATA_DIR": str(self.data_dir),
            "HOST": "127.0.0.1",
            "PORT": "0",
            "MIN_FREE_BYTES": "0",
            **(env or {}),
        }
        self._said: list[str] = []
        self._errors = folder / "server.log"
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mediagen", "serve", *self._args),
                cwd=self.folder,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        self._listening = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(_START_S):
                await self._ready.wait()
        except BaseException:
            await self.stop()
            raise
        if not self.url:
            await self.stop()
            raise RuntimeError(f"the server did not start: {self.output}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> int:
        """Ask it to end, wait until it has, and return its exit code. Idempotent."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        await self._listening
        return code

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._said.append(line.decode(errors="replace"))
            if not self.url and (found := _URL.search(self._said[-1])):
                self.url = found[0]
                self._ready.set()
        self._ready.set()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def database_url(self) -> str:
        """Where its database is, as SQLAlchemy writes it."""
        url = self._env.get("DATABASE_URL")
        if url is None:
            return f"sqlite:///{self.data_dir / 'mediagen.db'}"
        scheme, _, rest = url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme.startswith("postgres") else url

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def output(self) -> str:
        """All that it wrote so far, to both outputs."""
        return "".join(self._said) + self._errors.read_text(errors="replace")

    def memory_mib(self) -> "Memory":
        """Return what the process alone, without its children, holds of memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        kib = {name: int(number) for name, number in _MEMORY.findall(status)}
        return Memory(now=kib["VmRSS"] / 1024, peak=kib["VmHWM"] / 1024)


class Memory:
    """Resident memory in MiB."""

    def __init__(self, *, now: float, peak: float) -> None:
        self.now = now
        self.peak = peak
