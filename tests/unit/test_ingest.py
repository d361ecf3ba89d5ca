"""Whatever comes of an output that was paid for is kept; what is odd about it is said."""

import errno
import hashlib
import io
import os
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediagen.artifacts import examine
from mediagen.artifacts.model import Artifact
from mediagen.artifacts.parts import Memory, Part
from mediagen.errors import (
    FetchError,
    FetchPacked,
    FetchTooLarge,
    InvalidMedia,
    StorageFull,
    Unavailable,
)
from mediagen.ranges import Resume
from mediagen.safefetch import Download
from tests.fakes.scripted import PNG
from tests.unit.conftest import Engine

SECRET = "s3cret"
FILE = b"RIFF" + struct.pack("<I", 3_000_000) + b"WAVE" + os.urandom(2_999_996)


async def pieces(data: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]
    if error:
        raise error


def sent(data: bytes, error: BaseException | None = None, **more: Any) -> Download:
    """Return a download whose length was announced, unless told otherwise."""
    described = {"size_bytes": len(data), "media_type": None, "framed": True, **more}
    return Download(chunks=pieces(data, error), **described)


class Inbox:
    """One output of one job on its way in."""

    def __init__(self, engine: Engine, job_id: str, folder: Path) -> None:
        self.artifacts = engine.artifacts
        self.job_id = job_id
        self.folder = folder

    async def take(self, download: Download) -> Artifact:
        return await self.artifacts.ingest(self.job_id, SECRET, 0, download)

    async def fail(self, download: Download, error: type[Exception]) -> None:
        with pytest.raises(error):
            await self.take(download)

    async def begun(self) -> Resume | None:
        return await self.artifacts.begun(SECRET, 0)

    async def go_on(self, whole: bytes, error: BaseException | None = None) -> Download:
        """Return what a server that keeps to the rules answers."""
        resume = await self.begun() or Resume()
        rest = whole[resume.offset :]
        validator = resume.validator or '"one"'
        return sent(rest, error, start=resume.offset, size_bytes=len(whole), validator=validator)

    def left(self) -> list[str]:
        return sorted(path.name.partition("-")[0] for path in self.folder.iterdir())


@pytest.fixture
async def inbox(engine: Engine, tmp_path: Path) -> Inbox:
    return Inbox(engine, await engine.submit(), tmp_path / "artifacts" / ".tmp")


# --- odd files


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).save(file, "JPEG")
    return file.getvalue()


def gif() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).save(file, "GIF")
    return file.getvalue()


def box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), name) + data


MP4 = (
    box(b"ftyp", b"isom\0\0\0\0isommp41")
    + box(b"mdat", bytes(999))
    + box(b"junk", bytes(8))
    + box(b"moov", bytes(99))
)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"RIFF\xff\xff\xff\x7fWAVEfmt " + bytes(999), "audio/wav"),
        (b"RIFF\xff\xff\0\0WAVEfmt " + bytes(999), "audio/wav"),
        (jpeg()[:-2], "image/jpeg"),
        (gif()[:-1], "image/gif"),
        (MP4, "video/mp4"),
    ],
    ids=[
        "wav of 2 GiB",
        "wav longer than the file",
        "jpeg without end",
        "gif without trailer",
        "mp4 with junk",
    ],
)
async def test_an_odd_file_that_plays_is_kept_at_once_if_all_of_it_came(
    inbox: Inbox, data: bytes, media_type: str
) -> None:
    kept = await inbox.take(sent(data))
    assert (kept.media_type, kept.size_bytes, kept.doubt) == (media_type, len(data), None)
    assert inbox.left() == []


@pytest.mark.parametrize("data", [PNG[:-20], jpeg()[:-2], MP4[:-50]], ids=["png", "jpeg", "mp4"])
async def test_a_file_that_looks_cut_off_is_kept_when_it_comes_again_alike(inbox: Inbox, data: bytes) -> None:
    await inbox.fail(sent(data, framed=False, size_bytes=None), InvalidMedia)
    kept = await inbox.take(sent(data, framed=False, size_bytes=None))
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert "cut off" in (kept.doubt or "")
    assert inbox.left() == []


