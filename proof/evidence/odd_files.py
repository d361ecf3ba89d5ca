"""Files that every player shows although something at their head or end is odd."""

import io
import struct
import wave
import zlib

from PIL import Image


def _picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 80, 20)).save(file, kind)
    return file.getvalue()


def jpeg_without_end() -> bytes:
    return _picture("JPEG").removesuffix(b"\xff\xd9")


def gif_without_trailer() -> bytes:
    return _picture("GIF").removesuffix(b";")


def streamed_wav() -> bytes:
    """Return speech whose header says 2 GiB, as services write it that do not know the length yet."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    data = bytearray(file.getvalue())
    data[4:8] = struct.pack("<I", 0x7FFFFFFF)
    data[40:44] = struct.pack("<I", 0x7FFFFFFF - 36)
    return bytes(data)


def huge_png() -> bytes:
    """Return a PNG that says it is 2^31 + 5 pixels wide."""
    data = bytearray(_picture("PNG"))
    data[16:20] = struct.pack(">I", 2**31 + 5)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def _box(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(data)) + name + data


def mp4_with_unknown_box() -> bytes:
    """Return a film with a box before `moov` that nobody knows; players skip it."""
    head = _box(b"ftyp", b"isom" + bytes(4) + b"isommp41")
    return (
        head + _box(b"beam", bytes(40)) + _box(b"moov", _box(b"mvhd", bytes(100))) + _box(b"mdat", bytes(500))
    )


def avif_with_huge_box() -> bytes:
    """Return an AVIF in whose `meta` a box says, in 64 bits, that it ends far outside of every disk."""
    huge = struct.pack(">I", 1) + b"iprp" + struct.pack(">Q", 2**64 - 16)
    return _box(b"ftyp", b"avif" + bytes(4) + b"avifmif1") + _box(b"meta", bytes(4) + huge + bytes(64))
