import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediagen.artifacts import media
from mediagen.artifacts.ends import ending
from mediagen.artifacts.media import MediaKind, MediaType
from mediagen.artifacts.sizes import dimensions
from mediagen.errors import InvalidMedia
from tests.fakes.mediafiles import KNOWN, box, id3, mp3_frames, mp4, ogg, picture, png, riff, webm

Save = Callable[[bytes], Path]


def sniffed(path: Path) -> MediaType:
    with path.open("rb") as file:
        return media.sniff(file.read(media.SNIFF_BYTES), path)


@pytest.mark.parametrize(("data", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_a_known_format_is_told_by_its_bytes(save: Save, data: bytes, expected: MediaType) -> None:
    assert sniffed(save(data)) == expected


UNSAFE = {
    "html": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "html without a doctype": b"<html><body>error 502</body></html>",
    "html after space": b"\n\n   <html><body>error</body></html>",
    "script alone": b"<script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg with a declaration": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "xml": b'<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>',
    "pdf": b"%PDF-1.7\n1 0 obj",
    "postscript": b"%!PS-Adobe-3.0",
    "nothing": b"",
    "zero bytes": bytes(5000),
    "random bytes": bytes(range(255, -1, -1)),
    "png signature alone": b"\x89PNG\r\n\x1a\n",
    "png signature before html": b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script></html>",
    "heic": mp4(b"heic", b"mif1heic"),
    "raw photo": mp4(b"crx ", b"crx isom"),
    "matroska": webm(doctype=b"matroska"),
    "ogg video": ogg(b"\x80theora"),
    "riff of another kind": riff(b"AVI ", bytes(100)),
    "webp without a picture": riff(b"WEBP", b"EXIF" + bytes(100)),
    "an old glb": b"glTF\x01\0\0\0" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
    "executable": b"\x7fELF" + bytes(100),
    "tag of an mp3 before html": id3(10) + b"<html><script>alert(1)</script></html>",
    "one frame of an mp3 before html": mp3_frames(1) + b"<html>",
    "utf-16 text": "<html>".encode("utf-16"),
    "text with an escape code": b"\x1b[2Jhello",
    "text with a null": b"hello\0",
}


@pytest.mark.parametrize("data", UNSAFE.values(), ids=UNSAFE.keys())
def test_all_that_is_not_known_to_be_harmless_is_an_attachment(save: Save, data: bytes) -> None:
    kind = sniffed(save(data))
    assert kind == media.OTHER
    assert (kind.media_type, kind.inline_safe) == ("application/octet-stream", False)


@pytest.mark.parametrize("markup", [b"<svg onload=alert(1)>", b"<html><script>alert(1)</script>"])
def test_text_that_holds_markup_further_on_is_never_shown_inline(save: Save, markup: bytes) -> None:
    assert not sniffed(save(b"see: " + markup)).inline_safe


def test_a_picture_that_is_also_html_is_only_a_picture(save: Save) -> None:
    polyglot = b"GIF89a/*<html><script>*/=1;alert(1)//</script></html>"
    assert sniffed(save(polyglot)).media_type == "image/gif"


def test_bytes_behind_the_picture_do_not_change_what_it_is(save: Save) -> None:
    assert sniffed(save(picture("PNG") + b"PK\x03\x04<html>")) == media.PNG


def test_text_cut_within_a_letter_is_text(save: Save) -> None:
    assert sniffed(save("ä".encode() * media.SNIFF_BYTES)) == media.TEXT
    assert media.sniff(b"x" + "ä".encode() * 10 + b"\xc3", Path()) == media.TEXT


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_become_something_else_than_a_listed_type(data: bytes) -> None:
    kind = media.sniff(data, Path("/dev/null"))
    assert kind.inline_safe <= (kind.kind in (MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.AUDIO))
    assert not kind.media_type.startswith(("text/html", "image/svg", "text/xml", "application/x"))


# --- size in pixels

SIZES = [(1, 1), (70, 50), (513, 3), (2, 1025)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_the_size_is_the_one_that_pillow_reads(
    save: Save, form: str, size: tuple[int, int], mode: str
) -> None:
    if (form, mode) == ("JPEG", "RGBA"):
        mode = "CMYK"
    path = save(picture(form, size, mode))
    with Image.open(path) as image:
        assert dimensions(path, sniffed(path)) == image.size == size


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000)}),
        ("JPEG", {"icc_profile": bytes(200_000)}),
        ("WEBP", {"lossless": True}),
        ("PNG", {"icc_profile": bytes(1000)}),
        ("AVIF", {"icc_profile": bytes(1000), "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    ],
)
def test_what_stands_before_the_size_is_passed_over(save: Save, form: str, options: dict[str, Any]) -> None:
    path = save(picture(form, (70, 50), **options))
    assert dimensions(path, sniffed(path)) == (70, 50)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_has_the_size_of_its_canvas(save: Save, form: str) -> None:
    frames = [Image.effect_noise((70, 50), n).convert("RGB") for n in (10, 50, 90)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    path = save(file.getvalue())
    assert dimensions(path, sniffed(path)) == (70, 50)


def test_the_size_of_a_tiled_avif_is_that_of_the_whole(save: Save) -> None:
    sizes = [box(b"ispe", bytes(4), struct.pack(">II", *size)) for size in ((64, 64), (120, 100), (16, 12))]
    properties = box(b"iprp", box(b"ipco", *sizes))
    data = mp4(b"avif", b"avifmif1") + box(b"meta", bytes(4), box(b"pitm", bytes(6)), properties)
    assert dimensions(save(data), media.AVIF) == (120, 100)


def test_an_avif_whose_last_box_goes_on_to_the_end_has_its_size(save: Save) -> None:
    properties = box(b"iprp", box(b"ipco", box(b"ispe", bytes(4), struct.pack(">II", 64, 48))))
    data = mp4(b"avif", b"avif") + struct.pack(">I4s", 0, b"meta") + bytes(4) + properties
    assert dimensions(save(data), media.AVIF) == (64, 48)


def test_filling_between_the_parts_of_a_jpeg_is_passed_over(save: Save) -> None:
    before, mark, after = KNOWN["jpeg"][0].partition(b"\xff\xc0")
    assert dimensions(save(before + b"\xff" * 5 + mark + after), media.JPEG) == (70, 50)


def test_the_scaling_hint_of_a_webp_is_no_part_of_its_size(save: Save) -> None:
    data = bytearray(KNOWN["webp"][0])
    data[27] |= 0x40
    data[29] |= 0x80
    assert dimensions(save(bytes(data)), media.WEBP) == (70, 50)


@pytest.mark.parametrize("kind", ["mp4", "mp3", "text", "glb"])
def test_what_is_no_image_has_no_size(save: Save, kind: str) -> None:
    data, expected = KNOWN[kind]
    assert dimensions(save(data), expected) is None


def test_an_absurd_size_is_read_as_nothing_is_decoded(save: Save) -> None:
    assert dimensions(save(png(60_000, 60_000)), media.PNG) == (60_000, 60_000)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "lossless webp", "gif", "avif"])