async def test_a_cut_file_whose_length_was_announced_twice_is_kept_although_its_bytes_differ(
    inbox: Inbox,
) -> None:
    await inbox.fail(sent(MP4[:-50]), InvalidMedia)
    kept = await inbox.take(sent(MP4[:-51] + b"x"))
    assert kept.doubt is not None


async def test_the_whole_file_is_taken_when_it_comes_after_one_that_was_cut(inbox: Inbox) -> None:
    await inbox.fail(sent(PNG[:-20], framed=False, size_bytes=None), InvalidMedia)
    kept = await inbox.take(sent(PNG))
    assert (kept.size_bytes, kept.doubt, inbox.left()) == (len(PNG), None, [])


async def test_the_longest_cut_file_is_kept_when_nothing_better_comes(inbox: Inbox) -> None:
    for data in (MP4[:-50], MP4[:-20], MP4[:-30]):
        await inbox.fail(sent(data, framed=False, size_bytes=None), InvalidMedia)
    resumed = [await inbox.artifacts.resume(inbox.job_id, SECRET, 0) for _ in range(5)]
    assert resumed == [False, False, False, False, True]
    assert inbox.left() == []


async def test_bytes_that_are_here_are_never_waited_for(inbox: Inbox) -> None:
    kept = await inbox.take(sent(MP4[:-50], here=True))
    assert "cut off" in (kept.doubt or "")


async def test_an_empty_output_is_never_kept(inbox: Inbox) -> None:
    for _ in range(3):
        await inbox.fail(sent(b""), InvalidMedia)
    assert inbox.left() == []


async def test_absurd_sizes_are_no_sizes_and_no_reason_to_lose_it(inbox: Inbox) -> None:
    kept = await inbox.take(sent(PNG.replace(b"IHDR\0\0\0\1", b"IHDR\xff\xff\xff\xff")))
    assert (kept.media_type, kept.width, kept.height) == ("image/png", None, None)
    assert "4294967295 x 1 pixels" in (kept.doubt or "")


