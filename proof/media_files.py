"""Valid files of every kind that mediagen knows, and of some that it does not, small enough for many mutants."""

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from PIL import Image

from mediagen.artifacts import media
from mediagen.artifacts.media import MediaType


def valid_files() -> Mapping[str, tuple[bytes, MediaType]]:
    """Return the files by name, each with what it is."""
    return {**_pictures(), **_films(), **_sounds(), **_others()}


def _pictures() -> dict[str, tuple[bytes, MediaType]]:
    return {
        "png": (_picture("PNG"), media.PNG),
        "png, animated": (_picture("PNG", frames=3), media.PNG),
        "jpeg": (_picture("JPEG", exif=_EXIF), media.JPEG),
        "jpeg, progressive": (_picture("JPEG", progressive=True, icc_profile=bytes(500)), media.JPEG),
        "webp": (_picture("WEBP"), media.WEBP),
        "webp, lossless": (_picture("WEBP", lossless=True), media.WEBP),
        "webp, animated": (_picture("WEBP", frames=3), media.WEBP),
        "gif": (_picture("GIF"), media.GIF),
        "gif, animated": (_picture("GIF", frames=3, comment=b"three frames"), media.GIF),
        "avif": (_picture("AVIF", speed=10), media.AVIF),
    }


_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"


def _picture(form: str, *, frames: int = 1, **options: Any) -> bytes:
    pictures = [Image.effect_noise((40, 30), 30 + 20 * number).convert("RGB") for number in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    file = io.BytesIO()
    pictures[0].save(file, form, **more, **options)
    return file.getvalue()


def _films() -> dict[str, tuple[bytes, MediaType]]:
    return {
        "mp4": (_iso(b"isom", b"isomiso2avc1mp41"), media.MP4),
        "mp4, moov first": (_iso(b"mp42", b"mp42isom", moov_first=True), media.MP4),
        "mp4, in fragments": (_fragments(), media.MP4),
        "mov": (_iso(b"qt  ", b"qt  "), media.MOV),
        "webm": (_webm(), media.WEBM),
    }


def _box(name: bytes, *contents: bytes) -> bytes:
    data = b"".join(contents)
    return struct.pack(">I4s", 8 + len(data), name) + data


def _iso(brand: bytes, compatible: bytes, *, moov_first: bool = False) -> bytes:
    track = _box(b"trak", _box(b"tkhd", bytes(84)), _box(b"mdia", _box(b"mdhd", bytes(24))))
    moov, mdat = _box(b"moov", _box(b"mvhd", bytes(100)), track), _box(b"mdat", bytes(range(250)) * 4)
    rest = moov + mdat if moov_first else _box(b"free") + mdat + moov
    return _box(b"ftyp", brand, bytes(4), compatible) + rest


def _fragments() -> bytes:
    fragment = (
        _box(b"moof", _box(b"mfhd", bytes(8))) + struct.pack(">I4sQ", 1, b"mdat", 16 + 300) + bytes(300)
    )
    return _box(b"ftyp", b"iso5", bytes(4), b"iso5dash") + _box(b"moov", bytes(100)) + 3 * fragment


def _webm() -> bytes:
    kind = b"\x42\x86\x81\x01\x42\x82\x84webm"
    head = b"\x1aE\xdf\xa3" + bytes([0x80 | len(kind)]) + kind
    return head + b"\x18\x53\x80\x67\x01" + (800).to_bytes(7) + bytes(range(200)) * 4


def _sounds() -> dict[str, tuple[bytes, MediaType]]:
    wave = (
        b"fmt \x10\0\0\0"
        + struct.pack("<HHIIHH", 1, 1, 8000, 16_000, 2, 16)
        + b"data"
        + struct.pack("<I", 1600)
    )
    frames = (b"\xff\xfb\x90\x00" + bytes(413)) * 4
    tag = b"ID3\x04\0\0\0\0\x02\x2c" + bytes(300)
    return {
        "wav": (b"RIFF" + struct.pack("<I", 4 + len(wave) + 1600) + b"WAVE" + wave + bytes(1600), media.WAV),
        "mp3": (frames, media.MP3),
        "mp3 with a tag": (tag + frames, media.MP3),
        "m4a": (_iso(b"M4A ", b"M4A mp42isom"), media.M4A),
        "ogg": (b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x02" + bytes(500), media.OGG),
        "flac": (b"fLaC\0\0\0\x22" + bytes(34) + b"\xff\xf8" + bytes(400), media.FLAC),
    }


def _others() -> dict[str, tuple[bytes, MediaType]]:
    chunk = b'{"asset":{"version":"2.0"}}     '
    glb = struct.pack("<4sIIII", b"glTF", 2, 20 + len(chunk), len(chunk), 0x4E4F534A) + chunk
    return {
        "glb": (glb, media.GLB),
        "text": ("A cat, sitting.\r\n\t猫が座っている。\n".encode() * 20, media.TEXT),
        "json": (b'{"caption": "a cat", "score": 0.5}', media.TEXT),
        "subtitles": (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n", media.VTT),
        "html": (b"<!doctype html><html><script>alert(1)</script></html>", media.OTHER),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', media.OTHER),
        "pdf": (b"%PDF-1.7\n1 0 obj\n" + bytes(300), media.OTHER),
        "zip": (b"PK\x03\x04" + bytes(300), media.OTHER),
        "packed": (zlib.compress(bytes(range(256)) * 4), media.OTHER),
        "tiff": (_picture("TIFF"), media.OTHER),
        "bmp": (_picture("BMP"), media.OTHER),
    }
