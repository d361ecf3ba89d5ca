"""Which outputs of Replicate are had, and from which hosts."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from mediagen.errors import FetchError, FetchGone, SettingsError
from mediagen.providers.base import (
    Output,
    ProviderContext,
)
from mediagen.providers.replicate import ReplicateProvider
from mediagen.safefetch import Fetcher
from mediagen.settings import load_settings
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import CLOCK, a_call, followed, provider_at


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def replicate(fake: FakeReplicate) -> AsyncIterator[ReplicateProvider]:
    async with provider_at(fake.url) as provider:
        yield provider


@pytest.fixture
async def context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ProviderContext]:
    monkeypatch.chdir(tmp_path)  # away from any .env
    for name in ("TOKEN", "BASE_URL"):
        monkeypatch.delenv(f"REPLICATE_API_{name}", raising=False)
    fetcher = Fetcher(max_bytes=1000)
    yield ProviderContext(settings=load_settings(), clock=CLOCK, fetcher=fetcher)
    await fetcher.close()


async def test_what_a_model_says_beside_its_files_is_kept(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = await followed(replicate, fake, a_call(fake={"output": "dict"}))
    done = await replicate.get(call)
    link = f"{fake.url}/files/{call.ref}/0.png"
    assert (done.outputs, done.document) == ((Output(url=link),), f'{{"image": "{link}", "seed": 42}}')
    assert done.queued_ms is not None


async def fetched(provider: ReplicateProvider, output: Output) -> bytes:
    async with provider.open(output) as download:
        return b"".join([chunk async for chunk in download.chunks])


async def test_an_output_is_a_real_picture_of_the_size_asked_for(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = await followed(replicate, fake, a_call(width=320, height=200))
    data = await fetched(replicate, (await replicate.get(call)).outputs[0])
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("PNG", (320, 200))


@pytest.mark.parametrize(
    ("file", "error"), [("gone", FetchGone), ("truncated", FetchError), ("redirect", FetchError)]
)
async def test_an_output_that_can_not_be_had_is_a_fetch_error(
    fake: FakeReplicate, replicate: ReplicateProvider, file: str, error: type[FetchError]
) -> None:
    call = await followed(replicate, fake, a_call(fake={"file": file}))
    done = await replicate.get(call)
    with pytest.raises(error):
        await fetched(replicate, done.outputs[0])


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example/files/1",
        "https://API.example:443/x",
        "https://replicate.delivery/a.png",
        "https://pbxt.replicate.delivery/a/b.png",
        "https://a.b.replicate.delivery/x?y=1",
    ],
)
async def test_outputs_at_the_api_and_at_replicates_delivery_are_trusted(url: str) -> None:
    async with provider_at("https://api.example/v1") as provider:
        assert provider.trusts(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/x",
        "https://api.example:8443/x",
        "https://api.example.evil/x",
        "http://replicate.delivery/a.png",
        "https://replicate.delivery:8443/a.png",
        "https://evilreplicate.delivery/a.png",
        "https://replicate.delivery.evil/a.png",
        "https://replicate.delivery@evil/a.png",
        "https://evil\\@replicate.delivery/a.png",
        "https://evil/replicate.delivery",
        "https://evil#replicate.delivery",
        "https://user@api.example/x",
        "ftp://api.example/x",
        "//api.example/x",
        "",
        "https://",
    ],
)
async def test_nothing_else_is_trusted(url: str) -> None:
    async with provider_at("https://api.example/v1") as provider:
        assert not provider.trusts(url)


@pytest.mark.parametrize(
    "url",
    ["http://files.lan/1.png", "https://FILES.lan/1.png", "http://10.0.0.7:9000/x", "http://[fd00::1]:81/x"],
)
async def test_outputs_at_hosts_that_are_named_are_trusted(url: str) -> None:
    hosts = ("files.lan", "10.0.0.7:9000", "[fd00::1]:81")
    async with provider_at("https://api.example", replicate_output_hosts=hosts) as provider:
        assert provider.trusts(url)
        assert not provider.trusts("http://other.lan/1.png")
        assert not provider.trusts("http://files.lan:8080/1.png")
        assert not provider.trusts("http://10.0.0.7/x")
        assert not provider.trusts("http://files.lan@evil/x")


@pytest.mark.parametrize(
    "hosts", ["http://files.lan", "files.lan/x", "a b", "files.lan:0x", "user@files.lan", ":80"]
)
async def test_a_bad_host_stops_the_start_by_the_settings_name(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_fake")
    monkeypatch.setenv("REPLICATE_OUTPUT_HOSTS", f"good.lan,{hosts}")
    with pytest.raises(SettingsError, match="REPLICATE_OUTPUT_HOSTS"):
        ReplicateProvider.from_env(context)
