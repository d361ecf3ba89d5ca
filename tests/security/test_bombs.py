"""Bombs on their whole way: a provider's output, its download, its storage, its thumbnail, in a running server.

All of them run side by side, so that what they cost adds up.
"""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from tests.security.bombs import KEPT, MEGABYTE, REFUSED
from tests.security.hostile import API, HostileProvider, Site, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST_GROWTH_MIB = 200
"""By files, whose packed ones would unfold to terabytes: 25 to 40, and more where a slow disk holds all of them up."""

MOST_INLINE_GROWTH_MIB = 240
"""By 14 MB of outputs inside JSON: read, parsed and decoded for each look, of which a few overlap."""

MOST_OUTPUT_BYTES = 20 * MEGABYTE
SMALL = {"width": 64, "height": 64}


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """A server after all the bombs, and how the jobs ended that brought them, by the bomb's name."""

    site: Site
    jobs: dict[str, dict[str, Any]]
    growth_mib: float  # by files that are fetched
    inline_growth_mib: float  # by outputs inside the provider's answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[HostileProvider]:
    async with HostileProvider() as provider:
        provider.files |= KEPT
        provider.files |= {name: file for name, (file, _) in REFUSED.items()}
        provider.outputs["200 links"] = lambda own: [f"{own}/nothing/{n}.png" for n in range(200)]
        provider.outputs["nested"] = lambda _own: _nested(90)
        provider.outputs["5 MB of text"] = lambda _own: "x" * 5 * MEGABYTE
        provider.outputs["a data URL of 10 MB"] = lambda _own: "data:image/png," + "%00" * 3 * MEGABYTE
        yield provider


def _nested(depth: int) -> Any:
    value: Any = "text"
    for _ in range(depth):
        value = [value]
    return value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aftermath(
    provider: HostileProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Aftermath]:
    env = {**provider.settings(), "MAX_OUTPUT_BYTES": str(MOST_OUTPUT_BYTES)}
    async with served(tmp_path_factory.mktemp("server"), env) as site:
        ordinary = await asyncio.gather(*(site.submit(parameters=SMALL) for _ in range(20)))
        done = await asyncio.gather(*map(site.finished, ordinary))
        await asyncio.gather(*(_thumbnail(site, job) for job in done))
        before = site.server.memory_mib().peak
        jobs = await _thrown(site, "file", provider.files)
        by_files = site.server.memory_mib().peak
        jobs |= await _thrown(site, "output", provider.outputs)
        yield Aftermath(
            site=site,
            jobs=jobs,
            growth_mib=by_files - before,
            inline_growth_mib=site.server.memory_mib().peak - by_files,
        )


async def _thrown(site: Site, kind: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Let the provider answer with each of these, side by side; return the jobs once all is over."""
    ids = {name: await site.submit(parameters={kind: name}) for name in names}
    ended = await asyncio.gather(*map(site.finished, ids.values()))
    await _thumbnail(site, await site.finished(await site.submit("the last", parameters=SMALL)))
    return dict(zip(ids, ended, strict=True))


async def _thumbnail(site: Site, job: dict[str, Any]) -> bytes:
    """Return the thumbnail of a job's picture once it is made; those of older pictures are made before it."""
    async with asyncio.timeout(60):
        while True:
            _, headers, body = await site.call("GET", f"{job['media_path']}?variant=thumbnail")
            if headers["Content-Type"] == "image/webp":
                return body
            await site.json("/stats")


@pytest.mark.parametrize("bomb", KEPT)
async def test_a_bomb_is_kept_as_it_is_and_never_opened_by_the_server(
    aftermath: Aftermath, bomb: str
) -> None:
    job = aftermath.jobs[bomb]
    assert job["status"] == "completed", job["error"]
    [artifact] = job["artifacts"]
    status, headers, body = await aftermath.site.call("GET", artifact["path"])
    assert (status, len(body)) == (200, artifact["size_bytes"])
    assert hashlib.sha256(body).hexdigest() == artifact["sha256"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("bomb", KEPT)
async def test_what_is_shown_small_of_a_bomb_is_small(aftermath: Aftermath, bomb: str) -> None:
    [artifact] = aftermath.jobs[bomb]["artifacts"]
    status, headers, body = await aftermath.site.call("GET", f"{artifact['path']}?variant=thumbnail")
    assert status == 200
    if headers["Content-Type"] == "image/webp" and artifact["media_type"] != "image/webp":
        assert len(body) < MEGABYTE
        assert max(Image.open(io.BytesIO(body), formats=["WEBP"]).size) <= 640
    else:
        assert len(body) == artifact["size_bytes"]  # the file itself, which nobody could draw


@pytest.mark.parametrize("bomb", REFUSED)
async def test_a_bomb_that_can_not_be_kept_ends_its_job_with_a_reason(
    aftermath: Aftermath, bomb: str
) -> None:
    job = aftermath.jobs[bomb]
    assert (job["status"], job["error"]["code"], job["artifacts"]) == ("failed", REFUSED[bomb][1], [])


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("200 links", "failed"),
        ("nested", "completed"),
        ("5 MB of text", "completed"),
        ("a data URL of 10 MB", "completed"),
    ],
)
async def test_an_odd_output_ends_its_job(aftermath: Aftermath, output: str, status: str) -> None:
    assert aftermath.jobs[output]["status"] == status, aftermath.jobs[output]["error"]


async def test_the_servers_memory_stays_bounded(aftermath: Aftermath) -> None:
    assert aftermath.growth_mib <= MOST_GROWTH_MIB
    assert aftermath.inline_growth_mib <= MOST_INLINE_GROWTH_MIB


async def test_the_server_is_well_and_nothing_crashed(aftermath: Aftermath) -> None:
    status, _, _ = await aftermath.site.call("GET", "/health")
    assert status == 200
    assert "crashed" not in aftermath.site.server.output


async def test_nothing_is_left_lying_about(aftermath: Aftermath) -> None:
    folder = aftermath.site.server.data_dir / "artifacts"
    assert [path for path in folder.rglob("in-*") if path.is_file()] == []
    kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert kept < 100 * MEGABYTE


# --- bombs that clients send


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"a" * 65_536),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", b"y" * 65_536),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X: yyyyyyyyyy\r\n" * 4000),
        (
            b"POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            b"z" * 65_536,
        ),
        (
            b"POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X: yyyyyyyyyy\r\n" * 4000,
        ),
        (
            b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + b" " * 65_536 + b"\r\n",
        ),
    ],
    ids=["target", "header", "headers", "chunk extension", "trailers", "body"],
)
async def test_a_request_without_an_end_costs_no_memory(
    aftermath: Aftermath, start: bytes, piece: bytes
) -> None:
    server = aftermath.site.server
    before = server.memory_mib().peak
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(start)
        for _ in range(3000):  # 200 MB, if they are taken
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    status, _, _ = await aftermath.site.call("GET", f"{API}/health/live")
    assert status == 200
    assert server.memory_mib().peak - before < 16
