"""What every storage must do. A new one joins by one more entry in `STORAGES`."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from mediagen.errors import Conflict, NotFound
from mediagen.storages.base import Storage, StoredFile
from mediagen.storages.local import LocalStorage
from mediagen.storages.s3 import S3Storage
from tests.fakes.s3 import S3Server

MIB = 1024**2


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Storage]:
    storage = LocalStorage(folder / "artifacts", min_free_bytes=0)
    await storage.start()
    yield storage
    await storage.close()


@asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[Storage]:
    with S3Server() as server:
        storage = S3Storage(server.settings(), folder / "incoming")
        await storage.start()
        yield storage
        await storage.close()


STORAGES: dict[str, Callable[[Path], AbstractAsyncContextManager[Storage]]] = {"local": local, "s3": s3}


@pytest.fixture(params=STORAGES)
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    async with STORAGES[cast(str, request.param)](tmp_path) as storage:
        yield storage


def incoming(storage: Storage, data: bytes, name: str = "incoming") -> Path:
    file = storage.temp_dir / name
    file.write_bytes(data)
    return file


async def stored(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.read(key, start, end)])


async def test_what_was_put_is_read_back(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    assert await stored(storage, "ab/abcd.png") == b"picture"


async def test_an_empty_file_is_read_back_as_no_bytes(storage: Storage) -> None:
    await storage.put("empty.bin", incoming(storage, b""))
    assert await stored(storage, "empty.bin") == b""


async def test_putting_takes_the_file_away(storage: Storage) -> None:
    file = incoming(storage, b"picture")
    await storage.put("ab/abcd.png", file)
    assert not file.exists()


async def test_a_file_from_outside_the_temp_folder_is_stored_too(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    file.write_bytes(b"picture")
    await storage.put("ab/abcd.png", file)
    assert await stored(storage, "ab/abcd.png") == b"picture"


@pytest.mark.parametrize("key", ["a", "a.png", "0/1/2/3/4.webp", "spool/0190f0e2-7c3b/count", "k_-9.x"])
async def test_every_form_of_key_is_accepted(storage: Storage, key: str) -> None:
    await storage.put(key, incoming(storage, b"picture"))
    assert await storage.stat(key) == StoredFile(key=key, size_bytes=7)


BAD_KEYS = [
    "",
    "/etc/passwd",
    "..",
    "../a",
    "a/../b",
    "a//b",
    "a/",
    "A.png",
    "a b",
    ".tmp/a",
    "a\n",
    "a\0",
    "é",
    "a/.x",
]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_key_that_is_not_ours_is_refused_by_every_method(storage: Storage, key: str) -> None:
    file = incoming(storage, b"picture")
    with pytest.raises(ValueError, match="storage key"):
        await storage.put(key, file)
    with pytest.raises(ValueError, match="storage key"):
        await stored(storage, key)
    with pytest.raises(ValueError, match="storage key"):
        await storage.stat(key)
    with pytest.raises(ValueError, match="storage key"):
        await storage.delete(key)
    assert file.exists()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 6, b"345"),
        (8, 99, b"89"),
        (4, 4, b""),
        (10, None, b""),
    ],
)
async def test_a_range_is_start_to_before_end(
    storage: Storage, start: int, end: int | None, expected: bytes
) -> None:
    await storage.put("digits.txt", incoming(storage, b"0123456789"))
    assert await stored(storage, "digits.txt", start, end) == expected


async def test_a_large_file_comes_in_pieces_of_bounded_size(storage: Storage) -> None:
    data = bytes(range(256)) * (9 * MIB // 256) + b"end"
    await storage.put("large.bin", incoming(storage, data))
    pieces = [piece async for piece in storage.read("large.bin")]
    assert max(map(len, pieces)) <= 4 * MIB
    assert b"".join(pieces) == data


async def test_a_range_of_a_large_file_is_exact(storage: Storage) -> None:
    data = b"".join(number.to_bytes(4) for number in range(9 * MIB // 4))
    await storage.put("large.bin", incoming(storage, data))
    assert await stored(storage, "large.bin", 1_000_001, 8_000_003) == data[1_000_001:8_000_003]


async def test_a_reader_may_stop_early(storage: Storage) -> None:
    await storage.put("large.bin", incoming(storage, bytes(9 * MIB)))
    async with aclosing(cast("AsyncGenerator[bytes]", storage.read("large.bin"))) as reader:
        assert await anext(reader)
    await storage.delete("large.bin")
    assert await storage.stat("large.bin") is None


async def test_reading_what_is_not_there_raises_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound, match=r"nothing\.png"):
        await stored(storage, "ab/nothing.png")


async def test_stat_of_what_is_not_there_is_none(storage: Storage) -> None:
    assert await storage.stat("ab/nothing.png") is None


async def test_a_folder_is_no_file(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    assert await storage.stat("ab") is None
    with pytest.raises(NotFound):
        await stored(storage, "ab")


async def test_below_a_file_there_is_nothing(storage: Storage) -> None:
    await storage.put("ab", incoming(storage, b"picture"))
    assert await storage.stat("ab/abcd.png") is None


async def test_a_deleted_file_is_gone(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    await storage.delete("ab/abcd.png")
    assert await storage.stat("ab/abcd.png") is None


async def test_deleting_again_is_no_error(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    await storage.delete("ab/abcd.png")
    await storage.delete("ab/abcd.png")


async def test_deleting_one_file_leaves_its_neighbour(storage: Storage) -> None:
    await storage.put("ab/one.png", incoming(storage, b"1"))
    await storage.put("ab/two.png", incoming(storage, b"2"))
    await storage.delete("ab/one.png")
    assert await stored(storage, "ab/two.png") == b"2"


async def test_the_same_bytes_may_be_put_again(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    again = incoming(storage, b"picture")
    await storage.put("ab/abcd.png", again)
    assert await stored(storage, "ab/abcd.png") == b"picture"
    assert not again.exists()


async def test_other_bytes_under_a_taken_key_are_refused_and_kept(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    other = incoming(storage, b"another picture")
    with pytest.raises(Conflict, match=r"ab/abcd\.png"):
        await storage.put("ab/abcd.png", other)
    assert await stored(storage, "ab/abcd.png") == b"picture"
    assert other.read_bytes() == b"another picture"


async def test_a_key_can_be_used_again_after_its_file_was_deleted(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    await storage.delete("ab/abcd.png")
    await storage.put("ab/abcd.png", incoming(storage, b"another picture"))
    assert await stored(storage, "ab/abcd.png") == b"another picture"


async def test_of_many_that_put_one_key_at_once_exactly_one_wins(storage: Storage) -> None:
    files = [incoming(storage, b"x" * (n + 1), name=f"in-{n}") for n in range(8)]
    results = await asyncio.gather(
        *(storage.put("ab/abcd.png", file) for file in files), return_exceptions=True
    )
    winners = [n for n, result in enumerate(results) if result is None]
    assert len(winners) == 1
    assert await stored(storage, "ab/abcd.png") == b"x" * (winners[0] + 1)
    assert all(isinstance(result, Conflict) for result in results if result is not None)


async def test_many_files_can_be_put_at_once_into_new_folders(storage: Storage) -> None:
    keys = [f"{n % 4:02}/sub/{n}.bin" for n in range(32)]
    await asyncio.gather(
        *(storage.put(key, incoming(storage, key.encode(), name=f"in-{n}")) for n, key in enumerate(keys))
    )
    assert [await stored(storage, key) for key in keys] == [key.encode() for key in keys]


async def test_what_was_stored_is_there_after_a_restart(storage: Storage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    await storage.close()
    await storage.start()
    assert await stored(storage, "ab/abcd.png") == b"picture"


async def test_a_start_clears_what_dead_processes_left_a_day_ago_and_nothing_that_waits(
    storage: Storage,
) -> None:
    day_ago = time.time() - 24 * 3600
    for name, age_s in (("in-old", 60), ("in-young", -60), ("fetched-old", 60)):
        os.utime(incoming(storage, b"picture", name), (day_ago - age_s, day_ago - age_s))
    await storage.start()
    assert {path.name for path in storage.temp_dir.iterdir()} == {"in-young", "fetched-old"}


async def test_a_check_says_one_short_sentence_and_leaves_nothing(storage: Storage) -> None:
    said = await storage.check()
    assert 0 < len(said) < 100
    assert "\n" not in said
    assert list(storage.temp_dir.iterdir()) == []


async def test_checks_at_the_same_time_do_not_meet(storage: Storage) -> None:
    assert len(await asyncio.gather(*(storage.check() for _ in range(16)))) == 16


async def test_closing_twice_is_no_error(storage: Storage) -> None:
    await storage.close()
    await storage.close()
