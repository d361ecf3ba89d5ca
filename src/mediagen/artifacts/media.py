"""What a file is, told from its bytes alone: its type, its size in pixels, and whether its end is there.

Nothing here decodes, and no image library is used: Pillow's openers of WebP and AVIF read the whole file into
memory (13.0: 400 MB for one of 200 MB) and hand hostile bytes to C code, which is for the process of
`thumbnails.py`. All functions need little memory whatever the file's size, and block: call them in a thread.
"""

import codecs
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from mediagen.errors import InvalidMedia

SNIFF_BYTES = 4096
"""How much of the start of a file `sniff` wants to see."""

_MAX_PARTS = 100_000
"""Parts (chunks, boxes, segments) that are looked at in one file; a PNG of 512 MB has 65,000."""


class MediaKind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    MODEL = "model"  # three-dimensional
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class MediaType:
    """What a file is served as."""

    media_type: str
    extension: str  # without the dot
    kind: MediaKind
    inline_safe: bool  # whether a browser may show it at our own address; else it is an attachment


def _shown(media_type: str, extension: str) -> MediaType:
    kind = MediaKind(media_type.partition("/")[0])
    return MediaType(media_type=media_type, extension=extension, kind=kind, inline_safe=True)


PNG = _shown("image/png", "png")
JPEG = _shown("image/jpeg", "jpg")
WEBP = _shown("image/webp", "webp")
GIF = _shown("image/gif", "gif")
AVIF = _shown("image/avif", "avif")
MP4 = _shown("video/mp4", "mp4")
WEBM = _shown("video/webm", "webm")
MOV = _shown("video/quicktime", "mov")
MP3 = _shown("audio/mpeg", "mp3")
M4A = _shown("audio/mp4", "m4a")
WAV = _shown("audio/wav", "wav")
OGG = _shown("audio/ogg", "ogg")
FLAC = _shown("audio/flac", "flac")
_SHOWN = (PNG, JPEG, WEBP, GIF, AVIF, MP4, WEBM, MOV, MP3, M4A, WAV, OGG, FLAC)
GLB = MediaType(media_type="model/gltf-binary", extension="glb", kind=MediaKind.MODEL, inline_safe=False)
TEXT = MediaType(media_type="text/plain", extension="txt", kind=MediaKind.TEXT, inline_safe=False)
OTHER = MediaType(
    media_type="application/octet-stream", extension="bin", kind=MediaKind.OTHER, inline_safe=False
)


def inline_safe(media_type: str) -> bool:
    """Tell whether a browser may show files of the type at our own address."""
    return any(shown.media_type == media_type for shown in _SHOWN)


def sniff(head: bytes, path: Path) -> MediaType:
    """Return what the file is by its first `SNIFF_BYTES` bytes, whatever anyone claims.

    All that is not on the list above, HTML, SVG, XML and PDF among it, is `OTHER`. The file itself is read
    only where the head does not reach, behind the tag of an MP3.
    """
    for magic, media in _MAGIC:
        if head.startswith(magic):
            return media
    return _riff(head) or _iso(head) or _webm(head) or _ogg(head) or _mp3(head, path) or _text(head) or OTHER


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"fLaC", FLAC),
    (b"glTF\x02\0\0\0", GLB),
)


def _riff(head: bytes) -> MediaType | None:
    if head.startswith(b"RIFF") and head[8:16] in (b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X"):
        return WEBP
    return WAV if head.startswith(b"RIFF") and head[8:12] == b"WAVE" else None


_AVIF_BRANDS = {b"avif", b"avis"}
_STILL_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"crx "}  # share the box format, and no browser
_MP4_BRANDS = {b"isom", b"iso2", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"dash", b"MSNV", b"M4V "}


