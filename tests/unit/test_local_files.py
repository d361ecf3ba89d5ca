import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mediagen.errors import Conflict, NotFound, SettingsError, Unavailable
from mediagen.storages.local import LocalStorage

MIB = 1024**2


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    storage = LocalStorage(tmp_path / "artifacts", min_free_bytes=0)
    await storage.start()
    yield storage
    await storage.close()


def incoming(storage: LocalStorage, data: bytes, name: str = "incoming") -> Path:
    file = storage.temp_dir / name
    file.write_bytes(data)
    return file


async def stored(storage: LocalStorage, key: str) -> bytes:
    return b"".join([piece async for piece in storage.read(key)])


def inode(path: Path) -> int:
    return path.stat().st_ino


# --- durability


async def test_a_file_of_up_to_4_mb_is_one_piece(storage: LocalStorage) -> None:
    await storage.put("a.bin", incoming(storage, bytes(4 * MIB)))
    assert [len(piece) async for piece in storage.read("a.bin")] == [4 * MIB]


async def test_a_larger_file_comes_in_pieces_of_1_mb(storage: LocalStorage) -> None:
    await storage.put("a.bin", incoming(storage, bytes(4 * MIB + 1)))
    assert [len(piece) async for piece in storage.read("a.bin")] == [MIB, MIB, MIB, MIB, 1]


async def test_a_reader_left_in_the_middle_leaves_no_file_open(storage: LocalStorage) -> None:
    await storage.put("a.bin", incoming(storage, bytes(9 * MIB)))
    before = len(os.listdir("/dev/fd"))
    reader = storage.read("a.bin")
    await anext(aiter(reader))
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("deed", ["put", "read", "stat", "delete"])
async def test_a_folder_that_is_a_symbolic_link_is_not_followed(
    storage: LocalStorage, tmp_path: Path, deed: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.bin").write_bytes(b"private")
    (storage.root / "ab").symlink_to(outside)
    file = incoming(storage, b"picture")
    deeds: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: storage.put("ab/b.bin", file),
        "read": lambda: stored(storage, "ab/a.bin"),
        "stat": lambda: storage.stat("ab/a.bin"),
        "delete": lambda: storage.delete("ab/a.bin"),
    }
    with pytest.raises(Unavailable, match="symbolic link"):
        await deeds[deed]()
    assert [path.name for path in outside.iterdir()] == ["a.bin"]


async def test_a_file_that_is_a_symbolic_link_is_not_read(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"private")
    (storage.root / "a.bin").symlink_to(tmp_path / "private")
    with pytest.raises(Unavailable, match="symbolic link"):
        await stored(storage, "a.bin")


async def test_an_incoming_file_that_is_a_symbolic_link_is_not_stored(
    storage: LocalStorage, tmp_path: Path
) -> None:
    (tmp_path / "private").write_bytes(b"private")
    (storage.temp_dir / "incoming").symlink_to(tmp_path / "private")
    with pytest.raises(Unavailable):
        await storage.put("a.bin", storage.temp_dir / "incoming")
    assert await storage.stat("a.bin") is None


async def test_something_that_is_no_ordinary_file_is_not_found(storage: LocalStorage) -> None:
    (storage.root / "folder").mkdir()
    with pytest.raises(NotFound):
        await stored(storage, "folder")


async def test_the_storage_folder_itself_may_be_reached_over_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    storage = LocalStorage(tmp_path / "link", min_free_bytes=0)
    await storage.start()
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    assert (tmp_path / "real/ab/abcd.png").read_bytes() == b"picture"


async def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        storage = LocalStorage(tmp_path / "artifacts", min_free_bytes=0)
        await storage.start()
        await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    finally:
        os.umask(mask)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (storage.root, *storage.root.rglob("*"))
    }
    assert modes == {"artifacts": 0o700, ".tmp": 0o700, "ab": 0o700, "abcd.png": 0o600}


# --- starting


async def test_a_storage_path_that_is_a_file_stops_the_start_naming_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        SettingsError, match=r"STORAGE_PATH='.*/file/artifacts' can't be used \(Not a directory\)"
    ):
        await LocalStorage(tmp_path / "file" / "artifacts", min_free_bytes=0).start()


async def test_free_bytes_are_those_that_this_user_may_write(storage: LocalStorage) -> None:
    status = os.statvfs(storage.root)
    assert await storage.free_bytes() == pytest.approx(status.f_bavail * status.f_frsize, rel=0.2)


# --- run in processes of their own by the tests above


async def test_other_bytes_of_the_same_size_are_refused(storage: LocalStorage) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    with pytest.raises(Conflict, match="written once"):
        await storage.put("ab/abcd.png", incoming(storage, b"forgery"))
    assert await stored(storage, "ab/abcd.png") == b"picture"
