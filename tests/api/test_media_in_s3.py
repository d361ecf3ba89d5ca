"""Artifacts that lie in a bucket: served through the API like any others, or by signed links of the bucket's own."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from mediagen.settings import Settings
from tests.api.conftest import Api, serving
from tests.fakes.s3 import S3Server


@asynccontextmanager
async def serving_from_s3(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, **more: str
) -> AsyncIterator[Api]:
    with S3Server() as server:
        for name, value in (server.environment() | more).items():
            monkeypatch.setenv(name, value)
        async with serving(settings.model_copy(update={"storage_type": "s3"})) as api:
            yield api


async def made(api: Api) -> dict[str, Any]:
    job = await api.finished(await api.generate())
    assert job["status"] == "completed", job
    return job


async def test_media_in_a_bucket_have_ranges_and_etags(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_from_s3(settings, monkeypatch) as api:
        job = await made(api)
        [artifact], url = job["artifacts"], api.url + job["media_path"]
        async with api.http.get(url) as response:
            whole, etag = await response.read(), response.headers["ETag"]
            assert (response.status, etag) == (200, f'"{artifact["sha256"]}"')
            assert hashlib.sha256(whole).hexdigest() == artifact["sha256"]
        async with api.http.get(url, headers={"Range": "bytes=10-19"}) as response:
            assert (response.status, await response.read()) == (206, whole[10:20])
            assert response.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
        async with api.http.get(url, headers={"If-None-Match": etag}) as response:
            assert response.status == 304


async def test_with_presigned_links_the_bucket_serves_the_bytes_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_from_s3(settings, monkeypatch, S3_PRESIGN_S="60") as api:
        job = await made(api)
        async with api.http.get(api.url + job["media_path"], allow_redirects=False) as response:
            assert (response.status, response.headers["Cache-Control"]) == (307, "no-store")
            link = response.headers["Location"]
        async with aiohttp.ClientSession() as elsewhere, elsewhere.get(link) as response:
            body = await response.read()
        assert hashlib.sha256(body).hexdigest() == job["artifacts"][0]["sha256"]
        assert "X-Amz-Expires=60" in link
        async with api.http.get(api.url + job["media_path"] + "?download=true") as response:
            assert (response.status, await response.read()) == (200, body)
            assert response.headers["Content-Disposition"].startswith("attachment")
