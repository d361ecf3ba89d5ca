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
