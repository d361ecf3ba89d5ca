"""How the web app is served: which address gives what, to whom, and with which headers."""

import gzip
import json
import re
from pathlib import Path

import aiohttp
import pytest

from mediagen.api.webapp import BUILT, read_files
from tests.api.conftest import API, Api

pytestmark = pytest.mark.skipif(
    not (BUILT / "index.html").is_file(), reason="the web app is not built; run: python web/build.py"
)
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "gzip, deflate, br"}


async def page(api: Api, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(api.url + path, headers=BROWSER | headers) as response,
    ):
        return response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read()


async def test_a_browser_gets_the_page_at_every_address_of_the_app(idle_api: Api) -> None:
    for path in ("/", "/history", "/architecture", "/jobs", "/jobs/019a9f3e-7c1b-7d44-9a51-0b8e1f6c2d10"):
        status, headers, body = await page(idle_api, path)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8"), path
        assert b'<div id="root">' in body


async def test_other_clients_get_the_api_at_the_same_addresses(idle_api: Api) -> None:
    assert (await idle_api.call("GET", "/jobs"))[2]["items"] == []
    assert (await idle_api.call("GET", "/jobs/nothing"))[2]["detail"] == "Job not found"


async def test_an_unknown_address_is_404_to_all(idle_api: Api) -> None:
    status, _, body = await page(idle_api, "/nothing/here")
    assert (status, b'<div id="root">' in body) == (404, True)
    assert (await idle_api.call("GET", "/nothing/here"))[2]["code"] == "not_found"


async def test_the_page_allows_no_inline_script_or_style(idle_api: Api) -> None:
    _, headers, body = await page(idle_api, "/")
    assert "unsafe" not in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert re.search(rb"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", body) is None
    assert b"https://" not in body


async def test_files_with_a_hash_are_kept_forever_and_the_page_is_asked_for_again(idle_api: Api) -> None:
    _, headers, body = await page(idle_api, "/")
    assert headers["cache-control"] == "no-cache"
    assert (await page(idle_api, "/", **{"if-none-match": headers["etag"]}))[0] == 304
    for script in re.findall(rb'"(/assets/[^"]+)"', body):
        status, found, _ = await page(idle_api, script.decode())
        assert (status, found["content-encoding"]) == (200, "br")
        assert "immutable" in found["cache-control"]


async def test_who_takes_no_compression_gets_the_same_bytes_plain(idle_api: Api) -> None:
    _, _, body = await page(idle_api, "/")
    path = re.findall(rb'"(/assets/[^"]+\.js)"', body)[0].decode()
    plain = await page(idle_api, path, **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain[1]
    refused = await page(idle_api, path, **{"accept-encoding": "br;q=0, gzip; q=0.0, brotli"})
    assert ("content-encoding" not in refused[1], refused[2]) == (True, plain[2])
    packed = await page(idle_api, path, **{"accept-encoding": "br;q=0, gzip;q=0.1"})
    assert (packed[1]["content-encoding"], gzip.decompress(packed[2])) == ("gzip", plain[2])


async def test_a_page_knows_another_prefix() -> None:
    assert b'name="api-prefix" content="/v7"' in read_files("/v7")["/"].bodies["identity"]


async def test_an_app_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    assert b"./run" in read_files(API, tmp_path)["/"].bodies["identity"]


async def test_openapi_json_is_what_the_api_says_of_itself(idle_api: Api) -> None:
    _, _, document = await idle_api.call("GET", f"{API}/openapi.json")
    stored = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())
    assert stored == document, "openapi.json is stale; run .ci/openapi"
