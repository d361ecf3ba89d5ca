"""Colors of the painter: hand-picked palettes, and mixing that keeps them rich."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Color = tuple[int, int, int]


def color(text: str) -> Color:
    """Return the color of `rrggbb`."""
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colors of one picture; all belong together."""

    sky: tuple[Color, ...]  # from the zenith to the horizon
    light: Color  # sun, moon, lamps
    haze: Color  # what far things fade into
    deep: Color  # the nearest, darkest things
    accents: tuple[Color, ...]  # five colors for shapes, none of them near-black
    paper: Color  # the ground of drawn pictures
    leaf: Color  # plants
    dark: bool = False  # stars may show


def _palette(sky: str, tones: str, accents: str, *, dark: bool = False) -> Palette:
    light, haze, deep, paper, leaf = (color(part) for part in tones.split())
    return Palette(
        sky=tuple(color(part) for part in sky.split()),
        light=light,
        haze=haze,
        deep=deep,
        paper=paper,
        leaf=leaf,
        accents=tuple(color(part) for part in accents.split()),
        dark=dark,
    )


# sky from the zenith down; light, haze, deep, paper, leaf; five accents
PALETTES = {
    "dawn": _palette(
        "2f4270 8a6d96 e39a94 f9d2a4",
        "fff3d6 e9b3a6 1c2340 f6e7d8 5d6a7a",
        "e56b6f eaac8b 355070 6d597a fbd9b5",
    ),
    "dusk": _palette(
        "17163b 4b2a6b b4456e f58f5b ffd08a",
        "ffe2a0 c2567a 120e2a f7e3d4 4a3d72",
        "f2545b f7a072 5f3a86 2d3a7c ffd29d",
    ),
    "golden": _palette(
        "5a6f88 b39d8a f0bb72 ffe6ac",
        "fff8e0 e6c08c 2b2a2c f5ead6 66744f",
        "d98e4a b5543c 3f5e6b 7f8f6a f0cf96",
    ),
    "day": _palette(
        "2d6f9f 6fafcd b9dbe0 f2efdf",
        "fffdf2 c1dadd 123544 f4f0e4 2f7a63",
        "f2a65a e4572e 17607d 76b0ab f7dfa4",
    ),
    "night": _palette(
        "050818 0c1838 1c3566 4a6c98",
        "f3f1e2 35588c 03060f e6e6e4 2c5a6e",
        "7aa6d8 f0d9a0 3c5a99 8a78b8 bcd3e8",
        dark=True,
    ),
    "storm": _palette(
        "1d252d 43525d 7f8d90 c9c7b6",
        "f4ecd2 8b9a9d 0f151b e9e7df 4d6660",
        "b8a878 5c7680 d0c9b1 3e4f5c 94a8a4",
    ),
    "snow": _palette(
        "5d83ad 9dbcd6 d3e1e9 f8ece2",
        "fffaf0 dbe6ee 233750 f6f5f2 4f7a86",
        "86a9c8 e8b4a2 3f5f86 b9cddc f2d7c4",
    ),
    "desert": _palette(
        "27485e 7b8c8c e0a26f f9d8a0",
        "fff0cc e9b383 42191a f7ead5 5f6b45",
        "d4703f a63f32 e9b872 2f5d62 f3d3a2",
    ),
    "fire": _palette(
        "0c0508 3a0a12 9c2413 f06a1d ffc05a",
        "ffe9b0 9e2c16 080305 f6e4d2 5a3324",
        "f4591f ffb13b 8f1d14 541320 ffe08a",
        dark=True,
    ),
    "wood": _palette(
        "0d2f30 33665a 84a98c e6ebbe",
        "feffe2 a5c3a0 05181a f1f0df 3f7d52",
        "6b9a6b c9b458 2d5d4f 3a7d7c e4dca4",
    ),
    "autumn": _palette(
        "37304f 84505c d58450 f6cf85",
        "fff1c9 dd9f6c 22131d f5e8d3 6b6a3c",
        "d1602f e6a437 7d2e2e 5b5f4a f2cf8f",
    ),
    "neon": _palette(
        "07021c 22084e 6d1a8f e8448f ff9a8a",
        "c9fbff 7a2bb3 04010f efe6f4 1f8f9a",
        "ff4f9a 3ee7e0 7c3aed 2746c9 ffb36b",
        dark=True,
    ),
    "pastel": _palette(
        "8fa6dd c3b8e6 f3c9da fdeed6",
        "fffdf6 f1d5dd 3f4379 faf3ec 7fb59c",
        "f4a9b8 a8c8e8 c9b3e6 f7d59c 9fd3c3",
    ),
    "lagoon": _palette(
        "04283a 0d5c75 4fa3a5 cfe3cf",
        "fbfff0 7dbab6 021820 eef2e6 1f7f6e",
        "1b8a8f f2b872 0f4c6b e07a5f 9ed2c0",
    ),
    "rose": _palette(
        "3a2449 874a77 d97f94 f8cdbb",
        "fff1e6 e0a0ab 1f1230 f9ebe6 5a7a62",
        "c94f7c f0a6a0 6b3d7a 3f4f8c f9d7c3",
    ),
}


def _to_linear(value: int) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _from_linear(value: float) -> int:
    part = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return min(255, max(0, round(part * 255)))


@lru_cache(maxsize=1024)
def _oklab(rgb: Color) -> tuple[float, float, float]:
    """Return the color in Oklab (Ottosson 2020), where a straight line looks like an even blend."""
    r, g, b = (_to_linear(part) for part in rgb)
    l_ = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    m_ = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    s_ = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * l_ + 0.7936177850 * m_ - 0.0040720468 * s_,
        1.9779984951 * l_ - 2.4285922050 * m_ + 0.4505937099 * s_,
        0.0259040371 * l_ + 0.7827717662 * m_ - 0.8086757660 * s_,
    )


def _rgb(lightness: float, a: float, b: float) -> Color:
    l_ = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m_ = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s_ = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _from_linear(4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_),
        _from_linear(-1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_),
        _from_linear(-0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_),
    )


@lru_cache(maxsize=16384)
def mix(first: Color, second: Color, share: float) -> Color:
    """Return `first` with a `share` (0..1) of `second`, even to the eye."""
    one, two = _oklab(first), _oklab(second)
    lightness, a, b = (x + (y - x) * share for x, y in zip(one, two, strict=True))
    return _rgb(lightness, a, b)


def ramp(stops: Sequence[Color], size: int = 256) -> list[Color]:
    """Return `size` colors that run evenly through the stops."""
    last = len(stops) - 1
    colors = []
    for i in range(size):
        place = i * last / (size - 1)
        at = min(int(place), last - 1) if last else 0
        colors.append(mix(stops[at], stops[min(at + 1, last)], round(place - at, 4)))
    return colors
