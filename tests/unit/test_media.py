import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediagen.artifacts import media
from mediagen.artifacts.ends import Ending, ending
from mediagen.artifacts.media import MediaKind, MediaType
from mediagen.artifacts.sizes import dimensions
from mediagen.errors import InvalidMedia

Save = Callable[[bytes], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write bytes to a file whose name claims that they are a PNG, which nobody must believe."""

    def save(data: bytes) -> Path:
        path = tmp_path / "claimed.png"
        path.write_bytes(data)
        return path

    return save


def sniffed(path: Path) -> MediaType:
    with path.open("rb") as file:
        return media.sniff(file.read(media.SNIFF_BYTES), path)


def complete(path: Path, kind: MediaType) -> bool:
    return ending(path, kind) is Ending.WHOLE


def picture(form: str, size: tuple[int, int] = (70, 50), mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    noise = Image.effect_noise(size, 90).convert(mode)
    noise.save(file, form, **options)
    return file.getvalue()


def box(name: bytes, *contents: bytes) -> bytes:
    data = b"".join(contents)
    return struct.pack(">I4s", 8 + len(data), name) + data


def mp4(brand: bytes = b"isom", compatible: bytes = b"isomiso2avc1mp41") -> bytes:
    return (
        box(b"ftyp", brand, bytes(4), compatible)
        + box(b"mdat", bytes(1000))
        + box(b"moov", box(b"mvhd", bytes(100)))
    )


def riff(kind: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + kind + data


def webm(length: bytes = b"\x01" + (500).to_bytes(7), doctype: bytes = b"webm") -> bytes:
    kind = b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    return b"\x1aE\xdf\xa3" + bytes([0x80 | len(kind)]) + kind + b"\x18\x53\x80\x67" + length + bytes(500)


def mp3_frames(count: int = 3) -> bytes:
    return (b"\xff\xfb\x90\x00" + bytes(413)) * count  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz


def id3(tag_bytes: int) -> bytes:
    return b"ID3\x04\0\0" + bytes(tag_bytes >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(tag_bytes)


def glb(data: bytes = bytes(64)) -> bytes:
    return b"glTF" + struct.pack("<II", 2, 12 + len(data)) + data


def ogg(codec: bytes) -> bytes:
    return b"OggS\0\x02" + bytes(20) + b"\x01\x13" + codec + bytes(64)


WAV_FILE = riff(b"WAVE", b"fmt \x10\0\0\0" + bytes(16) + b"data\x04\0\0\0" + bytes(4))

KNOWN: dict[str, tuple[bytes, MediaType]] = {
    "png": (picture("PNG"), media.PNG),
    "jpeg": (picture("JPEG"), media.JPEG),
    "webp": (picture("WEBP"), media.WEBP),
    "lossless webp": (picture("WEBP", lossless=True), media.WEBP),
    "webp with alpha": (picture("WEBP", mode="RGBA"), media.WEBP),
    "gif": (picture("GIF"), media.GIF),
    "avif": (picture("AVIF", speed=10), media.AVIF),
    "mp4": (mp4(), media.MP4),
    "mp4 of another brand": (mp4(b"XAVC", b"XAVCmp42iso2"), media.MP4),
    "mov": (mp4(b"qt  ", b"qt  "), media.MOV),
    "m4a": (mp4(b"M4A ", b"M4A mp42isom"), media.M4A),
    "webm": (webm(), media.WEBM),
    "mp3": (mp3_frames(), media.MP3),
    "mp3 with a tag": (id3(300) + mp3_frames(), media.MP3),
    "mp3 with a cover larger than the head": (id3(100_000) + mp3_frames(), media.MP3),
    "wav": (WAV_FILE, media.WAV),
    "ogg opus": (ogg(b"OpusHead"), media.OGG),
    "ogg vorbis": (ogg(b"\x01vorbis"), media.OGG),
    "flac": (b"fLaC\0\0\0\x22" + bytes(34), media.FLAC),
    "glb": (glb(), media.GLB),
    "text": (b"A cat, sitting.\n", media.TEXT),
    "text in other scripts": ("猫が座っている。 Ünïcode\r\n\ttab".encode(), media.TEXT),
    "json": (b'{"caption": "a cat"}', media.TEXT),
}


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


def png(width: int, height: int) -> bytes:
    """Return a complete PNG of the size, without its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


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
    complete(path, KNOWN[kind][1])
    try:
        dimensions(path, KNOWN[kind][1])
    except InvalidMedia as error:
        assert error.code == "output_invalid"  # noqa: PT017  it may or may not be raised


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
