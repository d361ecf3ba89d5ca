"""Output path: from the end at the provider until a file of 50 MB is fetched, hashed and kept for good.

The bound is `cp` and `sha256sum` of the same file.
"""

import asyncio
import time
from pathlib import Path

from bench.fakes.provider import picture
from bench.following import Follower, ended_at, submit
from bench.lab import Lab, at_least, at_most, single, versus
from bench.report import Row

_BYTES = 50_000_000
_LATENCY_S = 0.3


async def run(lab: Lab) -> list[Row]:
    size = lab.size.count(_BYTES)
    provider = await lab.provider()
    server = await lab.connected(provider)
    original = lab.folder / "original.png"
    original.write_bytes(picture(size))

    async def ours() -> float:
        prompt = f"output {time.time()}"
        async with Follower(server) as follower:
            job_id = await submit(server, prompt, latency_s=_LATENCY_S, bytes=size)
            await follower.until(lambda: job_id in follower.ended)
        if follower.ended[job_id].type != "succeeded":
            raise server.failed("did not keep the output")
        return size / 1e6 / (follower.ended[job_id].at - (await ended_at(provider))[prompt])

    async def copy() -> float:
        return size / 1e6 / await _copy_s(original)

    await ours()
    before = server.peak_kib
    seen = await lab.in_turn({"us": ours, "cp + sha256sum": copy})
    grown = [(server.peak_kib - before) / 1024]
    path = f"output, {size / 1e6:g} MB"
    return [
        versus(path, "kept", "MB/s", seen, "cp + sha256sum", float, at_least(0.6)),
        single(path, "peak memory", "MB", [server.peak_kib / 1024], None),
        single(path, "peak grows by", "MB", [max(grown[0], 0.01)], at_most(32)),
    ]


async def _copy_s(original: Path) -> float:
    copied = original.with_suffix(".copy")
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        'cp "$1" "$2" && sha256sum "$2"',
        "sh",
        str(original),
        str(copied),
        stdout=asyncio.subprocess.DEVNULL,
    )
    await process.wait()
    took_s = time.perf_counter() - begun
    copied.unlink()
    return took_s
