"""What picture a job's parameters ask for. Whatever they are, there is an answer: odd values are bent into range."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mediagen.providers.painting import paint

_LEAST_SIDE, _MOST_SIDE = 64, 2048
_MOST_OUTPUTS = 4
_SEEDS = 2**32
_AREA_SIDE = 1024  # pictures of any shape have about the area of this square
_SIDES_STEP = 64
_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})")
_MOST_RATIO = 4.0
_FORMATS: Final = {"png": "PNG", "webp": "WEBP", "jpeg": "JPEG", "jpg": "JPEG"}
_ENCODING: Final[Mapping[str, Mapping[str, int]]] = {
    "PNG": {"compress_level": 3},  # 6, the default, takes three times as long for nothing (measured)
    "WEBP": {"quality": 88, "method": 2},
    "JPEG": {"quality": 90},
}

PROPERTIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "prompt": {
        "type": "string",
        "title": "Prompt",
        "description": "What to paint. Words such as snow, sea, night, city or portrait choose motif and colors.",
        "examples": ["a lighthouse in a storm", "misty mountains at dawn", "abstract geometric poster"],
    },
    "aspect_ratio": {
        "type": "string",
        "title": "Aspect ratio",
        "description": "Shape of the picture. Width and height win over it.",
        "enum": ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"],
        "default": "1:1",
        "examples": ["16:9"],
    },
    "width": {
        "type": "integer",
        "title": "Width",
        "description": "Width in pixels. Left out, it follows from the aspect ratio: 1024 for 1:1.",
        "minimum": _LEAST_SIDE,
        "maximum": _MOST_SIDE,
        "examples": [1024],
    },
    "height": {
        "type": "integer",
        "title": "Height",
        "description": "Height in pixels. Left out, it follows from the aspect ratio: 1024 for 1:1.",
        "minimum": _LEAST_SIDE,
        "maximum": _MOST_SIDE,
        "examples": [1024],
    },
    "num_outputs": {
        "type": "integer",
        "title": "Number of outputs",
        "description": "How many pictures to paint; each is different.",
        "minimum": 1,
        "maximum": _MOST_OUTPUTS,
        "default": 1,
        "examples": [4],
    },
    "seed": {
        "type": ["integer", "null"],
        "title": "Seed",
        "description": "The same seed and prompt give the same picture again. Left out, each job has its own.",
        "minimum": 0,
        "maximum": _SEEDS - 1,
        "default": None,
        "examples": [42],
    },
    "output_format": {
        "type": "string",
        "title": "Output format",
        "description": "File format of the pictures.",
        "enum": ["png", "webp", "jpeg", "jpg"],
        "default": "png",
        "examples": ["webp"],
    },
}
"""JSON Schema of the parameters that are read here, in the order of a form."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One picture to be painted."""

    prompt: str
    seed: int  # 0..2^32-1
    width: int  # pixels
    height: int
    output_format: str  # one of `png`, `webp`, `jpeg`, `jpg`

    def render(self) -> tuple[bytes, str]:
        """Paint the picture; return its file and media type. Blocks for a tenth of a second or more."""
        encoder = _FORMATS[self.output_format]
        file = io.BytesIO()
        picture = paint(self.prompt, self.seed, self.width, self.height)
        picture.save(file, encoder, **_ENCODING[encoder])
        return file.getvalue(), f"image/{encoder.lower()}"


def read_orders(parameters: Mapping[str, Any], own_seed: int) -> Sequence[Order]:
    """Return the pictures that the parameters ask for; `own_seed` is taken when they name none.

    Numbers out of range are moved to its edge, and values of the wrong kind count as not given.
    """
    prompt, output_format = parameters.get("prompt"), parameters.get("output_format")
    width, height = _size(parameters)
    seed = own_seed if (given := whole(parameters.get("seed"))) is None else given
    known = isinstance(output_format, str) and output_format.lower() in _FORMATS
    return [
        Order(
            prompt=prompt if isinstance(prompt, str) else "",
            seed=(seed + index) % _SEEDS,
            width=width,
            height=height,
            output_format=str(output_format).lower() if known else "png",
        )
        for index in range(_clamped(parameters.get("num_outputs"), 1, _MOST_OUTPUTS, otherwise=1))
    ]


def whole(value: Any) -> int | None:
    """Return the value when it is a finite number, without its fraction; else None."""
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _clamped(value: Any, least: int, most: int, *, otherwise: int) -> int:
    number = whole(value)
    return otherwise if number is None else min(most, max(least, number))


def _size(parameters: Mapping[str, Any]) -> tuple[int, int]:
    match = _RATIO.fullmatch(str(parameters.get("aspect_ratio"))[:16])
    across, down = (int(part) or 1 for part in match.groups()) if match else (1, 1)
    ratio = min(_MOST_RATIO, max(1 / _MOST_RATIO, across / down))
    sides = (_AREA_SIDE * math.sqrt(ratio), _AREA_SIDE / math.sqrt(ratio))
    width, height = (round(side / _SIDES_STEP) * _SIDES_STEP for side in sides)
    return (
        _clamped(parameters.get("width"), _LEAST_SIDE, _MOST_SIDE, otherwise=width),
        _clamped(parameters.get("height"), _LEAST_SIDE, _MOST_SIDE, otherwise=height),
    )