@pytest.mark.parametrize(
    "error", [RuntimeError("bug"), OverflowError(), OSError(errno.EINVAL, "bad position")]
)
@pytest.mark.parametrize("place", ["_sniffed", "ending", "dimensions"])
async def test_a_mistake_of_ours_in_looking_at_a_file_loses_nothing(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(examine, place, broken)
    kept = await inbox.take(sent(PNG))
    assert (kept.size_bytes, kept.doubt) == (len(PNG), "It could not be examined")
    assert (kept.media_type == "application/octet-stream") == (place == "_sniffed")


async def test_a_file_that_could_not_be_unpacked_is_kept_as_it_came(inbox: Inbox) -> None:
    await inbox.fail(sent(b"half", FetchPacked("no gzip")), FetchPacked)
    begun = await inbox.begun()
    assert begun is not None
    assert (begun.as_sent, begun.offset) == (True, 0)
    kept = await inbox.take(sent(b"\x1f\x8b\x08 half", doubt="It came packed"))
    assert (kept.media_type, kept.doubt, inbox.left()) == ("application/octet-stream", "It came packed", [])


async def test_what_a_killed_run_stored_stays_when_the_next_one_gets_other_bytes(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(inbox.artifacts._db, "transact", killed)
        with pytest.raises(KeyboardInterrupt):
            await inbox.take(sent(b"the first"))
    kept = await inbox.take(sent(b"another one"))
    assert (kept.size_bytes, kept.sha256) == (9, hashlib.sha256(b"the first").hexdigest())
    assert b"".join([piece async for piece in inbox.artifacts.read(kept)]) == b"the first"
    assert inbox.left() == []


# --- going on


async def test_a_download_that_breaks_goes_on_from_there(inbox: Inbox) -> None:
    await inbox.fail(
        sent(FILE[:1_800_000], FetchError("reset"), validator='"one"', size_bytes=len(FILE)), FetchError
    )
    begun = await inbox.begun()
    assert begun == Resume(offset=1_800_000, size_bytes=len(FILE), validator='"one"')
    kept = await inbox.take(await inbox.go_on(FILE))
    assert (kept.size_bytes, kept.sha256) == (len(FILE), hashlib.sha256(FILE).hexdigest())
    assert inbox.left() == []


async def test_it_goes_on_as_often_as_it_breaks(inbox: Inbox) -> None:
    for stop in range(500_000, 3_000_000, 500_000):
        download = await inbox.go_on(FILE[:stop], FetchError("reset"))
        await inbox.fail(download.__class__(**{**vars(download), "size_bytes": len(FILE)}), FetchError)
    kept = await inbox.take(await inbox.go_on(FILE))
    assert kept.sha256 == hashlib.sha256(FILE).hexdigest()


async def test_another_file_begins_anew(inbox: Inbox) -> None:
    await inbox.fail(
        sent(FILE[:1_800_000], FetchError("reset"), validator='"one"', size_bytes=len(FILE)), FetchError
    )
    other = bytes(reversed(FILE))
    await inbox.fail(
        sent(other[:70_000], FetchError("reset"), validator='"two"', size_bytes=len(other)), FetchError
    )
    begun = await inbox.begun()
    assert begun == Resume(offset=70_000, size_bytes=len(other), validator='"two"')
    kept = await inbox.take(await inbox.go_on(other))
    assert kept.sha256 == hashlib.sha256(other).hexdigest()


async def test_without_a_validator_nothing_is_left_behind(inbox: Inbox) -> None:
    await inbox.fail(sent(FILE[:70_000], FetchError("reset")), FetchError)
    assert (await inbox.begun(), inbox.left()) == (None, [])


@pytest.mark.parametrize("error", [FetchTooLarge("cap"), StorageFull("full")])
async def test_a_part_that_can_not_help_is_not_kept(inbox: Inbox, error: Exception) -> None:
    await inbox.fail(sent(FILE[:70_000], error, validator='"one"'), type(error))
    begun = await inbox.begun()
    assert begun is None


async def test_what_a_killed_worker_flushed_is_gone_on_from(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediagen.artifacts.parts._CHECKPOINT_BYTES", 1_000_000)
    shelf = inbox.artifacts._shelf(SECRET, 0)
    part = Part(shelf, sent(FILE, validator='"one"'))
    part.begin()
    part.add(FILE[:1_500_000])
    part.add(FILE[1_500_000:1_600_000])  # not flushed any more
    os.close(part._fd)  # as the kernel does for whoever is killed
    begun = await inbox.begun()
    assert begun == Resume(offset=1_500_000, size_bytes=len(FILE), validator='"one"')
    kept = await inbox.take(await inbox.go_on(FILE))
    assert kept.sha256 == hashlib.sha256(FILE).hexdigest()


async def test_two_that_receive_the_same_output_never_write_to_one_file(inbox: Inbox) -> None:
    shelf = inbox.artifacts._shelf(SECRET, 0)
    late = Part(shelf, sent(FILE, validator='"one"'))
    late.begin()
    late.add(FILE[:1000])
    kept = await inbox.take(sent(FILE, validator='"one"'))
    late.add(b"too late")
    late.leave(b"", FetchError("stopped"))
    assert b"".join([piece async for piece in inbox.artifacts.read(kept)]) == FILE


async def test_a_rest_whose_beginning_another_worker_holds_is_tried_again(inbox: Inbox) -> None:
    await inbox.fail(
        sent(FILE[:70_000], FetchError("reset"), validator='"one"', size_bytes=len(FILE)), FetchError
    )
    rest = await inbox.go_on(FILE)
    holder = Part(inbox.artifacts._shelf(SECRET, 0), await inbox.go_on(FILE))
    holder.begin()
    await inbox.fail(rest, FetchError)
    holder.leave(b"", FetchError("stopped"))
    assert (await inbox.take(await inbox.go_on(FILE))).size_bytes == len(FILE)


@pytest.mark.parametrize(
    "notes", [b"", b"{", b"[]", b"null", b'{"part_bytes": "x"}', b'{"other": 1}', b"\xff"]
)
def test_damaged_notes_say_nothing(tmp_path: Path, notes: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(notes)
    assert Memory.read(path) == Memory()


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
