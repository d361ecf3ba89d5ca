"""Files that are small on the wire and large, endless or nested for whoever takes them at their word."""

import gzip
import io
import struct
import zlib
from collections.abc import Mapping

import brotli
from backports import zstd
from PIL import Image

from tests.security.hostile import File, file_of, raw_file

MEGABYTE = 1_000_000


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *before: bytes, rows: bytes | None = None) -> bytes:
    """Return a PNG of one bit per pixel; without `rows` it holds a single row, whatever it claims."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    data = zlib.compress(bytes(1 + width // 8) if rows is None else rows, 9)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def gif(canvas: tuple[int, int], frame: tuple[int, int], frames: int) -> bytes:
    one = b",\0\0\0\0" + struct.pack("<HH", *frame) + b"\0\x02\x02L\x01\0"
    return b"GIF89a" + struct.pack("<HH", *canvas) + b"\x80\0\0\0\0\0\xff\xff\xff" + one * frames + b";"


def animated(form: str, frames: int) -> bytes:
    pictures = [Image.effect_noise((300, 300), n % 90 + 10).convert("P") for n in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, form, save_all=True, append_images=pictures[1:])
    return file.getvalue()


def webp(width: int, height: int) -> bytes:
    canvas = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 62) + b"WEBPVP8X" + struct.pack("<I", 10) + canvas + bytes(40)


def avif(width: int, height: int) -> bytes:
    size = box(b"ispe", bytes(4), struct.pack(">II", width, height))
    properties = box(b"iprp", box(b"ipco", size))
    return box(b"ftyp", b"avif", bytes(4), b"avifmif1") + box(
        b"meta", bytes(4), box(b"pitm", bytes(6)), properties
    )


def jpeg(width: int, height: int, *, passes: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (64, 64), 90).save(file, "JPEG", progressive=bool(passes))
    data = file.getvalue()
    mark = data.index(b"\xff\xc2" if passes else b"\xff\xc0")
    data = data[: mark + 5] + struct.pack(">HH", height, width) + data[mark + 9 :]
    last_pass = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last_pass * passes + data[-2:]


def nested_boxes(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = box(b"moov", inner)
    return box(b"ftyp", b"isom", bytes(4), b"isom") + inner


def packed(kind: bytes, size: int) -> bytes:
    """Return a chunk of packed text or color profile that unpacks to so many bytes."""
    before = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\x01\0\0\0", b"iCCP": b"profile\0\0"}[kind]
    return chunk(kind, before + zlib.compress(bytes(size), 9))


def answer(*lines: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
        + b"".join(line + b"\r\n" for line in lines)
        + b"\r\n"
    )


ZIPPED = gzip.compress(bytes(100 * MEGABYTE))
LAUGHS = b"<!DOCTYPE x [<!ENTITY a0 'ha'>%s]><svg xmlns='http://www.w3.org/2000/svg'>&a40;</svg>" % b"".join(
    b"<!ENTITY a%d '&a%d;&a%d;'>" % (n + 1, n, n) for n in range(40)
)
CHUNKED = answer(b"Transfer-Encoding: chunked")

KEPT: Mapping[str, File] = {
    "a PNG of 81 megapixels in 10 KB": file_of(png(9000, 9000, rows=bytes(9000 * 1126))),
    "a PNG that claims a gigapixel": file_of(png(31_623, 31_623)),
    "a PNG that claims 3.6 gigapixels": file_of(png(60_000, 60_000)),
    "a PNG that claims all there are": file_of(png(2**31 - 1, 2**31 - 1, rows=b"\0")),
    "a PNG whose rows go on for 500 MB": file_of(png(64, 64, rows=bytes(500 * MEGABYTE))),
    "packed text of 200 MB": file_of(png(16, 16, packed(b"zTXt", 200 * MEGABYTE))),
    "packed international text of 200 MB": file_of(png(16, 16, packed(b"iTXt", 200 * MEGABYTE))),
    "a packed profile of 200 MB": file_of(png(16, 16, packed(b"iCCP", 200 * MEGABYTE))),
    "a hundred packed texts of 1 MB": file_of(png(16, 16, *[packed(b"zTXt", MEGABYTE)] * 100)),
    "a hundred thousand empty chunks": file_of(png(16, 16, *[chunk(b"tEXt", b"")] * 100_000)),
    "a GIF with a canvas of 4 gigapixels": file_of(gif((65_535, 65_535), (1, 1), 1)),
    "a GIF with a frame of 4 gigapixels": file_of(gif((1, 1), (65_535, 65_535), 1)),
    "a GIF of 100,000 frames": file_of(gif((6000, 6000), (6000, 6000), 100_000)),
    "a GIF of 60 frames of noise": file_of(animated("GIF", 60)),
    "a WebP of 268 megapixels": file_of(webp(16_384, 16_384)),
    "a WebP of 281 terapixels": file_of(webp(2**24, 2**24)),
    "an AVIF of 4 gigapixels": file_of(avif(65_536, 65_536)),
    "an AVIF of all there are": file_of(avif(2**32 - 1, 2**32 - 1)),
    "a JPEG of 4 gigapixels": file_of(jpeg(65_500, 65_500)),
    "a JPEG of 20,000 passes": file_of(jpeg(8000, 4000, passes=20_000)),
    "boxes 4,000 deep": file_of(nested_boxes(4000)),
    "a zip in a zip": file_of(gzip.compress(ZIPPED)),
    "an SVG whose entities unfold a trillionfold": file_of(LAUGHS),
    "a picture with 10 MB behind it": file_of(png(16, 16) + bytes(10 * MEGABYTE)),
    "a PNG whose chunk is said to have 2 GB": file_of(
        png(16, 16)[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(100)
    ),
    "text that claims to be packed in five ways": file_of(
        b"x" * MEGABYTE, Content_Encoding="gzip, br, zstd, deflate, aws-chunked"
    ),
    "text of 15 MB on one line": file_of(b"x" * 15 * MEGABYTE),
}
"""Files that are kept as they are; they hurt only who opens them."""

REFUSED: Mapping[str, tuple[File, str]] = {
    "gzip that unpacks to 100 MB": (file_of(ZIPPED, Content_Encoding="gzip"), "fetch_too_large"),
    "gzip in gzip": (file_of(gzip.compress(ZIPPED), Content_Encoding="gzip, gzip"), "fetch_too_large"),
    "brotli that unpacks to 100 MB": (
        file_of(brotli.compress(bytes(100 * MEGABYTE), quality=5), Content_Encoding="br"),
        "fetch_too_large",
    ),
    "zstd that unpacks to 100 MB": (
        file_of(zstd.compress(bytes(100 * MEGABYTE)), Content_Encoding="zstd"),
        "fetch_too_large",
    ),
    "deflate that unpacks to 100 MB": (
        file_of(zlib.compress(bytes(100 * MEGABYTE)), Content_Encoding="deflate"),
        "fetch_too_large",
    ),
    "chunks without an end": (raw_file(CHUNKED, b"10000\r\n" + bytes(65_536) + b"\r\n"), "fetch_too_large"),
    "bytes without an end or a length": (raw_file(answer(), bytes(65_536)), "fetch_too_large"),
    "a length of a petabyte": (raw_file(answer(b"Content-Length: 1000000000000000")), "fetch_too_large"),
    "a length of 30 digits": (raw_file(answer(b"Content-Length: " + b"9" * 30)), "output_lost"),
    "a negative length": (raw_file(answer(b"Content-Length: -1"), b""), "output_lost"),
    "two lengths": (raw_file(answer(b"Content-Length: 1", b"Content-Length: 9") + b"x" * 9), "output_lost"),
    "a length larger than the file": (
        raw_file(answer(b"Content-Length: 9000000") + png(16, 16)),
        "output_lost",
    ),
    "a chunk of 2^64": (raw_file(CHUNKED + b"fffffffffffffffff\r\nx"), "output_lost"),
    "headers without an end": (raw_file(b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyy\r\n" * 1000), "output_lost"),
    "one header without an end": (raw_file(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65_536), "output_lost"),
    "interim answers without an end": (
        raw_file(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        "output_lost",
    ),
    "nothing": (file_of(b""), "output_invalid"),
}
"""Files that are not taken, each with the error that the job ends with."""
