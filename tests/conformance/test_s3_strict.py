"""What only an S3 server that checks signatures can show: we sign right, and a wrong key is told in a sentence."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from mediagen.errors import SettingsError, Unavailable
from mediagen.storages.s3 import S3Settings, S3Storage
from tests.fakes.rclone import strict_s3


@pytest.fixture(scope="module")
def settings() -> Iterator[S3Settings]:
    with strict_s3() as settings:
        yield settings


@pytest.fixture
async def storage(settings: S3Settings, tmp_path: Path) -> S3Storage:
    storage = S3Storage(settings, tmp_path / "incoming")
    await storage.start()
    return storage


def incoming(storage: S3Storage, data: bytes) -> Path:
    file = storage.temp_dir / "incoming"
    file.write_bytes(data)
    return file


async def test_the_bucket_is_made_and_what_is_put_is_there(storage: S3Storage, settings: S3Settings) -> None:
    await storage.put("ab/small.bin", incoming(storage, b"picture"))
    await storage.put("ab/large.bin", incoming(storage, bytes(20 * 1024**2)))
    for key, size in (("ab/small.bin", 7), ("ab/large.bin", 20 * 1024**2)):
        found = await storage.stat(key)
        assert found is not None
        assert found.size_bytes == size
    assert settings.s3_bucket in await storage.check()


async def test_several_processes_that_start_at_once_make_the_bucket_together(
    settings: S3Settings, tmp_path: Path
) -> None:
    for number in range(5):  # a race: one bucket would often not show it
        new = settings.model_copy(update={"s3_bucket": f"made-together-{number}"})
        storages = [S3Storage(new, tmp_path / f"{each}") for each in range(4)]
        await asyncio.gather(*(storage.start() for storage in storages))
        for storage in storages:
            assert new.s3_bucket in await storage.check()


async def test_a_signed_link_opens_one_file_and_no_other(storage: S3Storage) -> None:
    await storage.put("one.bin", incoming(storage, b"one"))
    await storage.put("two.bin", incoming(storage, b"two"))
    link = await storage.link("one.bin")
    assert link is not None
    async with aiohttp.ClientSession() as http:
        async with http.get(link) as response:
            assert (response.status, await response.read()) == (200, b"one")
        async with http.get(link.replace("one.bin", "two.bin")) as response:
            assert response.status == 403
        async with http.get(link.partition("?")[0]) as response:
            assert response.status in (400, 403)


async def test_a_wrong_key_is_told_in_a_sentence_without_the_key(
    settings: S3Settings, tmp_path: Path
) -> None:
    wrong = settings.model_copy(update={"s3_secret_key": SecretStr("not-the-secret")})
    storage = S3Storage(wrong, tmp_path / "incoming")
    with pytest.raises((SettingsError, Unavailable), match="S3_ACCESS_KEY") as caught:
        await storage.start()
    assert "not-the-secret" not in str(caught.value)