def test_a_file_that_ends_within_its_header_is_invalid(save: Save, kind: str) -> None:
    data, expected = KNOWN[kind]
    header_bytes = {"png": 20, "jpeg": 100, "webp": 28, "lossless webp": 23, "gif": 8, "avif": 100}[kind]
    with pytest.raises(InvalidMedia, match="header of the image"):
        dimensions(save(data[:header_bytes]), expected)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png(0, 5), media.PNG),
        (png(5, 0), media.PNG),
        (b"GIF89a" + bytes(20), media.GIF),
        (b"\xff\xd8\xff" + bytes(100), media.JPEG),
        (b"\xff\xd8" + b"\xff" * 100_000, media.JPEG),
        (b"\xff\xd8\xff\xe0\0\0" * 100, media.JPEG),
        (b"\xff\xd8\xff\xda\0\0", media.JPEG),
        (mp4(b"avif", b"avif"), media.AVIF),
        (riff(b"WEBP", b"VP8 " + bytes(100)), media.WEBP),
    ],
)
def test_a_header_without_a_size_is_invalid(save: Save, data: bytes, kind: MediaType) -> None:
    with pytest.raises(InvalidMedia):
        dimensions(save(data), kind)


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(), kind=st.sampled_from(["png", "jpeg", "webp", "gif", "avif", "mp4", "webm", "glb", "wav"])
)
def test_damaged_files_raise_nothing_but_invalid_media(
    data: st.DataObject, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(KNOWN[kind][0])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    media.sniff(bytes(damaged), path)
    ending(path, KNOWN[kind][1])
    try:
        dimensions(path, KNOWN[kind][1])
    except InvalidMedia as error:
        assert error.code == "output_invalid"  # noqa: PT017  it may or may not be raised
