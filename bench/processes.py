"""Processes of our own: started on free loopback ports, measured from outside, ended by their own id."""

import asyncio
import os
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes import kept

LOOPBACK = "127.0.0.1"
_START_S = 60.0
_STOP_S = 20.0
_LOOK_S = 0.002
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LINE_BYTES = 64 * 1024**2


class Failed(Exception):
    """Something that is to be measured did not start or did not answer; the message says what it wrote."""


class Process:
    """One command, running inside `async with`. It sees PATH and `env`, works in `folder`, and writes to a log."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        talks: bool = False,
    ) -> None:
        """With `port` it is up once that answers HTTP; with `talks` its stdin and stdout are ours."""
        self.port = port or 0
        self.command = command
        self._folder = folder
        ours = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **kept.mark()}
        self.env = {**ours, **(env or {})}
        self._talks = talks
        self._log = folder / f"{Path(command[0]).name}-{id(self)}.log"

    async def __aenter__(self) -> Self:
        pipe = PIPE if self._talks else DEVNULL
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self._folder,
                env=self.env,
                stdin=pipe,
                stdout=pipe if self._talks else log,
                stderr=log,
                limit=_LINE_BYTES,
            )
        try:
            if self.port:
                await self._answers()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _answers(self) -> None:
        try:
            async with asyncio.timeout(_START_S):
                while not await _speaks_http(self.port):
                    if self._process.returncode is not None:
                        raise self.failed("ended at once")
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise self.failed("does not answer") from error

    def failed(self, what: str) -> Failed:
        """Return an error that shows the end of the log."""
        said = self._log.read_text(errors="replace")[-2000:]
        return Failed(f"{' '.join(self.command)} {what}: {said}")

    async def ask(self, line: str) -> str:
        """Write a line to a process that talks and return the line that it answers with."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()
        return await self.said()

    async def said(self) -> str:
        """Return the next line that a process that talks writes."""
        assert self._process.stdout is not None
        answer = await self._process.stdout.readline()
        if not answer:
            raise self.failed("ended in the middle")
        return answer.decode()

    async def stop(self) -> None:
        """Ask it to end, and wait until it has. Idempotent."""
        if self._process.returncode is None:
            self._process.terminate()
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    # ------------------------------------------------------------------------------------------ measured

    @property
    def cpu_s(self) -> float:
        """CPU time so far of all its threads and its children, in steps of 10 ms."""
        return sum(map(_cpu_s, _family(self.pid)))

    @property
    def rss_kib(self) -> int:
        return self._memory("VmRSS")

    @property
    def peak_kib(self) -> int:
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise self.failed("has ended")


async def _speaks_http(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        writer.write(f"GET / HTTP/1.1\r\nhost: {LOOPBACK}\r\n\r\n".encode())
        return bool(await reader.read(1))  # a server may listen long before it answers
    except OSError:
        return False
    finally:
        writer.close()


def _family(pid: int) -> Iterator[int]:
    """Yield the process and all that it started."""
    yield pid
    with suppress(FileNotFoundError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS_PER_S


def open_files() -> int:
    """Return how many files a process may have open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if most != resource.RLIM_INFINITY else sys.maxsize


def python(module: str, *args: str) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", module, *args]
