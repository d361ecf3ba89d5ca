import base64
import io
import os
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from mediagen.artifacts.thumbnails import LONGEST_SIDE, Thumbnailer
from mediagen.errors import InvalidMedia


@pytest.fixture
async def thumbnailer() -> AsyncIterator[Thumbnailer]:
    thumbnailer = Thumbnailer()
    yield thumbnailer
    await thumbnailer.close()


Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save(content: Image.Image | bytes, form: str = "PNG", **options: Any) -> Path:
        path = tmp_path / "source.png"  # whatever it is
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, form, **options)
        return path

    return save


def scene(size: tuple[int, int] = (1000, 500), mode: str = "RGB") -> Image.Image:
    """Return a picture that is red on its left half and blue on its right."""
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def opened(path: Path) -> Image.Image:
    with Image.open(path, formats=["WEBP"]) as image:
        image.load()
        return image


def colour_at(path: Path, x: float, y: float) -> tuple[int, ...]:
    """Return the colour at a place given as parts of width and height."""
    image = opened(path).convert("RGB")
    colour = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(colour, tuple)
    return tuple(round(part / 255) for part in colour)


RED, BLUE, GREEN = (1, 0, 0), (0, 0, 1), (0, 1, 0)


# --- what a thumbnail is


async def test_a_thumbnail_is_a_webp_whose_longest_side_is_640(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path
) -> None:
    made = await thumbnailer.make(save(scene((2000, 1000))), tmp_path / "t.webp")
    assert opened(tmp_path / "t.webp").size == (made.width, made.height) == (LONGEST_SIDE, 320)
    assert made.size_bytes == (tmp_path / "t.webp").stat().st_size


async def test_a_small_image_is_not_enlarged(thumbnailer: Thumbnailer, save: Save, tmp_path: Path) -> None:
    made = await thumbnailer.make(save(scene((40, 20))), tmp_path / "t.webp")
    assert (made.width, made.height) == (40, 20)


