"""Artifacts over HTTP: ranges, ETags, thumbnails, and headers that keep hostile files from doing anything."""

import hashlib
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image
from yarl import URL

from mediagen.artifacts.model import Artifact
from mediagen.safefetch import Download
from tests.api.conftest import API, Api

DATA = bytes(range(250)) * 4  # 1,000 bytes of no known kind
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'


async def keep(api: Api, data: bytes) -> Artifact:
    """Keep bytes as the output of a new job."""
    job = await api.generate()
    download = Download(chunks=_once(data), size_bytes=len(data), media_type="image/png")
    return await api.runtime.artifacts.ingest(job["id"], job["id"], 0, download)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def get(api: Api, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path as it is written; header names with _ for -."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.http.request(method, URL(api.url + path, encoded=True), headers=sent) as response:
        received = {name.lower(): value for name, value in response.headers.items()}
        return response.status, received, await response.read()


def path_of(artifact: Artifact) -> str:
    return f"{API}/media/{artifact.key}"


def picture(kind: str = "PNG", size: tuple[int, int] = (800, 400)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, kind)
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(bytes(1000))
    return file.getvalue()


# ---------------------------------------------------------------------------------------------- the whole file


@pytest.mark.parametrize("prefix", ["", API])
async def test_the_bytes_come_back_as_they_were_kept(idle_api: Api, prefix: str) -> None:
    artifact = await keep(idle_api, DATA)
    status, headers, body = await get(idle_api, f"{prefix}/media/{artifact.key}")
    assert (status, body) == (200, DATA)
    assert (headers["content-length"], headers["accept-ranges"], headers["etag"]) == ("1000", "bytes", ETAG)
    assert "content-range" not in headers


async def test_files_are_cached_for_ever_and_can_do_nothing_at_our_address(idle_api: Api) -> None:
    _, headers, _ = await get(idle_api, path_of(await keep(idle_api, DATA)))
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    policy = [part.strip() for part in headers["content-security-policy"].split(";")]
    assert {"default-src 'none'", "sandbox"} <= set(policy)


async def test_head_answers_as_get_without_the_bytes(idle_api: Api) -> None:
    path = path_of(await keep(idle_api, DATA))
    _, expected, _ = await get(idle_api, path)
    status, headers, body = await get(idle_api, path, "HEAD")
    assert (status, body) == (200, b"")
    assert {**headers, "date": ""} == {**expected, "date": ""}


async def test_a_long_file_comes_in_pieces_that_fit_together(idle_api: Api) -> None:
    data = bytes(3) + b"".join(n.to_bytes(4) for n in range(1_000_000))
    path = path_of(await keep(idle_api, data))
    assert (await get(idle_api, path))[2] == data
    status, _, body = await get(idle_api, path, Range=f"bytes={2**20 - 1}-{2**21}")
    assert (status, body) == (206, data[2**20 - 1 : 2**21 + 1])


# ---------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=0-0", 0, 1),
        ("bytes=999-999", 999, 1000),
        ("bytes=500-", 500, 1000),
        ("bytes=0-", 0, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-100", 900, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=900-5000", 900, 1000),
        ("bytes=0-999999999999999999", 0, 1000),
    ],
)
async def test_a_range_gives_its_bytes(idle_api: Api, asked: str, start: int, end: int) -> None:
    status, headers, body = await get(idle_api, path_of(await keep(idle_api, DATA)), Range=asked)
    assert (status, body) == (206, DATA[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/1000"
    assert headers["content-length"] == str(end - start)
    assert headers["etag"] == ETAG


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=10-5"])
async def test_a_range_without_a_byte_is_416_and_tells_the_size(idle_api: Api, asked: str) -> None:
    status, headers, body = await get(idle_api, path_of(await keep(idle_api, DATA)), Range=asked)
    assert (status, headers["content-range"]) == (416, "bytes */1000")
    assert headers["content-type"] == "application/problem+json"
    assert b"1000" in body


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,5-6",
        "bytes=1-2-3",
        "items=0-1",
        "bytes",
        "0-1",
        "bytes=--1",
        "bytes=0x1-2",
        "bytes=999999999999999999999999999999-",
    ],
)
async def test_an_odd_range_is_ignored(idle_api: Api, asked: str) -> None:
    status, _, body = await get(idle_api, path_of(await keep(idle_api, DATA)), Range=asked)
    assert (status, body) == (200, DATA)


