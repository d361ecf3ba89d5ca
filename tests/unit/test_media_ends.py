"""Is the end of a file there? What is merely odd is not cut off."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediagen.artifacts import media
from mediagen.artifacts.ends import Ending, ending
from mediagen.artifacts.media import MediaKind, MediaType
from mediagen.artifacts.sizes import dimensions
from mediagen.errors import InvalidMedia
from tests.fakes.mediafiles import KNOWN, WAV_FILE, box, mp4, picture, png, webm

Save = Callable[[bytes], Path]


def sniffed(path: Path) -> MediaType:
    with path.open("rb") as file:
        return media.sniff(file.read(media.SNIFF_BYTES), path)


def complete(path: Path, kind: MediaType) -> bool:
    return ending(path, kind) is Ending.WHOLE


# --- is the end there?


@pytest.mark.parametrize(("data", "kind"), KNOWN.values(), ids=KNOWN.keys())
def test_a_whole_file_is_complete(save: Save, data: bytes, kind: MediaType) -> None:
    assert complete(save(data), kind)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (700, 900)])
def test_a_whole_image_is_complete(save: Save, form: str, size: tuple[int, int]) -> None:
    path = save(picture(form, size))
    assert complete(path, sniffed(path))


ENDING = ["png", "jpeg", "webp", "lossless webp", "gif", "avif", "mp4", "mov", "m4a", "webm", "wav", "glb"]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.97, -4, -1])
@pytest.mark.parametrize("kind", ENDING)
def test_a_file_cut_short_is_not_complete(save: Save, kind: str, kept: float) -> None:
    data, expected = KNOWN[kind]
    stop = int(kept * len(data)) if kept > 0 else int(kept)
    if (kind, kept) == ("gif", -1):
        stop -= 1  # without its last byte alone it is a file that some write
    assert not complete(save(data[:stop]), expected)


def test_a_cut_jpeg_is_noticed_although_the_preview_in_it_ends(save: Save) -> None:
    preview = picture("JPEG", (16, 16))
    whole = picture("JPEG", (300, 300), exif=b"Exif\0\0" + preview)
    assert preview in whole
    assert complete(save(whole), media.JPEG)
    assert not complete(save(whole[:-100]), media.JPEG)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif", "mp4", "wav", "glb"])
@pytest.mark.parametrize("more", [bytes(3000), b"\xff" * 5, b"trailing text, and PK\x03\x04"])
def test_bytes_behind_the_end_do_not_matter(save: Save, kind: str, more: bytes) -> None:
    data, expected = KNOWN[kind]
    assert complete(save(data + more), expected)


def test_padding_behind_a_gif_does_not_matter(save: Save) -> None:
    assert complete(save(KNOWN["gif"][0] + bytes(100)), media.GIF)


def test_the_end_of_a_jpeg_is_found_far_before_the_end_of_the_file(save: Save) -> None:
    assert complete(save(KNOWN["jpeg"][0] + bytes(3_000_000)), media.JPEG)


@pytest.mark.parametrize("length", [0, 0x7FFF_FFFF, 0x7FFF_F024, 0xFFFF_FFFF])
def test_a_wav_that_could_not_know_its_length_is_complete(save: Save, length: int) -> None:
    data = b"RIFF" + struct.pack("<I", length) + WAV_FILE[8:]
    assert complete(save(data), media.WAV)


def without_end(form: str, mark: bytes, **options: Any) -> bytes:
    data = picture(form, **options)
    assert data.endswith(mark)
    return data[: -len(mark)]


@pytest.mark.parametrize(
    ("data", "kind", "end"),
    [
        (without_end("JPEG", b"\xff\xd9"), media.JPEG, Ending.UNMARKED),
        (without_end("GIF", b";"), media.GIF, Ending.WHOLE),
        (without_end("PNG", b"\0\0\0\0IEND\xaeB`\x82"), media.PNG, Ending.UNMARKED),
        (b"RIFF" + struct.pack("<I", 5000) + WAV_FILE[8:], media.WAV, Ending.UNMARKED),
        (mp4().replace(b"mdat", b"junk"), media.MP4, Ending.WHOLE),
        (mp4()[:32] + box(b"\xa9xyz", bytes(9)) + mp4()[32:], media.MP4, Ending.WHOLE),
    ],
    ids=["jpeg", "gif", "png", "wav", "mp4 without media", "mp4 with a box of its own"],
)
def test_a_file_that_plays_although_it_is_odd_is_not_cut(
    save: Save, data: bytes, kind: MediaType, end: Ending
) -> None:
    assert ending(save(data), kind) is end


def test_an_animation_without_its_last_byte_is_complete_and_cut_elsewhere_it_is_not(save: Save) -> None:
    frames = [Image.effect_noise((70, 50), n).convert("L") for n in (10, 50, 90)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], comment=b"three frames")
    data = file.getvalue()[:-1]
    assert complete(save(data), media.GIF)
    assert not complete(save(data[:-1]), media.GIF)
    assert not complete(save(data[: len(data) // 2]), media.GIF)


HUGE = struct.pack(">I4sQ", 1, b"meta", 2**64 - 1)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 8 + bytes(9), media.PNG),
        (mp4(b"avif", b"avif") + HUGE + bytes(40), media.AVIF),
        (mp4(b"avif", b"avif")[:20] + HUGE + box(b"iprp", HUGE), media.AVIF),
        (mp4()[:32] + HUGE.replace(b"meta", b"mdat"), media.MP4),
        (webm(length=b"\x01" + b"\xfe" * 7), media.WEBM),
    ],
    ids=["png", "avif", "avif within", "mp4", "webm"],
)
def test_a_header_with_absurd_numbers_is_damage_and_nothing_worse(
    save: Save, data: bytes, kind: MediaType
) -> None:
    path = save(data)
    assert ending(path, kind) is not Ending.WHOLE
    if kind.kind is MediaKind.IMAGE:
        with pytest.raises(InvalidMedia, match="header of the image"):
            dimensions(path, kind)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfhello", media.TEXT),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n", media.VTT),
        (b"\xef\xbb\xbfWEBVTT - a title\r\n", media.VTT),
        (b"WEBVTTonly", media.TEXT),
        (b"\xef\xbb\xbf<html>", media.OTHER),
    ],
)
def test_text_is_told_by_how_it_begins(save: Save, data: bytes, expected: MediaType) -> None:
    assert sniffed(save(data)) == expected


def test_a_live_webm_is_complete(save: Save) -> None:
    assert complete(save(webm(length=b"\x01" + b"\xff" * 7)), media.WEBM)


def test_an_mp4_whose_last_part_goes_on_to_the_end_is_complete(save: Save) -> None:
    start = box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"moov", bytes(100))
    assert complete(save(start + struct.pack(">I4s", 0, b"mdat") + bytes(50)), media.MP4)


def test_an_mp4_with_a_64_bit_length_is_measured(save: Save) -> None:
    start = box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"moov", bytes(100))
    data = start + struct.pack(">I4sQ", 1, b"mdat", 16 + 50) + bytes(50)
    assert complete(save(data), media.MP4)
    assert not complete(save(data[:-1]), media.MP4)


@pytest.mark.parametrize("kind", [*(kind for _, kind in KNOWN.values()), media.OTHER])
def test_an_empty_file_is_never_complete(save: Save, kind: MediaType) -> None:
    assert not complete(save(b""), kind)


def test_a_png_of_endless_empty_parts_is_given_up_on(save: Save) -> None:
    path = save(png(1, 1)[:33] + (bytes(4) + b"tEXt" + bytes(4)) * 200_000)
    assert complete(path, media.PNG)


@pytest.mark.parametrize(("data", "kind"), KNOWN.values(), ids=KNOWN.keys())
def test_types_are_inline_safe_by_name_as_by_content(data: bytes, kind: MediaType) -> None:
    assert media.inline_safe(kind.media_type) == kind.inline_safe
