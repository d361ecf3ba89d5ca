"""How large a picture is, in pixels, as its header says. Nothing is decoded, and little is read."""

import struct
from collections.abc import Callable
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from mediagen.artifacts.media import AVIF, GIF, JPEG, PNG, WEBP, MediaType
from mediagen.artifacts.walks import boxes, jpeg_segments, read_at
from mediagen.errors import InvalidMedia

LARGEST = 2**31 - 1
"""Pixels of a side. No format that is shown goes further, nor does an INTEGER of the database."""

_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def dimensions(path: Path, media: MediaType) -> tuple[int, int] | None:
    """Return width and height in pixels as the header of an image says them; None for all but images.

    For an animation it is the canvas. A rotation in the metadata is not applied. The size may be large beyond
    use: nothing was decoded. Raises `InvalidMedia` when the header is damaged or names no possible size.
    """
    reader = _READERS.get(media)
    if reader is None:
        return None
    try:
        with path.open("rb") as file:
            width, height = reader(file)
    except (struct.error, IndexError) as error:
        raise InvalidMedia(f"the header of the {media.media_type} is cut short") from error
    if not width or not height:
        raise InvalidMedia(f"the header of the {media.media_type} names no size")
    if max(width, height) > LARGEST:
        raise InvalidMedia(f"the header of the {media.media_type} names {width} x {height} pixels")
    return width, height


def _png(file: BinaryIO) -> tuple[int, int]:
    return struct.unpack(">II", file.read(24)[16:])


def _gif(file: BinaryIO) -> tuple[int, int]:
    return struct.unpack("<HH", file.read(10)[6:])


def _jpeg(file: BinaryIO) -> tuple[int, int]:
    for marker, start in jpeg_segments(file):
        if marker in _JPEG_FRAMES:
            # behind the length and the bits per sample
            height, width = struct.unpack(">HH", read_at(file, start + 3, 4))
            return width, height
    return 0, 0


def _webp(file: BinaryIO) -> tuple[int, int]:
    head = file.read(30)
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = struct.unpack("<I", head[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _avif(file: BinaryIO) -> tuple[int, int]:
    """Return the largest size named: those of tiles, transparency and previews are no larger."""
    end = file.seek(0, SEEK_END)
    spans = [(0, end)]
    for name, version_bytes in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0), (b"ispe", 4)):
        spans = [
            (start + version_bytes, min(stop, end))
            for span in spans[:4]  # an honest file has one of each
            for found, start, stop in boxes(file, *span)
            if found == name
        ]
    sizes = [struct.unpack(">II", read_at(file, start, 8)) for start, _ in spans]
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


_READERS: dict[MediaType, Callable[[BinaryIO], tuple[int, int]]] = {
    PNG: _png,
    GIF: _gif,
    JPEG: _jpeg,
    WEBP: _webp,
    AVIF: _avif,
}
