"""Small media files of every kind, made here."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

from mediagen.artifacts import media
from mediagen.artifacts.media import MediaType


def png(width: int, height: int) -> bytes:
    """Return a complete PNG of the size, without its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


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
