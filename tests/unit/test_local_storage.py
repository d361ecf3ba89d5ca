import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mediagen.errors import Conflict, SettingsError, StorageFull, Unavailable
from mediagen.storages.local import LocalStorage

MIB = 1024**2


@dataclass
class Disk:
    """Records what reaches the file system, with the thread, and fails where a test says so."""

    calls: list[tuple[str, Any, Any]] = field(default_factory=list)
    threads: set[threading.Thread] = field(default_factory=set)
    fails: Callable[[str, Any], OSError | None] = lambda name, subject: None

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            subject = os.fstat(args[0]).st_ino if name == "fsync" else str(args[0])
            self.threads.add(threading.current_thread())
            error = self.fails(name, subject)
            if error:
                raise error
            self.calls.append((name, subject, str(args[1]) if len(args) > 1 else None))
            return real(*args, **kwargs)

        return call

    def fail(self, name: str, number: int) -> None:
        self.fails = lambda called, _: OSError(number, os.strerror(number)) if called == name else None

    def when(self, name: str, subject: Any) -> int:
        return next(i for i, call in enumerate(self.calls) if call[:2] == (name, subject))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    for name in ("fsync", "link", "mkdir", "rename", "unlink", "open", "pread", "lstat"):
        monkeypatch.setattr(os, name, disk.wrap(name, getattr(os, name)))
    return disk


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


async def test_the_bytes_are_flushed_before_they_get_their_name(storage: LocalStorage, disk: Disk) -> None:
    file = incoming(storage, b"picture")
    picture = inode(file)
    await storage.put("ab/abcd.png", file)
    assert disk.when("fsync", picture) < disk.when("link", str(file))


async def test_every_folder_of_a_new_name_is_flushed_before_the_temporary_one_goes(
    storage: LocalStorage, disk: Disk
) -> None:
    file = incoming(storage, b"picture")
    await storage.put("ab/cd/abcd.png", file)
    named, done = disk.when("link", str(file)), disk.when("unlink", str(file))
    for folder in (storage.root / "ab/cd", storage.root / "ab", storage.root):
        assert named < disk.when("fsync", inode(folder)) < done


async def test_folders_are_flushed_even_if_another_process_just_made_them(
    storage: LocalStorage, disk: Disk
) -> None:
    (storage.root / "ab").mkdir()
    disk.calls.clear()
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    assert disk.when("fsync", inode(storage.root))


async def test_a_new_storage_folder_is_flushed_into_its_parents(tmp_path: Path, disk: Disk) -> None:
    storage = LocalStorage(tmp_path / "deep" / "artifacts", min_free_bytes=0)
    await storage.start()
    made = disk.when("mkdir", str(storage.root.parent))
    assert made < disk.when("fsync", inode(tmp_path)) < disk.when("fsync", inode(tmp_path / "deep"))


async def test_a_deletion_is_flushed(storage: LocalStorage, disk: Disk) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    disk.calls.clear()
    await storage.delete("ab/abcd.png")
    gone = disk.when("unlink", str(storage.root / "ab/abcd.png"))
    assert gone < disk.when("fsync", inode(storage.root / "ab"))


async def test_a_put_that_fails_at_any_step_keeps_the_file_and_can_be_tried_again(
    tmp_path: Path, disk: Disk
) -> None:
    failed = 0
    for step in range(100):
        storage = LocalStorage(tmp_path / str(step), min_free_bytes=0)
        await storage.start()
        file = incoming(storage, b"picture")
        left = iter(range(step, -1, -1))
        disk.fails = lambda name, _, left=left: None if next(left, 0) else OSError(errno.EIO, "I/O error")  # type: ignore[misc]
        try:
            await storage.put("ab/abcd.png", file)
        except Unavailable:
            failed += 1
            disk.fails = lambda name, subject: None
            assert file.read_bytes() == b"picture"
            await storage.put("ab/abcd.png", file)
        disk.fails = lambda name, subject: None
        assert await stored(storage, "ab/abcd.png") == b"picture"
        if failed <= step:
            break
    assert failed >= 8


