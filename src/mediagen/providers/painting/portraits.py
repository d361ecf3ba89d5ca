"""A head and shoulders in cut paper."""

import math
from collections.abc import Sequence

from PIL import ImageChops

from mediagen.providers.painting.brushes import Canvas, Point, Stencil, leaf, shadow, sheet
from mediagen.providers.painting.palettes import mix

Knots = tuple[Point, ...]


def _knots(text: str) -> Knots:
    pairs = (pair.split() for pair in text.split(","))
    return tuple((float(x), float(y)) for x, y in pairs)


# Outlines in hundredths of the picture's scale, from its middle; drawn by eye.
_LONG_BACK = _knots("-15 -20, 0 -31, 15 -20, 20 0, 21 18, 24 32, 10 30, -10 30, -24 32, -21 18, -20 0")
_LONG_FRONT = _knots(
    "-3 -27, 6 -28, 14 -19, 16 -4, 14.5 8, 12.5 -4, 8 -13, -2 -19, -9 -14, -12.5 -3, -14.5 8, -16 -4, -14 -18"
)
_SHORT_BACK = _knots("-14 -20, 0 -30, 14 -20, 15.5 -8, 13 2, 0 0, -13 2, -15.5 -8")
_SHORT_FRONT = _knots(
    "-4 -29, 7 -30, 15 -22, 15 -10, 13.4 -1, 12 -9, 9 -15, 0 -17, -8 -13, -12 -8, -13.4 -1, -15 -10, -13 -22"
)
_ROUND_BACK = _knots("-16 -26, 0 -36, 16 -26, 24 -10, 21 6, 13 12, -13 12, -21 6, -24 -10")
_ROUND_FRONT = _knots(
    "-5 -28, 6 -28, 14 -20, 16 -6, 13.5 4, 12 -6, 9 -15, 0 -19, -9 -15, -12 -6, -13.5 4, -16 -6, -14 -20"
)
_SHOULDERS = _knots("-8 22, 0 26, 8 22, 22 28, 36 36, 44 60, 44 190, -44 190, -44 60, -36 36, -22 28")
_NECK = _knots("-6.5 4, 6.5 4, 6.2 16, 9 24, 0 31, -9 24, -6.2 16")
_FACE = _knots("0 -24, 9 -21, 13 -11, 13 -1, 10.5 8, 5 15, 0 17, -5 15, -10.5 8, -13 -1, -13 -11, -9 -21")
_SHADE = _knots("0 -26, 9 -24, 16 -11, 15 6, 9 17, 2 19, 1 12, 2.6 7, 1 3.5, 3.4 2, 1.2 -6, -0.6 -14")
_LONG_HAIR, _SHORT_HAIR, _ROUND_HAIR = (
    (_LONG_BACK, _LONG_FRONT),
    (_SHORT_BACK, _SHORT_FRONT),
    (_ROUND_BACK, _ROUND_FRONT),
)
_LONG = frozenset({"woman", "girl", "lady", "queen", "princess", "mother", "bride", "witch", "elf"})
_SHORT = frozenset({"man", "boy", "king", "warrior", "soldier", "father", "knight", "wizard", "fisherman"})


def portrait(canvas: Canvas) -> None:
    """Paint a head in cut paper before a disc, half in light and half in shade."""
    palette, rng = canvas.palette, canvas.rng
    wall = mix(palette.sky[1], palette.sky[2], 0.4)
    canvas.image = sheet(canvas, wall, mix(palette.sky[0], palette.sky[1], 0.4))
    scale = min(canvas.width, canvas.height * 0.9)
    x, y = canvas.width / 2, canvas.height / 2 + scale * 0.02
    disc = Stencil(canvas)
    disc.ellipse((x + scale * canvas.between(-0.08, 0.08), y - scale * 0.08), scale * 0.4)
    canvas.paste(sheet(canvas, mix(palette.light, palette.accents[4], 0.5), palette.accents[1]), disc.mask())
    _foliage(canvas, x, y, scale)
    _figure(canvas, x, y, scale, rng.choice((-1, 1)))


