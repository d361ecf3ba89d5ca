"""The process that decodes images which nobody vouches for. Started by `thumbnails.py`, never imported.

It can use little time and memory, can't write a file, and gets neither our environment nor our open files.
Its argument is the number of seconds that one image may take. Over standard input and output it speaks:

    child   {"ready": true}
    parent  {"source": path, "longest_side": pixels}
    child   {"error": text}
            or {"width": pixels, "height": pixels, "thumbnail": bytes, "placeholder": bytes}

Each is a line of JSON; the last is followed by the bytes of the two WebP files that it announces. The child
ends when its input does, and so does not outlive its parent.
"""

import io
import json
import math
import os
import resource
import signal
import sys
import time
import warnings
from typing import IO

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

# Openers that are imported already keep Pillow from importing its sixty others.
FORMATS = (
    PngImagePlugin.PngImageFile.format,
    JpegImagePlugin.JpegImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
    GifImagePlugin.GifImageFile.format,
    AvifImagePlugin.AvifImageFile.format,
)
MAX_PIXELS = 40_000_000
MEMORY_BYTES = 1024**3
"""A WebP of 40 million pixels took 676 MB (Pillow 13.0)."""

PLACEHOLDER_BYTES = 200
"""A data URI of it has less than 300 characters."""

Answer = tuple[dict[str, object], bytes]


def limit_self() -> None:
    """Give up what an image does not need. What a system can't limit, it does not."""
    hard_limits = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 16,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for limit, value in hard_limits.items():
        try:
            resource.setrlimit(limit, (value, value))
        except (OSError, ValueError):  # macOS refuses some
            continue
    os.nice(10)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def limit_next(seconds: int) -> None:
    """Die rather than spend more than this on the next image, be it working or hanging."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(time.process_time()) + seconds
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )
    signal.alarm(2 * seconds)  # for when no parent is left to look at the clock


def answer(line: bytes) -> Answer:
    request = json.loads(line)
    try:
        small = shrink(request["source"], request["longest_side"])
        thumbnail, placeholder = encode(small, 80), tiny(small)
    except Exception as error:  # noqa: BLE001  decoders raise all sorts; the parent tells it as `InvalidMedia`
        text = f"{type(error).__name__}: {error}".replace(request["source"], "the file")
        return {"error": text[:300]}, b""
    lengths = {"thumbnail": len(thumbnail), "placeholder": len(placeholder)}
    return {"width": small.width, "height": small.height, **lengths}, thumbnail + placeholder


def shrink(source: str, longest_side: int) -> Image.Image:
    """Return the first frame, upright, no larger than asked and never enlarged."""
    try:
        with open(source, "rb") as file:
            return shrink_file(file, longest_side)
    except OSError as error:
        if "truncated" not in str(error):
            raise
        # Cut off, or without its end mark, as some write them: what is there can be shown.
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        with Ended(source) as file:
            return shrink_file(file, longest_side)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def shrink_file(file: IO[bytes], longest_side: int) -> Image.Image:
    with Image.open(file, formats=FORMATS) as image:
        image.draft("RGB", (2 * longest_side, 2 * longest_side))
        pixels = in_colour(image)
        pixels.thumbnail((longest_side, longest_side), reducing_gap=2.0)
        return ImageOps.exif_transpose(pixels)


class Ended(io.FileIO):
    """A file with the end mark of a JPEG behind it: without one the last rows would stay black."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        if data or self.tell() > os.fstat(self.fileno()).st_size or not size:
            return data
        self.seek(1, os.SEEK_CUR)  # so that it comes once
        return b"\xff\xd9"


def in_colour(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":  # a plain conversion would clip, not scale: depth maps would come out white
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def encode(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, method=2)
    return file.getvalue()


def tiny(image: Image.Image) -> bytes:
    """Return the best placeholder that is small enough."""
    for side, quality in ((16, 60), (16, 20), (12, 10), (8, 5), (4, 0)):
        copy = image.copy()
        copy.thumbnail((side, side))
        file = encode(copy, quality)
        if len(file) <= PLACEHOLDER_BYTES:
            break
    return file


def serve(seconds: int) -> None:
    """Answer request after request until the input ends or nobody reads the answers."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    header: dict[str, object] = {"ready": True}
    files = b""
    while True:
        answers.write(json.dumps(header).encode() + b"\n" + files)
        answers.flush()
        signal.alarm(0)
        line = requests.readline()
        if not line:
            return
        limit_next(seconds)
        header, files = answer(line)


if __name__ == "__main__":
    limit_self()
    try:
        serve(int(sys.argv[1]))
    except BrokenPipeError:
        os._exit(0)  # the parent is gone; an ordinary exit would try to write again
