"""Paths that climb out of what is served: files beside the artifacts and the web app stay where they are."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proof.bad_input.wire import exchange
from tests.security.hostile import Site, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = b"beside-the-served-files-7391"
INSIDE = (SECRET, b"root:x:0:0", b"SQLite format 3", b"[project]", b"import asyncio")

BASES = ["/api/v1/media/", "/media/", "/assets/", "/", "/docs/", "/history/", "/static/"]
UPS = [
    "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e%252f", "..%252f", "....//", "..../",
    "..;/", "..%00/", "%c0%ae%c0%ae/", "%c0%ae%c0%ae%c0%af", "..%c1%9c", "%uff0e%uff0e/", "..%u2215", "．．/",
    "/../", "//../", "./../", ".%2e/", "%2e./", "..//", "..%2f%2f", "\\..\\", "..%0d/", "..%20/", "..%09/",
    "..%ef%bc%8f",
]  # fmt: skip
GOALS = ["secret.txt", "mediagen.db", "webhook.key", "../../../../../../../../etc/passwd", "pyproject.toml"]
ABSOLUTE = [
    "//etc/passwd", "/etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "C:\\secret.txt", "\\\\localhost\\c$",
    "/proc/self/environ", "%2fproc%2fself%2fenviron", "/dev/stdin", "~/secret.txt", "secret.txt%00.png",
    "aaaaaaaaaaaaaaaaaaaaaaaaaa.png/../../secret.txt", "aaaaaaaaaaaaaaaaaaaaaaaaaa.png%2f..%2f..%2fsecret.txt",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("server")
    async with served(folder, {}) as site:
        for place in (folder, folder / "data", folder / "data" / "artifacts"):
            place.mkdir(exist_ok=True)
            (place / "secret.txt").write_bytes(SECRET)
        yield site


async def _body(site: Site, target: str) -> bytes:
    raw = target.encode()
    answer = await exchange(site.server.port, b"GET " + raw + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.status < 500, target
    return answer.body


async def test_the_files_are_there(site: Site) -> None:
    assert (site.server.data_dir / "secret.txt").read_bytes() == SECRET


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("base", BASES)
async def test_no_way_up_leads_to_a_file(site: Site, base: str, up: str) -> None:
    for times in (1, 2, 3, 8):
        for goal in GOALS:
            body = await _body(site, f"{base}{up * times}{goal}")
            assert not any(mark in body for mark in INSIDE)


@pytest.mark.parametrize("path", ABSOLUTE)
@pytest.mark.parametrize("base", BASES)
async def test_no_absolute_path_leads_to_a_file(site: Site, base: str, path: str) -> None:
    body = await _body(site, f"{base}{path}".replace(" ", "%20"))
    assert not any(mark in body for mark in INSIDE)
