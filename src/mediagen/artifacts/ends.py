"""Is the end of a file there? Tells a download that was cut short from a whole file that is merely odd."""

from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO

from mediagen.artifacts.media import (
    AVIF,
    GIF,
    GLB,
    JPEG,
    M4A,
    MOV,
    MP4,
    PNG,
    SNIFF_BYTES,
    WAV,
    WEBM,
    WEBP,
    MediaType,
)
from mediagen.artifacts.walks import JPEG_SCAN, MAX_PARTS, boxes, ebml_length, jpeg_segments, read_at


class Ending(Enum):
    """How a file ends. Where a format has no end to look for (MP3, OGG, FLAC, text), and in doubt, it is WHOLE."""

    WHOLE = auto()
    UNMARKED = (
        auto()
    )  # players show it, and writers are known that leave it so; cut off, it would look the same
    CUT = auto()  # a part goes on beyond the end of the file


def ending(path: Path, media: MediaType) -> Ending:
    """Tell how the file ends by its own structure; bytes behind its end do not matter. An empty file is CUT."""
    size = path.stat().st_size
    if not size:
        return Ending.CUT
    check = _CHECKS.get(media)
    if check is None:
        return Ending.WHOLE
    with path.open("rb") as file:
        return check(file, size)


_BLOCK_BYTES = 1024**2
_GIF_BLOCKS = 5_000_000  # of 255 bytes at most; more than a file of the largest size has
_UNKNOWN_FROM = 0x7FFF_0000
"""A RIFF that claims more was written to a pipe: its writer could not know the length. None so long is honest."""

_TOP_BOXES = {*b"ftyp styp pdin moov moof mdat meta free skip wide sidx emsg mfra uuid".split()}


def _png(file: BinaryIO, size: int) -> Ending:
    position = 8
    for _ in range(MAX_PARTS):
        if position == size:
            return Ending.UNMARKED
        head = read_at(file, position, 8)
        position += 12 + int.from_bytes(head[:4])
        if len(head) < 8 or position > size:
            return Ending.CUT
        if head[4:] == b"IEND":
            return Ending.WHOLE
    return Ending.WHOLE


def _jpeg(file: BinaryIO, size: int) -> Ending:
    # Within the picture's data 0xFF is always escaped, so the mark behind its start is the real one.
    scan = next((start for marker, start in jpeg_segments(file) if marker == JPEG_SCAN), size)
    if scan >= size:
        return Ending.CUT
    stop = size
    while stop > scan:
        start = max(scan, stop - _BLOCK_BYTES)
        if b"\xff\xd9" in read_at(file, start, stop - start + 1):
            return Ending.WHOLE
        stop = start
    return Ending.UNMARKED


def _gif(file: BinaryIO, size: int) -> Ending:
    if read_at(file, max(0, size - SNIFF_BYTES), SNIFF_BYTES).rstrip(b"\0\r\n").endswith(b";"):
        return Ending.WHOLE
    position, pictures = _colors(read_at(file, 10, 1), 13), 0
    for _ in range(MAX_PARTS):
        if position >= size:
            # Between two blocks; nothing that is cut off at random ends there.
            return Ending.WHOLE if position == size and pictures else Ending.CUT
        head = read_at(file, position, 10)
        if head[:1] == b";":
            return Ending.WHOLE
        if head[:1] == b"!":
            position = _behind_blocks(file, position + 2, size)
        elif head[:1] == b"," and len(head) == 10:
            position = _behind_blocks(file, _colors(head[9:], position + 10) + 1, size)
            pictures += 1
        else:
            return Ending.WHOLE if pictures else Ending.CUT  # what stands behind the end does not matter
    return Ending.WHOLE


def _colors(flags: bytes, position: int) -> int:
    """Return where a table of colors that starts here stops, if the flags say that there is one."""
    return position + (3 << (flags[0] & 7) + 1) if flags and flags[0] & 0x80 else position


def _behind_blocks(file: BinaryIO, position: int, size: int) -> int:
    """Return where the data blocks that start here stop, behind the empty one; beyond the file when they are cut."""
    file.seek(position)
    for _ in range(_GIF_BLOCKS):
        length = file.read(1)
        if not length:
            return size + 1
        position += 1 + length[0]
        if not length[0]:
            break
        file.seek(position)
    return position


def _webp(file: BinaryIO, size: int) -> Ending:
    stop = _riff_stop(file)
    return Ending.WHOLE if stop <= size or stop >= _UNKNOWN_FROM else Ending.CUT


def _wav(file: BinaryIO, size: int) -> Ending:
    stop = _riff_stop(file)
    if stop <= size or stop >= _UNKNOWN_FROM:
        return Ending.WHOLE
    return Ending.UNMARKED  # players play what is there


def _riff_stop(file: BinaryIO) -> int:
    return 8 + int.from_bytes(file.read(8)[4:], "little")


def _boxes(file: BinaryIO, size: int) -> Ending:
    names: set[bytes] = set()
    for name, _, stop in boxes(file, 0, size):
        if stop > size:
            # What no known box begins with stands behind the end, if all that is needed came before.
            return Ending.CUT if name in _TOP_BOXES or not _playable(names) else Ending.WHOLE
        names.add(name)
    return Ending.WHOLE if _playable(names) else Ending.CUT


def _playable(names: set[bytes]) -> bool:
    return bool(names & {b"moov", b"moof", b"meta"})


def _webm(file: BinaryIO, size: int) -> Ending:
    head = file.read(SNIFF_BYTES)
    segment = 4 + sum(ebml_length(head[4:]))
    if head[segment : segment + 4] != b"\x18\x53\x80\x67":
        return Ending.WHOLE
    width, length = ebml_length(head[segment + 4 :])
    unknown = (1 << 7 * width) - 1  # a live recording
    whole = length == unknown or segment + 4 + width + length <= size
    return Ending.WHOLE if whole else Ending.CUT


def _glb(file: BinaryIO, size: int) -> Ending:
    return Ending.WHOLE if int.from_bytes(file.read(12)[8:], "little") <= size else Ending.CUT


_CHECKS: dict[MediaType, Callable[[BinaryIO, int], Ending]] = {
    PNG: _png,
    JPEG: _jpeg,
    GIF: _gif,
    WEBP: _webp,
    WAV: _wav,
    AVIF: _boxes,
    MP4: _boxes,
    MOV: _boxes,
    M4A: _boxes,
    WEBM: _webm,
    GLB: _glb,
}