def _foliage(canvas: Canvas, x: float, y: float, scale: float) -> None:
    """Lay a wreath of leaves behind the head."""
    for depth, hue in enumerate((canvas.palette.accents[3], canvas.palette.accents[2])):
        rng, stencil = canvas.fork(), Stencil(canvas)
        for i in range(13):
            angle = math.pi * (0.95 + 1.1 * i / 12) + rng.uniform(-0.1, 0.1)
            root = x + math.cos(angle) * scale * 0.06, y + scale * 0.06 + math.sin(angle) * scale * 0.06
            long = scale * rng.uniform(0.38, 0.52) * (1 - 0.2 * depth)
            stencil.polygon(leaf(root, angle, long, 0.26, rng.choice((-1, 1))))
        mask = stencil.mask()
        shadow(canvas, mask, 0.35)
        canvas.paste(sheet(canvas, hue, mix(hue, canvas.palette.deep, 0.45)), mask)


def _shape(x: float, y: float, scale: float, knots: Knots, side: int) -> list[Point]:
    """Return a smooth closed outline through knots (a Catmull-Rom spline); `side` -1 mirrors it."""
    placed = [(x + side * px * scale / 100, y + py * scale / 100) for px, py in knots]
    outline: list[Point] = []
    for i in range(len(placed)):
        near = [placed[(i + j) % len(placed)] for j in (-1, 0, 1, 2)]
        xs, ys = [point[0] for point in near], [point[1] for point in near]
        outline += [(_spline(xs, step / 8), _spline(ys, step / 8)) for step in range(8)]
    return outline


def _spline(knots: Sequence[float], t: float) -> float:
    """Return the Catmull-Rom spline between the second (t = 0) and the third (t = 1) of four knots."""
    before, start, end, after = knots
    linear, square = end - before, 2 * before - 5 * start + 4 * end - after
    return 0.5 * (2 * start + linear * t + square * t**2 + (3 * start - before - 3 * end + after) * t**3)


def _hair(canvas: Canvas) -> tuple[Knots, Knots]:
    """Return the hair behind and before a head, as the prompt's words suggest it."""
    if canvas.words & _LONG:
        return canvas.rng.choice((_LONG_HAIR, _LONG_HAIR, _ROUND_HAIR))
    if canvas.words & _SHORT:
        return _SHORT_HAIR
    return canvas.rng.choice((_LONG_HAIR, _SHORT_HAIR, _ROUND_HAIR))


def _figure(canvas: Canvas, x: float, y: float, scale: float, side: int) -> None:
    """Lay the head from back to front; `side` says where the light comes from."""
    palette = canvas.palette
    skin = mix((232, 178, 146), palette.accents[1], 0.25)
    skin = mix(skin, (92, 52, 40), canvas.between(0.0, 0.75))
    hair = mix(palette.deep, palette.accents[2], canvas.between(0.1, 0.4))
    back, front = _hair(canvas)
    layers = (
        (back, mix(hair, palette.deep, 0.3)),
        (_SHOULDERS, palette.accents[0]),
        (_NECK, mix(skin, palette.deep, 0.3)),
        (_FACE, skin),
        (front, hair),
    )
    for knots, hue in layers:
        stencil = Stencil(canvas)
        stencil.polygon(_shape(x, y, scale, knots, side))
        mask = stencil.mask()
        shadow(canvas, mask, 0.3)
        canvas.paste(sheet(canvas, hue, mix(hue, palette.deep, 0.3)), mask)
        if knots is _FACE:
            shade = Stencil(canvas)
            shade.polygon(_shape(x, y, scale, _SHADE, side))
            canvas.paste(mix(skin, palette.deep, 0.35), ImageChops.multiply(mask, shade.mask()))
