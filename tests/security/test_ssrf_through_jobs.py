"""What a hostile provider names as output, and a hostile user as webhook, reaches nothing inside: whole servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.loopback import OK, Server
from tests.security.hostile import HostileProvider, Site, raw_file, served

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def internal() -> AsyncIterator[Server]:
    """A server on this machine that must never be asked anything."""
    server = Server(OK)
    await server.start("127.0.0.1", None)
    yield server
    await server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[HostileProvider]:
    async with HostileProvider() as provider:
        yield provider


URLS = [
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/", "http://0.0.0.0:{port}/", "http://[::]:{port}/", "http://0x7f.1:{port}/",
    "http://user:pw@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@replicate.delivery/", "https://127.0.0.1:{port}/",
    "http://replicate.delivery@127.0.0.1:{port}/", "http://127.0.0.1:{port}#.replicate.delivery/",
    "HTTP://LOCALHOST:{port}/",
    "http://127.0.0.1.:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127.0.0.1/", "http://localhost/",
    "http://169.254.169.254/",
]  # fmt: skip
SCHEMES = ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_x"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(provider: HostileProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with served(tmp_path_factory.mktemp("server"), provider.settings()) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(site: Site, provider: HostileProvider, internal: Server) -> dict[str, Any]:
    """How jobs ended whose output, or the redirect behind it, is one of the addresses; all run side by side."""
    for url in [*URLS, *SCHEMES]:
        provider.outputs[url] = _naming(url.format(port=internal.port))
        location = url.format(port=internal.port).encode()
        found = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
        provider.files[url] = raw_file(found)
    parameters = {
        **{f"output {url}": {"output": url} for url in URLS},
        **{f"redirect {url}": {"file": url} for url in [*URLS, *SCHEMES]},
    }
    jobs = [await site.submit(parameters=given) for given in parameters.values()]
    return dict(zip(parameters, await asyncio.gather(*map(site.finished, jobs)), strict=True))


def _naming(url: str) -> Callable[[str], Any]:
    return lambda _own: [url]


@pytest.mark.parametrize(
    "way", [*(f"output {url}" for url in URLS), *(f"redirect {url}" for url in [*URLS, *SCHEMES])], ids=ascii
)
async def test_a_hostile_provider_leads_nowhere_inside_and_the_job_says_why(
    ends: dict[str, Any], internal: Server, way: str
) -> None:
    assert (ends[way]["status"], ends[way]["error"]["code"]) == ("failed", "fetch_blocked")
    assert await internal.connections() == 0


@pytest.mark.parametrize("url", URLS, ids=ascii)
async def test_a_webhook_inside_is_refused_and_never_sent(site: Site, internal: Server, url: str) -> None:
    body = {"prompt": "x", "webhook_url": url.format(port=internal.port)}
    status, _, _ = await site.call("POST", "/api/v1/generate", json=body)
    assert status == 422
    assert await internal.connections() == 0
