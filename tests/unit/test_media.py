import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediagen.artifacts import media
from mediagen.artifacts.media import MediaKind, MediaType
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


def picture(form: str, size: tuple[int, int] = (70, 50), mode: str = "RGB", **options: object) -> bytes:
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
        assert media.dimensions(path, sniffed(path)) == image.size == size


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
def test_what_stands_before_the_size_is_passed_over(
    save: Save, form: str, options: dict[str, object]
) -> None:
    path = save(picture(form, (70, 50), **options))
    assert media.dimensions(path, sniffed(path)) == (70, 50)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_has_the_size_of_its_canvas(save: Save, form: str) -> None:
    frames = [Image.effect_noise((70, 50), n).convert("RGB") for n in (10, 50, 90)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    path = save(file.getvalue())
    assert media.dimensions(path, sniffed(path)) == (70, 50)


def test_the_size_of_a_tiled_avif_is_that_of_the_whole() -> None:
    pass


@pytest.mark.parametrize("kind", ["mp4", "mp3", "text", "glb"])
def test_what_is_no_image_has_no_size(save: Save, kind: str) -> None:
    data, expected = KNOWN[kind]
    assert media.dimensions(save(data), expected) is None


def test_an_absurd_size_is_read_and_costs_nothing(save: Save) -> None:
    path = save(png(60_000, 60_000, b""))
    assert media.dimensions(path, media.PNG) == (60_000, 60_000)


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
