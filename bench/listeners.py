"""Many clients that follow one job each by server-sent events: python -m bench.listeners

The first line of stdin is `{"port": ..., "paths": [...], "type": ...}`; the answer is the number of open streams.
Each later line is a number: the answer is a list of that many [job, seconds since 1970] of events of the type.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence

import uvloop

_OPENING = 128  # connections that are opened at a time
_HOST = "127.0.0.1"


class Listeners:
    """Streams of one server and what came over them."""

    def __init__(self, port: int, type_: str) -> None:
        self._port = port
        self._wanted = f"event: {type_}\n".encode()
        self._room = asyncio.Semaphore(_OPENING)
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard: list[tuple[str, float]] = []

    async def open(self, paths: Sequence[str]) -> int:
        await asyncio.gather(*(self._open(path) for path in paths))
        return len(self._tasks)

    async def _open(self, path: str) -> None:
        async with self._room:
            reader, writer = await asyncio.open_connection(_HOST, self._port)
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {_HOST}\r\n\r\n".encode())
            await reader.readuntil(b"event: created\n")
        self._tasks.add(asyncio.create_task(self._read(reader, writer)))

    async def _read(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        is_wanted = False
        while line := await reader.readline():
            if line.startswith(b"data: ") and is_wanted:
                self.heard.append((json.loads(line[6:])["job_id"], time.time()))
                self._changed.set()
            elif line.startswith(b"event: "):
                is_wanted = line == self._wanted

    async def until(self, count: int) -> None:
        while len(self.heard) < count:
            self._changed.clear()
            await self._changed.wait()


async def listen() -> None:
    """Open the streams and answer until stdin ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = json.loads(await asyncio.to_thread(sys.stdin.readline))
    listeners = Listeners(plan["port"], plan["type"])
    _say(await listeners.open(plan["paths"]))
    while line := await asyncio.to_thread(sys.stdin.readline):
        await listeners.until(int(line))
        _say(listeners.heard)


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(listen())
