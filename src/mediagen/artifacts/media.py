"""What a file is, told from its bytes alone; `sizes.py` tells how large, `ends.py` whether its end is there.

Nothing here decodes, and no image library is used: Pillow's openers of WebP and AVIF read the whole file into
memory (13.0: 400 MB for one of 200 MB) and hand hostile bytes to C code, which is for the process of
`thumbnails.py`. All functions, here and there, need little memory whatever the file's size, and block: call
them in a thread.
"""

import codecs
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SNIFF_BYTES = 4096
"""How much of the start of a file `sniff` wants to see."""


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
VTT = MediaType(media_type="text/vtt", extension="vtt", kind=MediaKind.TEXT, inline_safe=False)
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
    try:
        written = codecs.getincrementaldecoder("utf-8")().decode(head).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    if written.lstrip()[:1] in ("", "<") or _CONTROL.search(written):
        return None
    if re.match(r"WEBVTT(?=[ \t\r\n]|$)", written):
        return VTT
    return TEXT if _claims(written.encode()) <= {".json", ".txt", ".vtt"} else None


def _claims(head: bytes) -> set[str]:
    """Return the extensions of the formats that the bytes may be; none when nobody claims them."""
    import puremagic  # 17 ms, and few outputs are text

    try:
        return {claim.extension for claim in puremagic.magic_string(head)}
    except puremagic.PureError:
        return set()
