"""Trouble with the disk is an outage, and the spool holds whatever was made."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.errors import StorageFull, Unavailable
from mediagen.jobs.states import JobState
from mediagen.storages.local import LocalStorage
from mediagen.worker import steps
from tests.fakes.inbox import FILE, SECRET, Inbox, sent
from tests.fakes.scripted import PNG
from tests.unit.conftest import Engine

# --- trouble with the disk


Break = Callable[[pytest.MonkeyPatch, OSError], None]


def refuse(name: str) -> Break:
    def refusing(patch: pytest.MonkeyPatch, error: OSError) -> None:
        def raises(*_: object, **__: object) -> None:
            raise error

        patch.setattr(name, raises)

    return refusing


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(
    "trouble",
    [
        refuse("mediagen.artifacts.parts.mkstemp"),
        refuse("mediagen.artifacts.parts.os.open"),
        refuse("mediagen.artifacts.parts.os.write"),
        refuse("mediagen.artifacts.parts.Path.replace"),
        refuse("mediagen.artifacts.examine.ending"),
        refuse("mediagen.storages.local.os.link"),
        refuse("mediagen.storages.local.flush_file"),
        refuse("mediagen.artifacts.service._retain"),
    ],
    ids=["name", "open", "write", "rename", "read", "store", "flush", "retain"],
)
async def test_trouble_with_the_disk_is_an_outage(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, trouble: Break, code: int
) -> None:
    download = sent(PNG, validator='"one"')
    with monkeypatch.context() as patched:
        trouble(patched, OSError(code, os.strerror(code)))
        refuse("mediagen.storages.local.os.link")(patched, OSError(code, os.strerror(code)))
        with pytest.raises(Unavailable) as failure:
            await inbox.take(download)
        with pytest.raises(Unavailable):
            await inbox.artifacts.spool("call", [PNG])
    assert isinstance(failure.value, StorageFull) == (code in (errno.ENOSPC, errno.EDQUOT))
    if not await inbox.artifacts.resume(inbox.job_id, SECRET, 0):
        await inbox.take(sent(PNG))
    await inbox.artifacts.spool("call", [PNG])
    assert (await inbox.artifacts.spooled("call"), inbox.left()) == ([PNG], [])


# --- the spool


@pytest.mark.parametrize("outputs", [[], [b""], [b"a", b""], [b"a", b"a"], [os.urandom(3_000_000)] * 3])
async def test_the_spool_holds_whatever_was_made(inbox: Inbox, outputs: list[bytes]) -> None:
    assert await inbox.artifacts.spooled("call") is None
    await inbox.artifacts.spool("call", outputs)
    await inbox.artifacts.spool("call", outputs)
    assert await inbox.artifacts.spooled("call") == outputs
    await inbox.artifacts.unspool("call")
    assert await inbox.artifacts.spooled("call") is None
    assert [path for path in (inbox.folder.parent / "spool").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("writes", range(4))
async def test_the_spool_survives_a_kill_between_any_two_writes(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    storage = inbox.artifacts._storage
    put, left = storage.put, [writes]

    async def dying(key: str, file: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        await put(key, file)

    first, second = [b"one", b"two", b"three"], [b"one", b"TWO"]
    monkeypatch.setattr(storage, "put", dying)
    try:
        await inbox.artifacts.spool("call", first)
    except KeyboardInterrupt:
        assert await inbox.artifacts.spooled("call") is None
    monkeypatch.undo()
    await inbox.artifacts.spool("call", second)
    assert await inbox.artifacts.spooled("call") == second


async def test_the_first_that_spools_a_call_has_said_what_was_made(inbox: Inbox) -> None:
    await inbox.artifacts.spool("call", [b"one", b"two"])
    await inbox.artifacts.spool("call", [b"other"])
    assert await inbox.artifacts.spooled("call") == [b"one", b"two"]


# --- a disk that is really full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte, where that is allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_disk_that_is_full_is_an_outage_and_leaves_nothing_behind(
    engine: Engine, small_disk: Path
) -> None:
    storage = LocalStorage(small_disk / "artifacts", 0)
    await storage.start()
    artifacts = ArtifactService(engine.db, storage, Thumbnailer())
    inbox = Inbox(artifacts, await engine.submit(), storage.temp_dir)
    for download in (sent(FILE), sent(FILE, validator='"one"')):
        await inbox.fail(download, StorageFull)
    with pytest.raises(StorageFull):
        await artifacts.spool("call", [FILE])
    assert (inbox.left(), await artifacts.spooled("call")) == ([], None)
    kept = await inbox.take(sent(PNG))
    assert kept.size_bytes == len(PNG)


async def test_a_disk_that_fills_up_while_a_download_goes_on_loses_no_job(
    engine: Engine, small_disk: Path
) -> None:
    storage = LocalStorage(small_disk / "artifacts", 0)
    await storage.start()
    ports = replace(engine.ports, keeper=ArtifactService(engine.db, storage, Thumbnailer()))
    engine.provider.bytes.extend([FILE] * 3)
    job_id = await engine.submit()
    for _ in range(4):
        for job in await engine.claim():
            await steps.run(ports, job)
        engine.provider.end()
        engine.clock.advance(60)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.tries) == (JobState.STORING, 0)
    engine.provider.bytes.clear()
    engine.clock.advance(600)
    for job in await engine.claim():
        await steps.run(ports, job)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED
