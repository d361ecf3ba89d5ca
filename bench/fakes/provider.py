"""A provider that speaks Replicate's HTTP API and costs little CPU: python -m bench.fakes.provider --port 20001

The input says what happens: `latency_s` (negative: it runs until `POST /_finish`), `bytes` of the output, and
`fail`. It rings the webhook when a prediction starts and ends. `GET /_stats` tells what runs, and when what ended.
"""

import argparse
import asyncio
import secrets
import struct
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

_PAGE = 100
_RINGS = 64  # webhooks that are on their way at a time


@dataclass(kw_only=True)
class Kept:
    """One prediction."""

    input: dict[str, Any]
    webhook: str | None
    id: str = field(default_factory=lambda: secrets.token_hex(13))
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat().replace("+00:00", "Z"))
    status: str = "processing"
    ended_at: float = 0.0  # seconds since 1970
    released: asyncio.Event = field(default_factory=asyncio.Event)


class BenchProvider:
    """Keeps predictions in memory and outputs, one for each size, in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}"
        self._kept: dict[str, Kept] = {}
        self._running = 0
        self._most_running = 0
        self._rings = asyncio.Semaphore(_RINGS)
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/models/{owner}/{name}/predictions", self._create),
                web.get("/v1/predictions", self._list),
                web.get("/v1/predictions/{ref}", self._get),
                web.get("/files/{size}/{ref}.png", self._file),
                web.get("/_stats", self._stats),
                web.post("/_finish", self._finish),
            ]
        )
        app.cleanup_ctx.append(self._client_of)
        return app

    async def _client_of(self, _: web.Application) -> Any:
        async with aiohttp.ClientSession() as self._client:
            yield
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        kept = Kept(input=body["input"], webhook=body.get("webhook"))
        self._kept[kept.id] = kept
        self._running += 1
        self._most_running = max(self._most_running, self._running)
        task = asyncio.create_task(self._run(kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response(self._view(kept), status=201)

    async def _run(self, kept: Kept) -> None:
        await self._ring(kept)
        latency_s = kept.input.get("latency_s", 0)
        if latency_s < 0:
            await kept.released.wait()
        else:
            await asyncio.sleep(latency_s)
        self._running -= 1
        kept.status = "failed" if kept.input.get("fail") else "succeeded"
        kept.ended_at = time.time()
        await self._ring(kept)

    async def _ring(self, kept: Kept) -> None:
        if kept.webhook:
            async with self._rings, self._client.post(kept.webhook, json=self._view(kept)) as answer:
                await answer.read()

    def _view(self, kept: Kept) -> dict[str, Any]:
        size = kept.input.get("bytes", 1000)
        return {
            "id": kept.id,
            "model": "bench/model",
            "version": "hidden",
            "input": kept.input,
            "webhook": kept.webhook,
            "output": [f"{self._url}/files/{size}/{kept.id}.png"] if kept.status == "succeeded" else None,
            "error": "told to fail" if kept.status == "failed" else None,
            "status": kept.status,
            "created_at": kept.created_at,
        }

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(reversed(self._kept.values()))
        start = int(request.query.get("cursor", "0"))
        more = f"{self._url}/v1/predictions?cursor={start + _PAGE}" if len(newest) > start + _PAGE else None
        page = [self._view(kept) for kept in newest[start : start + _PAGE]]
        return web.json_response({"previous": None, "next": more, "results": page})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._view(self._kept[request.match_info["ref"]]))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        size = int(request.match_info["size"])
        path = self._folder / f"{size}.png"
        if not path.exists():
            path.write_bytes(picture(size))
        return web.FileResponse(path)

    async def _stats(self, _: web.Request) -> web.Response:
        ended = {kept.input["prompt"]: kept.ended_at for kept in self._kept.values() if kept.ended_at}
        return web.json_response(
            {"running": self._running, "most_running": self._most_running, "ended": ended}
        )

    async def _finish(self, request: web.Request) -> web.Response:
        """End what runs, so many a second if `per_s` is given."""
        pause_s = 1 / float(request.query["per_s"]) if "per_s" in request.query else 0
        running = [kept for kept in self._kept.values() if kept.status == "processing"]
        most = int(request.query.get("most", len(running)))
        for kept in running[:most]:
            kept.released.set()
            await asyncio.sleep(pause_s)
        return web.json_response({"finished": len(running[:most])})


def picture(size: int) -> bytes:
    """Return a PNG of so many bytes: a few pixels, and a chunk of noise that every reader skips."""
    pixels = zlib.compress(b"".join(b"\0" + b"\x80\x40\x20" * 16 for _ in range(16)))
    parts = [
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", pixels),
        _chunk(b"IEND", b""),
    ]
    noise = secrets.token_bytes(max(0, size - sum(map(len, parts)) - 12))
    return b"".join([*parts[:3], _chunk(b"noIs", noise), parts[3]])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    with tempfile.TemporaryDirectory(dir=".") as folder:
        provider = BenchProvider(Path(folder), port)
        web.run_app(provider.app(), host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