async def test_a_range_means_nothing_to_head(idle_api: Api) -> None:
    status, headers, _ = await get(idle_api, path_of(await keep(idle_api, DATA)), "HEAD", Range="bytes=0-9")
    assert (status, headers["content-length"]) == (200, "1000")


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAG, 206),
        ('"else"', 200),
        (f"W/{ETAG}", 200),
        ("Sat, 21 Nov 2026 00:00:00 GMT", 200),
    ],
)
async def test_if_range_goes_on_only_with_the_very_same_file(
    idle_api: Api, condition: str, status: int
) -> None:
    path = path_of(await keep(idle_api, DATA))
    found, _, body = await get(idle_api, path, Range="bytes=990-", If_Range=condition)
    assert (found, body) == (status, DATA[990:] if status == 206 else DATA)


# ---------------------------------------------------------------------------------------------- not modified


@pytest.mark.parametrize("known", [ETAG, f'"else", {ETAG}', f"W/{ETAG}", "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_the_file_gets_304_and_no_bytes(idle_api: Api, method: str, known: str) -> None:
    path = path_of(await keep(idle_api, DATA))
    status, headers, body = await get(idle_api, path, method, If_None_Match=known, Range="bytes=0-1")
    assert (status, body, headers["etag"]) == (304, b"", ETAG)
    assert "immutable" in headers["cache-control"]


@pytest.mark.parametrize("known", ['"else"', ETAG.strip('"'), '""'])
async def test_who_has_another_file_gets_this_one(idle_api: Api, known: str) -> None:
    status, _, body = await get(idle_api, path_of(await keep(idle_api, DATA)), If_None_Match=known)
    assert (status, body) == (200, DATA)


# ---------------------------------------------------------------------------------------------- what it is shown as


@pytest.mark.parametrize(
    ("data", "media_type", "shown"),
    [
        (picture("PNG"), "image/png", "inline"),
        (picture("JPEG"), "image/jpeg", "inline"),
        (picture("GIF"), "image/gif", "inline"),
        (picture("WEBP"), "image/webp", "inline"),
        (sound(), "audio/wav", "inline"),
        (b"just words\n", "text/plain", "attachment"),
        (DATA, "application/octet-stream", "attachment"),
        (b"%PDF-1.7\n" + DATA, "application/octet-stream", "attachment"),
        (b"<?xml version='1.0'?><a/>", "application/octet-stream", "attachment"),
        (b"<!doctype html><script>1</script>", "application/octet-stream", "attachment"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream", "attachment"),
    ],
)
async def test_a_file_is_served_as_what_its_bytes_are(
    idle_api: Api, data: bytes, media_type: str, shown: str
) -> None:
    artifact = await keep(idle_api, data)
    _, headers, body = await get(idle_api, path_of(artifact))
    assert headers["content-type"].partition(";")[0] == media_type
    kind, _, name = headers["content-disposition"].partition("; ")
    extension = artifact.key.rpartition(".")[2]
    assert (kind, name) == (shown, f'filename="mediagen-{artifact.job_id[-12:]}-0.{extension}"')
    assert body == data


@pytest.mark.parametrize("fault", ["html_output", "svg_output"])
async def test_an_output_with_a_script_is_an_attachment_of_no_type(api: Api, fault: str) -> None:
    job = await api.finished(await api.generate(parameters={"fault": fault, "latency_s": 0}))
    status, headers, body = await get(api, job["media_path"])
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"
    assert b"<script>" in body


async def test_a_picture_to_be_saved_is_an_attachment(idle_api: Api) -> None:
    path = path_of(await keep(idle_api, picture()))
    _, headers, _ = await get(idle_api, f"{path}?download=true")
    assert headers["content-disposition"].startswith("attachment; filename=")


@pytest.mark.parametrize("query", ["variant=huge", "download=perhaps"])
async def test_a_variant_that_there_is_not_is_422(idle_api: Api, query: str) -> None:
    artifact = await keep(idle_api, DATA)
    assert (await get(idle_api, f"{path_of(artifact)}?{query}"))[0] == 422


# ---------------------------------------------------------------------------------------------- thumbnails


async def shown(api: Api, artifact: Artifact) -> dict[str, Any]:
    _, _, job = await api.call("GET", f"{API}/jobs/{artifact.job_id}")
    return dict(job["artifacts"][0])


async def test_a_thumbnail_is_the_picture_itself_until_it_is_made(idle_api: Api) -> None:
    artifact = await keep(idle_api, picture())
    entry = await shown(idle_api, artifact)
    assert entry["thumbnail_url"] == f"{idle_api.url}{path_of(artifact)}?variant=thumbnail"
    status, headers, body = await get(idle_api, f"{path_of(artifact)}?variant=thumbnail")
    assert (status, headers["content-type"], body) == (200, "image/png", picture())
    assert headers["cache-control"] == "no-store"


async def test_a_thumbnail_is_a_small_webp_of_its_own(idle_api: Api) -> None:
    artifact = await keep(idle_api, picture(size=(1600, 800)))
    assert await idle_api.runtime.artifacts.make_thumbnails() == 1
    status, headers, body = await get(idle_api, f"{path_of(artifact)}?variant=thumbnail")
    made = Image.open(io.BytesIO(body))
    assert (status, headers["content-type"], made.format, made.size) == (
        200,
        "image/webp",
        "WEBP",
        (640, 320),
    )
    assert "immutable" in headers["cache-control"]
    assert "sandbox" in headers["content-security-policy"]
    assert headers["etag"] != f'"{artifact.sha256}"'
    again = await get(idle_api, f"{path_of(artifact)}?variant=thumbnail", If_None_Match=headers["etag"])
    assert (again[0], again[2]) == (304, b"")
    assert (await shown(idle_api, artifact))["placeholder"].startswith("data:image/")


@pytest.mark.parametrize("data", [DATA, sound()])
async def test_what_is_no_picture_has_no_thumbnail(idle_api: Api, data: bytes) -> None:
    artifact = await keep(idle_api, data)
    assert await idle_api.runtime.artifacts.make_thumbnails() == 0
    assert (await shown(idle_api, artifact))["thumbnail_url"] is None


async def test_a_picture_that_can_not_be_decoded_is_kept_without_a_thumbnail(idle_api: Api) -> None:
    whole = picture()
    middle = whole.index(b"IDAT") + 8
    broken = whole[:middle] + bytes(20) + whole[middle + 20 :]
    artifact = await keep(idle_api, broken)
    assert await idle_api.runtime.artifacts.make_thumbnails() == 1
    assert (await shown(idle_api, artifact))["thumbnail_url"] is None
    assert (await get(idle_api, path_of(artifact)))[2] == broken
    assert await idle_api.runtime.artifacts.make_thumbnails() == 0


# ---------------------------------------------------------------------------------------------- nothing else


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "%2e%2e",
        "../../mediagen.db",
        "..%2f..%2fmediagen.db",
        "..%5cmediagen.db",
        "%2fetc%2fpasswd",
        "%252e%252e%252fmediagen.db",
        ".tmp",
        "mediagen.db",
        "webhook.key",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa.png",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "AAAAAAAAAAAAAAAAAAAAAAAAAA.png",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa.png%00",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa.png%0a",
        "%ff",
        "a" * 3000,
    ],
)
async def test_a_name_that_no_artifact_has_is_404(idle_api: Api, name: str) -> None:
    for prefix in ("", API):
        status, headers, _ = await get(idle_api, f"{prefix}/media/{name}")
        assert (status, headers["content-type"]) == (404, "application/problem+json")


async def test_files_of_the_storage_that_are_no_artifacts_can_not_be_reached(idle_api: Api) -> None:
    artifact = await keep(idle_api, picture())
    await idle_api.runtime.artifacts.make_thumbnails()
    await idle_api.runtime.artifacts.spool("call-1", [b"secret"])
    stem = artifact.key.partition(".")[0]
    for name in (
        f"{artifact.key[:2]}/{artifact.key}",
        f"thumbs/{stem[:2]}/{stem}.webp",
        f"{stem}.webp",
        "spool/call-1/0",
    ):
        assert (await get(idle_api, f"{API}/media/{name}"))[0] == 404
        assert (await get(idle_api, f"{API}/media/{name.replace('/', '%2f')}"))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_file_can_not_be_changed(idle_api: Api, method: str) -> None:
    path = path_of(await keep(idle_api, DATA))
    status, _, _ = await get(idle_api, path, method)
    assert status in (404, 405)
    assert (await get(idle_api, path))[2] == DATA