def _iso(head: bytes) -> MediaType | None:
    if head[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(head[:4]), len(head))
    brands = {head[i : i + 4] for i in (8, *range(16, size - 3, 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    if brands & _STILL_BRANDS:
        return None
    return {b"qt  ": MOV, b"M4A ": M4A, b"M4B ": M4A}.get(head[8:12], MP4 if brands & _MP4_BRANDS else None)


def _webm(head: bytes) -> MediaType | None:
    return WEBM if head.startswith(b"\x1aE\xdf\xa3") and b"\x42\x82\x84webm" in head[:64] else None


def _ogg(head: bytes) -> MediaType | None:
    sound = any(codec in head[:64] for codec in (b"OpusHead", b"\x01vorbis", b"\x7fFLAC"))
    return OGG if sound and head.startswith(b"OggS") else None


def _mp3(head: bytes, path: Path) -> MediaType | None:
    sound = head
    if head[:3] == b"ID3" and len(head) >= 10:
        tag_bytes = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        with path.open("rb") as file:
            file.seek(tag_bytes)
            sound = file.read(SNIFF_BYTES).lstrip(b"\0")  # tags may be padded
    first = _mp3_frame_bytes(sound)
    return MP3 if first and (len(sound) <= first or _mp3_frame_bytes(sound[first:])) else None


_MP3_KBITS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),  # MPEG 2 and 2.5, layer III
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),  # MPEG 1, layer III
)
_MP3_HERTZ = (44_100, 48_000, 32_000, 0)


