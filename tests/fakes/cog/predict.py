"""The model that the tests' Cog server runs: draws discs or stripes, slowly or not at all when told so.

Runs in the server's own environment, which has `cog` and Pillow and nothing of ours.
`openapi_schema.json` beside it is its input schema, as a build of Cog would have written it.
"""

import os
import random
import tempfile
import time

from cog import BaseRunner, Input, Path  # type: ignore[import-not-found]  # only in the server's environment
from PIL import Image, ImageDraw


class Runner(BaseRunner):  # type: ignore[misc]  # its base is unknown here
    """Draw pictures that depend on nothing but the input."""

    def run(
        self,
        prompt: str = Input(description="What to draw; chooses the colors."),
        width: int = Input(default=64, ge=8, le=1024),
        height: int = Input(default=64, ge=8, le=1024),
        seed: int = Input(default=0),
        num_outputs: int = Input(default=1, ge=1, le=4),
        style: str = Input(default="discs", choices=["discs", "stripes"]),
        sleep_s: float = Input(default=0.0, ge=0, le=120, description="Seconds to wait before drawing."),
        fail: str = Input(default="", description="Fail with this text; crash ends the process."),
    ) -> list[Path]:
        print("drawing", prompt)
        _wait(sleep_s)
        if fail == "crash":
            os._exit(1)
        if fail:
            raise ValueError(fail)
        folder = tempfile.mkdtemp()
        files = [Path(f"{folder}/{index}.png") for index in range(num_outputs)]
        for index, file in enumerate(files):
            _draw(random.Random(f"{prompt}/{seed}/{index}"), (width, height), style).save(file)
        return files


def _wait(seconds: float) -> None:
    # In slices, because Cog cancels by an exception that waits for the next line of Python.
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(0.02, left))


def _draw(chance: random.Random, size: tuple[int, int], style: str) -> Image.Image:
    width, height = size
    picture = Image.new("RGB", size, _color(chance))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, r = chance.randrange(width), chance.randrange(height), chance.randrange(2, 4 + width // 4)
        box = (x - r, y - r, x + r, y + r) if style == "discs" else (x, 0, x + r, height)
        (pen.ellipse if style == "discs" else pen.rectangle)(box, fill=_color(chance))
    return picture


def _color(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(256), chance.randrange(256), chance.randrange(256)
