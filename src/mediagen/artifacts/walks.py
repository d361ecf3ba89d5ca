"""Ways through the parts of media files: segments, boxes, lengths. The bytes may say anything: nothing raises."""

from collections.abc import Iterator
from typing import BinaryIO

MAX_PARTS = 100_000
"""Parts (chunks, boxes, segments) that are looked at in one file; a PNG of 512 MB has 65,000."""

JPEG_SCAN = 0xDA
_JPEG_BARE = {0x01, 0xD8, *range(0xD0, 0xD8)}  # markers without a length
_FARTHEST = 1 << 62  # no file is so long; beyond, seeking itself raises


def read_at(file: BinaryIO, position: int, count: int) -> bytes:
    """Return up to `count` bytes from `position` on, which a hostile header may have named."""
    if not 0 <= position < _FARTHEST:
        return b""
    try:
        file.seek(position)
    except OSError:  # farther than this file system can count
        return b""
    return file.read(count)


def jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield marker and position of the length field, up to the start of the first scan."""
    position = 2
    for _ in range(MAX_PARTS):
        head = read_at(file, position, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # filling
            position += 1
        elif head[1] in _JPEG_BARE:
            position += 2
        else:
            yield head[1], position + 2
            if head[1] == JPEG_SCAN:
                return
            position += 2 + int.from_bytes(head[2:])


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and stop of the contents of the ISO boxes there. The last may claim to stop later."""
    for _ in range(MAX_PARTS):
        if start + 8 > stop:
            return
        head = read_at(file, start, 16)
        header, length = 8, int.from_bytes(head[:4])
        if length == 1:
            header, length = 16, int.from_bytes(head[8:])
        elif length == 0:
            length = stop - start
        if length < header:
            return
        yield head[4:8], start + header, start + length
        start += length


def ebml_length(data: bytes) -> tuple[int, int]:
    """Return how many bytes a length takes, and the length; none is (0, 0)."""
    width = 9 - data[0].bit_length() if data and data[0] else 0
    return width, int.from_bytes(data[:width]) & ((1 << 7 * width) - 1)