async def test_after_kill_9_every_name_holds_a_whole_file(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "put_for_ever", str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = [await process.stdout.readline() for _ in range(20)]
    process.kill()
    acknowledged += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    storage = LocalStorage(tmp_path, min_free_bytes=0)
    found = {path.name for path in storage.root.iterdir() if path != storage.temp_dir}
    assert found >= {line.decode().strip() for line in acknowledged}
    assert {len(await stored(storage, name)) for name in found} == {100_000}


# --- a full disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["link", "fsync", "mkdir"])
async def test_no_room_is_storage_full_and_the_file_stays(
    storage: LocalStorage, disk: Disk, number: int, step: str
) -> None:
    file = incoming(storage, b"picture")
    disk.fail(step, number)
    with pytest.raises(StorageFull, match="STORAGE_PATH"):
        await storage.put("ab/abcd.png", file)
    assert file.read_bytes() == b"picture"


async def test_any_other_trouble_is_unavailable_and_names_no_path(storage: LocalStorage, disk: Disk) -> None:
    file = incoming(storage, b"picture")
    disk.fail("fsync", errno.EIO)
    with pytest.raises(Unavailable) as raised:
        await storage.put("ab/abcd.png", file)
    assert not isinstance(raised.value, StorageFull)
    assert str(storage.root) not in str(raised.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Run a function of this file by its name on a real disk of 1 MB, mounted for that process alone."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = 'mount -t tmpfs -o size=1m,mode=700 none "$0"'
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    if not shutil.which("unshare"):
        pytest.skip("no real full disk: there is no `unshare` on this system")
    tried = subprocess.run([*unshare, mount, str(folder)], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no real full disk: this user may not mount one ({tried.stderr.strip()})")

    def run(name: str) -> dict[str, Any]:
        command = [
            *unshare,
            f'{mount} && exec "$@"',
            str(folder),
            sys.executable,
            __file__,
            name,
            str(folder),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return run


def test_on_a_really_full_disk_nothing_half_written_gets_a_name(
    small_disk: Callable[[str], dict[str, Any]],
) -> None:
    assert small_disk("put_too_much") == {
        "error": "StorageFull",
        "source_kept": True,
        "stored": None,
        "leftovers": [],
        "old_file_readable": True,
        "stored_after_making_room": 800_000,
    }


def test_on_a_really_full_disk_the_storage_starts_and_reads(
    small_disk: Callable[[str], dict[str, Any]],
) -> None:
    assert small_disk("start_when_full") == {
        "check": "StorageFull",
        "leftovers": [],
        "readable": True,
        "free": 0,
    }


async def test_a_disk_without_room_for_an_empty_file_does_not_stop_the_start(
    storage: LocalStorage, disk: Disk
) -> None:
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    disk.fails = lambda name, subject: (
        OSError(errno.ENOSPC, "full") if name == "open" and str(storage.temp_dir) in subject else None
    )
    await storage.start()
    assert await stored(storage, "ab/abcd.png") == b"picture"


def test_on_a_read_only_disk_the_start_is_refused(small_disk: Callable[[str], dict[str, Any]]) -> None:
    said = small_disk("start_read_only")["error"]
    assert "STORAGE_PATH" in said
    assert "Read-only file system" in said


async def test_below_the_low_water_mark_the_check_complains_and_files_are_still_read(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "artifacts", min_free_bytes=2**60)
    await storage.start()
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    with pytest.raises(StorageFull, match="MIN_FREE_BYTES=1152921504606846976"):
        await storage.check()
    assert await stored(storage, "ab/abcd.png") == b"picture"


# --- file systems that can do less


async def test_a_file_of_another_file_system_is_copied_flushed_and_removed(
    storage: LocalStorage, disk: Disk, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere"
    file.write_bytes(b"picture")
    disk.fails = lambda name, subject: (
        OSError(errno.EXDEV, "other device") if name == "link" and subject == str(file) else None
    )
    await storage.put("ab/abcd.png", file)
    copy = inode(storage.root / "ab/abcd.png")
    assert disk.when("fsync", copy) < next(i for i, call in enumerate(disk.calls) if call[0] == "link")
    assert await stored(storage, "ab/abcd.png") == b"picture"
    assert not file.exists()
    assert list(storage.temp_dir.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
async def test_a_file_system_without_links_stores_too(storage: LocalStorage, disk: Disk, number: int) -> None:
    disk.fail("link", number)
    file = incoming(storage, b"picture")
    await storage.put("ab/abcd.png", file)
    assert await stored(storage, "ab/abcd.png") == b"picture"
    assert list(storage.temp_dir.iterdir()) == []


async def test_a_file_system_without_links_refuses_other_bytes_too(storage: LocalStorage, disk: Disk) -> None:
    disk.fail("link", errno.EPERM)
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    await storage.put("ab/abcd.png", incoming(storage, b"picture"))
    with pytest.raises(Conflict):
        await storage.put("ab/abcd.png", incoming(storage, b"forgery"))
    assert await stored(storage, "ab/abcd.png") == b"picture"


# --- reading


async def test_an_unmounted_disk_is_unavailable_not_empty(storage: LocalStorage) -> None:
    await storage.put("a.bin", incoming(storage, b"picture"))
    storage.root.rename(storage.root.with_name("unmounted"))
    storage.root.mkdir()
    with pytest.raises(Unavailable, match="mounted"):
        await stored(storage, "a.bin")
    with pytest.raises(Unavailable, match="mounted"):
        await storage.stat("a.bin")


async def test_no_blocking_call_is_made_in_the_event_loop(tmp_path: Path, disk: Disk) -> None:
    storage = LocalStorage(tmp_path / "artifacts", min_free_bytes=0)
    disk.threads.clear()
    await storage.start()
    await storage.check()
    file = await asyncio.to_thread(incoming, storage, b"picture")
    await storage.put("ab/abcd.png", file)
    await stored(storage, "ab/abcd.png")
    await storage.stat("ab/abcd.png")
    await storage.delete("ab/abcd.png")
    assert disk.threads
    assert threading.current_thread() not in disk.threads


# --- staying inside


async def put_for_ever(folder: Path) -> None:
    storage = LocalStorage(folder, min_free_bytes=0)
    await storage.start()
    for n in range(100_000):
        await storage.put(f"{n}.bin", incoming(storage, bytes(100_000)))
        print(f"{n}.bin", flush=True)


async def put_too_much(folder: Path) -> dict[str, Any]:
    storage = LocalStorage(folder / "artifacts", min_free_bytes=0)
    await storage.start()
    await storage.put("old.bin", incoming(storage, b"o" * 300_000))
    source = folder.parent / "elsewhere"
    source.write_bytes(b"n" * 800_000)
    try:
        await storage.put("ab/new.bin", source)
        error = None
    except Unavailable as raised:
        error = type(raised).__name__
    result = {
        "error": error,
        "source_kept": source.stat().st_size == 800_000,
        "stored": await storage.stat("ab/new.bin"),
        "leftovers": [path.name for path in storage.temp_dir.iterdir()],
        "old_file_readable": await stored(storage, "old.bin") == b"o" * 300_000,
    }
    await storage.delete("old.bin")
    await storage.put("ab/new.bin", source)
    return {**result, "stored_after_making_room": len(await stored(storage, "ab/new.bin"))}


async def start_when_full(folder: Path) -> dict[str, Any]:
    storage = LocalStorage(folder / "artifacts", min_free_bytes=0)
    await storage.start()
    await storage.put("old.bin", incoming(storage, b"old"))
    with (folder / "filling").open("wb", buffering=0) as filling:
        while await storage.free_bytes():
            filling.write(bytes(4096))
    await storage.start()
    try:
        check = await storage.check()
    except Unavailable as error:
        check = type(error).__name__
    return {
        "check": check,
        "leftovers": [path.name for path in storage.temp_dir.iterdir()],
        "readable": await stored(storage, "old.bin") == b"old",
        "free": await storage.free_bytes(),
    }


async def start_read_only(folder: Path) -> dict[str, Any]:
    await LocalStorage(folder / "artifacts", min_free_bytes=0).start()
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        await LocalStorage(folder / "artifacts", min_free_bytes=0).start()
    except SettingsError as error:
        return {"error": str(error)}
    return {"error": None}


if __name__ == "__main__":
    scenarios = {f.__name__: f for f in (put_for_ever, put_too_much, start_when_full, start_read_only)}
    print(json.dumps(asyncio.run(scenarios[sys.argv[1]](Path(sys.argv[2])))))
