"""Whatever comes of an output that was paid for is kept; what is odd about it is said."""

import errno
import hashlib
import io
import os
import struct
from pathlib import Path

import pytest
from PIL import Image

from mediagen.artifacts import examine
from mediagen.artifacts.parts import Memory, Part
from mediagen.errors import (
    FetchError,
    FetchPacked,
    FetchTooLarge,
    InvalidMedia,
    StorageFull,
)
from mediagen.ranges import Resume
from tests.fakes.inbox import FILE, SECRET, Inbox, sent
from tests.fakes.scripted import PNG

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