def _mp3_frame_bytes(frame: bytes) -> int:
    """Return the length of the layer III frame that starts here, 0 if none does."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:
        return 0
    version = frame[1] >> 3 & 3  # 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5
    kbits, hertz = _MP3_KBITS[version == 3][frame[2] >> 4], _MP3_HERTZ[frame[2] >> 2 & 3]
    if version == 1 or not kbits or not hertz:
        return 0
    hertz //= {3: 1, 2: 2, 0: 4}[version]
    return (144_000 if version == 3 else 72_000) * kbits // hertz + (frame[2] >> 1 & 1)


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def _text(head: bytes) -> MediaType | None:
    """Accept UTF-8 without control characters that no other format claims: HTML and XML are text too."""
    import puremagic  # 17 ms, and few outputs are text

    try:
        written = codecs.getincrementaldecoder("utf-8")().decode(head)
        if written.lstrip()[:1] in ("", "<") or _CONTROL.search(written):
            return None
        claims = {claim.extension for claim in puremagic.magic_string(head)}
        return TEXT if claims <= {".json", ".txt"} else None
    except puremagic.PureError:
        return TEXT
    except UnicodeDecodeError:
        return None


# --- size in pixels


def dimensions(path: Path, media: MediaType) -> tuple[int, int] | None:
    """Return width and height in pixels as the header of an image says them; None for all but images.

    For an animation it is the canvas. A rotation in the metadata is not applied. The size may be absurd:
    nothing was decoded. Raises `InvalidMedia` when the header is damaged or a side is 0.
    """
    reader = _SIZE_READERS.get(media)
    if reader is None:
        return None
    try:
        with path.open("rb") as file:
            width, height = reader(file)
    except (struct.error, IndexError) as error:
        raise InvalidMedia(f"{path.name!r} ends within the header of its {media.media_type}") from error
    if not width or not height:
        raise InvalidMedia(f"{path.name!r} is no readable {media.media_type}: its header names no size")
    return width, height


def _png_size(file: BinaryIO) -> tuple[int, int]:
    return struct.unpack(">II", file.read(24)[16:])


def _gif_size(file: BinaryIO) -> tuple[int, int]:
    return struct.unpack("<HH", file.read(10)[6:])


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    for marker, start in _jpeg_segments(file):
        if marker in _JPEG_FRAMES:
            file.seek(start + 3)  # behind the length and the bits per sample
            height, width = struct.unpack(">HH", file.read(4))
            return width, height
    return 0, 0


def _webp_size(file: BinaryIO) -> tuple[int, int]:
    head = file.read(30)
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = struct.unpack("<I", head[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _avif_size(file: BinaryIO) -> tuple[int, int]:
    """Return the largest size named: those of tiles, transparency and previews are no larger."""
    spans = [(0, file.seek(0, SEEK_END))]
    for name, version_bytes in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0), (b"ispe", 4)):
        spans = [
            (start + version_bytes, stop)
            for span in spans[:4]  # an honest file has one of each
            for found, start, stop in _boxes(file, *span)
            if found == name
        ]
    sizes = [(0, 0)]
    for start, _ in spans:
        file.seek(start)
        sizes.append(struct.unpack(">II", file.read(8)))
    return max(sizes, key=lambda size: size[0] * size[1])


_SIZE_READERS: dict[MediaType, Callable[[BinaryIO], tuple[int, int]]] = {
    PNG: _png_size,
    GIF: _gif_size,
    JPEG: _jpeg_size,
    WEBP: _webp_size,
    AVIF: _avif_size,
}


# --- is the end there?


def complete(path: Path, media: MediaType) -> bool:
    """Tell whether the file goes on to where its own structure says it ends; bytes behind that do not matter.

    Notices a download that was cut short. Where a format has no such mark (MP3, OGG, FLAC, text), and in
    doubt, the answer is True; an empty file is never complete.
    """
    size = path.stat().st_size
    ends = _END_CHECKS.get(media)
    if ends is None or not size:
        return size > 0
    with path.open("rb") as file:
        return ends(file, size)


def _png_ends(file: BinaryIO, size: int) -> bool:
    position = 8
    for _ in range(_MAX_PARTS):
        file.seek(position)
        head = file.read(8)
        position += 12 + int.from_bytes(head[:4])
        if len(head) < 8 or position > size:
            return False
        if head[4:] == b"IEND":
            return True
    return True


def _jpeg_ends(file: BinaryIO, size: int) -> bool:
    # Within the picture's data 0xFF is always escaped, so the mark behind its start is the real one.
    scan = next((start for marker, start in _jpeg_segments(file) if marker == _JPEG_SCAN), size)
    stop = size
    while stop > scan:
        start = max(scan, stop - _BLOCK_BYTES)
        file.seek(start)
        if b"\xff\xd9" in file.read(stop - start + 1):
            return True
        stop = start
    return False


def _gif_ends(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - SNIFF_BYTES))
    return file.read().rstrip(b"\0\r\n").endswith(b";")


def _riff_ends(file: BinaryIO, size: int) -> bool:
    length = int.from_bytes(file.read(8)[4:], "little")
    return length in (0, 0xFFFF_FFFF) or 8 + length <= size  # a WAV written to a pipe can't know its length


def _boxes_end(file: BinaryIO, size: int) -> bool:
    names = set()
    for name, _, stop in _boxes(file, 0, size):
        if name not in _TOP_BOXES:  # behind the end
            break
        if stop > size:
            return False
        names.add(name)
    return bool(names & {b"moov", b"moof", b"meta"})


def _webm_ends(file: BinaryIO, size: int) -> bool:
    head = file.read(SNIFF_BYTES)
    segment = 4 + sum(_ebml_length(head[4:]))
    if head[segment : segment + 4] != b"\x18\x53\x80\x67":
        return True
    width, length = _ebml_length(head[segment + 4 :])
    unknown = (1 << 7 * width) - 1  # a live recording
    return length == unknown or segment + 4 + width + length <= size


def _glb_ends(file: BinaryIO, size: int) -> bool:
    return int.from_bytes(file.read(12)[8:], "little") <= size


_END_CHECKS: dict[MediaType, Callable[[BinaryIO, int], bool]] = {
    PNG: _png_ends,
    JPEG: _jpeg_ends,
    GIF: _gif_ends,
    WEBP: _riff_ends,
    WAV: _riff_ends,
    AVIF: _boxes_end,
    MP4: _boxes_end,
    MOV: _boxes_end,
    M4A: _boxes_end,
    WEBM: _webm_ends,
    GLB: _glb_ends,
}


# --- walking through formats

_BLOCK_BYTES = 1024**2
_TOP_BOXES = {*b"ftyp styp pdin moov moof mdat meta free skip wide sidx emsg mfra uuid".split()}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
_JPEG_BARE = {0x01, 0xD8, *range(0xD0, 0xD8)}  # markers without a length


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield marker and position of the length field, up to the start of the first scan."""
    position = 2
    for _ in range(_MAX_PARTS):
        file.seek(position)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # filling
            position += 1
        elif head[1] in _JPEG_BARE:
            position += 2
        else:
            yield head[1], position + 2
            if head[1] == _JPEG_SCAN:
                return
            position += 2 + int.from_bytes(head[2:])


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and stop of the contents of the ISO boxes there. The last may claim to stop later."""
    for _ in range(_MAX_PARTS):
        file.seek(start)
        head = file.read(16)
        if start + 8 > stop:
            return
        header, length = 8, int.from_bytes(head[:4])
        if length == 1:
            header, length = 16, int.from_bytes(head[8:])
        elif length == 0:
            length = stop - start
        if length < header:
            return
        yield head[4:8], start + header, start + length
        start += length


def _ebml_length(data: bytes) -> tuple[int, int]:
    """Return how many bytes a length takes, and the length; none is (0, 0)."""
    width = 9 - data[0].bit_length() if data and data[0] else 0
    return width, int.from_bytes(data[:width]) & ((1 << 7 * width) - 1)