@pytest.mark.parametrize("size", [(1, 1), (9000, 1), (1, 9000)])
async def test_an_extreme_shape_has_a_thumbnail(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, size: tuple[int, int]
) -> None:
    made = await thumbnailer.make(save(scene(size)), tmp_path / "t.webp")
    assert opened(tmp_path / "t.webp").size == (made.width, made.height)
    assert 1 <= min(made.width, made.height) <= max(made.width, made.height) <= LONGEST_SIDE


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *((form, mode) for form in ("PNG", "WEBP", "AVIF", "GIF") for mode in ("RGB", "RGBA", "P")),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
    ],
)
async def test_every_format_and_mode_keeps_its_colours(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, form: str, mode: str
) -> None:
    await thumbnailer.make(save(scene(mode=mode), form), tmp_path / "t.webp")
    assert (colour_at(tmp_path / "t.webp", 0.2, 0.5), colour_at(tmp_path / "t.webp", 0.8, 0.5)) == (RED, BLUE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
async def test_grey_images_keep_their_brightness(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, mode: str
) -> None:
    image = Image.new("L", (100, 100), 0)
    image.paste(255, (50, 0, 100, 100))
    if mode == "I;16":
        image = Image.frombytes("I;16", (100, 100), b"".join(bytes((0, v // 2)) for v in image.tobytes()))
    else:
        image = image.convert(mode)
    await thumbnailer.make(save(image), tmp_path / "t.webp")
    grey = opened(tmp_path / "t.webp").convert("L")
    assert grey.getpixel((20, 50)) == pytest.approx(0, abs=8)
    assert grey.getpixel((80, 50)) == pytest.approx(127 if mode == "I;16" else 255, abs=8)


async def test_transparency_is_kept(thumbnailer: Thumbnailer, save: Save, tmp_path: Path) -> None:
    image = Image.new("RGBA", (800, 800), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (400, 0, 800, 800))
    await thumbnailer.make(save(image), tmp_path / "t.webp")
    alpha = opened(tmp_path / "t.webp").getchannel("A")
    assert (alpha.getpixel((100, 300)), alpha.getpixel((500, 300))) == (0, 255)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
async def test_a_turned_photo_is_shown_upright(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, form: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is the right side of the file
    made = await thumbnailer.make(save(scene(), form, exif=exif), tmp_path / "t.webp")
    assert (made.width, made.height) == (320, 640)
    assert (colour_at(tmp_path / "t.webp", 0.5, 0.2), colour_at(tmp_path / "t.webp", 0.5, 0.8)) == (RED, BLUE)


async def test_a_thumbnail_holds_no_metadata(thumbnailer: Thumbnailer, save: Save, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret prompt"
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "secret prompt")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>secret prompt</x:xmpmeta>")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    await thumbnailer.make(save(scene(), exif=exif, pnginfo=text, icc_profile=profile), tmp_path / "t.webp")
    data = (tmp_path / "t.webp").read_bytes()
    assert [name for name in (b"EXIF", b"XMP ", b"ICCP", b"secret") if name in data] == []


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
async def test_an_animation_is_shown_by_its_first_frame(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, form: str
) -> None:
    second = Image.new("RGB", (1000, 500), (0, 255, 0))
    await thumbnailer.make(save(scene(), form, save_all=True, append_images=[second]), tmp_path / "t.webp")
    assert colour_at(tmp_path / "t.webp", 0.2, 0.5) == RED


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_the_placeholder_is_a_tiny_picture_of_at_most_300_characters(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, mode: str
) -> None:
    made = await thumbnailer.make(save(scene(mode=mode)), tmp_path / "t.webp")
    kind, _, data = made.placeholder.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (kind, image.format, image.size) == ("data:image/webp;base64", "WEBP", (16, 8))
    assert len(made.placeholder) <= 300


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_the_placeholder_of_noise_is_small_too(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, mode: str
) -> None:
    noise = Image.frombytes(mode, (16, 16), os.urandom(16 * 16 * len(mode)))
    made = await thumbnailer.make(save(noise), tmp_path / "t.webp")
    assert 100 < len(made.placeholder) <= 300


# --- hostile files


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(side: int, *more: bytes, bits: int = 1) -> bytes:
    """Return a black PNG, with other chunks before the picture."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0))
    rows = zlib.compress(bytes(side * (1 + side * bits // 8)), 9)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zipped_text(size: int) -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9))


def gif(canvas: tuple[int, int], *frames: tuple[int, int]) -> bytes:
    """Return a GIF whose frames claim a size that their one byte of data does not hold."""
    blocks = (b",\0\0\0\0" + struct.pack("<HH", *frame) + b"\0\x02\x02L\x01\0" for frame in frames)
    return b"GIF89a" + struct.pack("<HH", *canvas) + b"\x80\0\0\0\0\0\xff\xff\xff" + b"".join(blocks) + b";"


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def cut(form: str) -> bytes:
    data = encoded(scene(), form)
    return data[: len(data) // 2]


HOSTILE = {
    "a png of 81 megapixels in 10 KB": png(9000),
    "a png of 49 megapixels": png(7000),
    "a png of 3.6 gigapixels": png(8)[:16] + struct.pack(">II", 60_000, 60_000) + png(8)[24:],
    "a gif with a huge canvas": gif((65_535, 65_535), (1, 1)),
    "a gif with a huge frame": gif((1, 1), (65_535, 65_535)),
    "a webp of 268 megapixels": b"RIFF\x3e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xfe\x3f\0" * 2 + bytes(40),
    "a text chunk that unpacks to 200 MB": png(16, zipped_text(200_000_000)),
    "a hundred text chunks of 1 MB": png(16, *[zipped_text(1_000_000)] * 100),
    "a truncated webp": cut("WEBP"),
    "a truncated avif": cut("AVIF"),
    "html": b"<!DOCTYPE html><html><body>502</body></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "a gif that is a script": b"GIF89a/*<script>*/=1;alert(1)//</script>",
    "an image of a format that is not let in": encoded(scene(), "TIFF"),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "zero bytes": bytes(1000),
    "nothing": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_file_is_refused_and_the_next_image_is_drawn(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, data: bytes
) -> None:
    with pytest.raises(InvalidMedia, match=r"source\.png"):
        await thumbnailer.make(save(data), tmp_path / "t.webp")
    assert not (tmp_path / "t.webp").exists()
    assert await thumbnailer.make(save(scene()), tmp_path / "t.webp")


def test_the_bombs_are_small() -> None:
    assert len(HOSTILE["a png of 81 megapixels in 10 KB"]) < 11_000
    assert len(HOSTILE["a gif with a huge frame"]) < 100


async def test_an_error_names_no_folder(thumbnailer: Thumbnailer, save: Save, tmp_path: Path) -> None:
    with pytest.raises(InvalidMedia) as raised:
        await thumbnailer.make(save(b"<html>"), tmp_path / "t.webp")
    assert str(tmp_path) not in str(raised.value)


async def test_a_file_that_is_not_there_is_refused(thumbnailer: Thumbnailer, tmp_path: Path) -> None:
    with pytest.raises(InvalidMedia):
        await thumbnailer.make(tmp_path / "nothing.png", tmp_path / "t.webp")


async def test_frames_after_the_first_cost_nothing(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path
) -> None:
    data = encoded(scene(), "GIF")[:-1] + gif((1, 1), *[(6000, 6000)] * 1000)[19:]
    assert await thumbnailer.make(save(data), tmp_path / "t.webp")


async def test_a_picture_with_an_archive_behind_it_is_drawn(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path
) -> None:
    data = encoded(scene(), "PNG") + b"PK\x03\x04<script>"
    assert await thumbnailer.make(save(data), tmp_path / "t.webp")


async def test_forty_megapixels_are_drawn(thumbnailer: Thumbnailer, save: Save, tmp_path: Path) -> None:
    assert await thumbnailer.make(save(png(6320, bits=8)), tmp_path / "t.webp")


async def test_a_jpeg_of_endless_passes_is_stopped(save: Save, tmp_path: Path) -> None:
    data = encoded(Image.new("L", (4000, 4000), 90), "JPEG", progressive=True)
    last_pass = data[data.rindex(b"\xff\xda") : -2]
    thumbnailer = Thumbnailer(job_timeout_s=1.0)
    with pytest.raises(InvalidMedia, match="too much time"):
        await thumbnailer.make(save(data[:-2] + last_pass * 10_000 + data[-2:]), tmp_path / "t.webp")
    await thumbnailer.close()


async def test_a_jpeg_without_its_end_mark_is_drawn_to_its_last_row(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path
) -> None:
    data = encoded(scene(), "JPEG")
    assert data.endswith(b"\xff\xd9")
    await thumbnailer.make(save(data[:-2]), tmp_path / "t.webp")
    assert (colour_at(tmp_path / "t.webp", 0.2, 0.99), colour_at(tmp_path / "t.webp", 0.8, 0.99)) == (
        RED,
        BLUE,
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
async def test_what_came_of_a_picture_that_is_cut_off_is_drawn(
    thumbnailer: Thumbnailer, save: Save, tmp_path: Path, form: str
) -> None:
    data = encoded(Image.effect_noise((200, 200), 50), form)
    assert await thumbnailer.make(save(data[: len(data) * 2 // 3]), tmp_path / "t.webp")
