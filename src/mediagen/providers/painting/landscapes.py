"""Places in daylight or moonlight: mountains, sea, dunes, woods. Each public function paints one picture."""

import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from mediagen.providers.painting.brushes import (
    SOFTNESS,
    Canvas,
    Point,
    Profile,
    Stencil,
    column,
    fade,
    halo,
    mapped,
    noise,
    profile,
    smoothstep,
)
from mediagen.providers.painting.elements import firs, mist, peaks, pine, ridge, sky, sparks, water
from mediagen.providers.painting.palettes import Color, mix

BICUBIC = Image.Resampling.BICUBIC
_BOATS = frozenset({"boat", "sailboat", "sail", "ship", "yacht"})


def mountains(canvas: Canvas) -> None:
    """Paint ranges of hills, one behind the other, in morning mist."""
    palette, count = canvas.palette, 6
    sun = canvas.between(0.22, 0.78), canvas.between(0.2, 0.36)
    sky(canvas, 0.72, sun, canvas.between(0.045, 0.085), 0.7)
    distant = mix(palette.sky[-1], palette.haze, 0.65)
    for i in range(count):
        depth = i / (count - 1)
        line = peaks(canvas.fork(), 2.2 + 1.3 * depth, 0.9 - 0.45 * depth)
        base, tall = 0.5 + 0.38 * depth**1.15, 0.2 - 0.1 * depth
        body = mix(distant, palette.deep, depth**1.1)
        _slope(canvas, ridge(canvas, line, base, tall), body, depth)
        if i == count - 1:
            firs(canvas, line, base, tall, body)
        else:
            mist(canvas, base - 0.06, base + 0.14, distant, 0.75 - 0.45 * depth)


def _slope(canvas: Canvas, outline: list[Point], body: Color, depth: float) -> None:
    """Fill one range with weathered rock that pales towards its foot."""
    stencil = Stencil(canvas, min(y for _, y in outline))
    stencil.polygon(outline)
    rows = stencil.bottom - stencil.top
    size = canvas.soft_size[0], max(2, rows // SOFTNESS)
    relief = noise(canvas.fork(), size, (size[0] / 14, size[1] / 5), 5)
    warm = mix(body, canvas.palette.light, 0.22 * (1 - 0.6 * depth))
    texture = mapped(relief, (mix(body, canvas.palette.deep, 0.04 + 0.16 * depth), body, body, warm))
    foot = mix(body, canvas.palette.haze, 0.55 * (1 - depth))
    fill = Image.composite(Image.new("RGB", size, foot), texture, fade([0, 40, 150, 255, 255], size))
    canvas.paste(fill.resize((canvas.width, rows), BICUBIC), stencil.mask(), stencil.at)


def sea(canvas: Canvas) -> None:
    """Paint open water under a low sun, its light broken by the waves."""
    horizon = canvas.between(0.44, 0.56)
    sun = canvas.between(0.28, 0.72), horizon - canvas.between(0.05, 0.17)
    sky(canvas, horizon, sun, canvas.between(0.05, 0.085), 0.85)
    if canvas.chance(0.6):
        _islands(canvas, horizon)
    water(canvas, horizon, sun[0])
    if canvas.words & _BOATS or canvas.chance(0.4):
        _sailboat(canvas, horizon)


def _islands(canvas: Canvas, horizon: float) -> None:
    """Raise hazy land out of the horizon."""
    for depth in (0.35, 0.6):
        rng = canvas.fork()
        line, shift, size = profile(rng, 3, 6, 0.5), rng.uniform(-0.1, 0.6), rng.uniform(0.3, 0.5)

        def land(x: float, line: Profile = line, shift: float = shift, size: float = size) -> float:
            inside = (x - shift) / size
            return math.sin(math.pi * inside) * (0.75 + 0.7 * line(x)) if 0 < inside < 1 else -0.2

        stencil = Stencil(canvas, 0, horizon * canvas.height)
        stencil.polygon(ridge(canvas, land, horizon, 0.07 * depth / 0.5))
        canvas.paste(mix(canvas.palette.haze, canvas.palette.deep, depth), stencil.mask(), stencil.at)


def _sailboat(canvas: Canvas, horizon: float) -> None:
    """Set a small boat on the horizon."""
    tall = canvas.unit * canvas.between(0.035, 0.06)
    x, y = canvas.width * canvas.between(0.2, 0.8), canvas.height * horizon + tall * 0.35
    stencil = Stencil(canvas, y - tall * 1.4, y + tall * 0.3)
    stencil.polygon(
        [
            (x - tall * 0.5, y),
            (x + tall * 0.55, y),
            (x + tall * 0.38, y + tall * 0.16),
            (x - tall * 0.36, y + tall * 0.16),
        ]
    )
    stencil.polygon(
        [(x, y - tall * 1.25), (x + tall * 0.08, y - tall * 0.08), (x + tall * 0.5, y - tall * 0.08)]
    )
    stencil.polygon(
        [
            (x - tall * 0.03, y - tall * 1.1),
            (x - tall * 0.06, y - tall * 0.08),
            (x - tall * 0.42, y - tall * 0.08),
        ]
    )
    canvas.paste(mix(canvas.palette.deep, canvas.palette.haze, 0.1), stencil.mask(), stencil.at)


def dunes(canvas: Canvas) -> None:
    """Paint dunes whose crests part light from shade."""
    palette = canvas.palette
    sun = canvas.between(0.2, 0.8), canvas.between(0.18, 0.34)
    sky(canvas, 0.55, sun, canvas.between(0.06, 0.11), 0.25)
    far = Stencil(canvas)
    far.polygon(ridge(canvas, peaks(canvas.fork(), 3, 0.3), 0.5, 0.05))
    canvas.paste(mix(palette.sky[-1], palette.haze, 0.7), far.mask())
    side = 1 if sun[0] < 0.5 else -1
    for i in range(5):
        _dune(canvas, i / 4, side)


def _dune(canvas: Canvas, depth: float, side: int) -> None:
    """Paint one dune: its lit body, and the shaded flank on the side away from the sun."""
    palette, rng = canvas.palette, canvas.fork()
    base, tall = 0.56 + 0.34 * depth**1.3, 0.07 + 0.1 * depth
    peak, gentle = 0.5 - side * rng.uniform(-0.2, 0.36), profile(rng, 2, 2, 0.4)

    def hump(x: float) -> float:
        return math.exp(-(abs((x - peak) * 2.4) ** 1.35)) + 0.22 * gentle(x)

    outline = ridge(canvas, hump, base, tall)
    body = Stencil(canvas, min(y for _, y in outline))
    body.polygon(outline)
    mask, size = body.mask(), (canvas.width, body.bottom - body.top)
    warm = mix(palette.sky[-1], palette.accents[0], 0.2 + 0.55 * depth)
    bright = mix(warm, palette.light, 0.4 * (1 - 0.4 * depth))
    canvas.paste(_sand(rng, size, bright, warm), mask, body.at)
    shade = Stencil(canvas, body.top, body.bottom)
    shade.polygon(_flank(canvas, rng, peak, (base - tall * hump(peak)) * canvas.height, side))
    dark = mix(mix(warm, palette.deep, 0.45 + 0.3 * depth), palette.haze, 0.25 * (1 - depth))
    flank = ImageChops.multiply(ImageChops.multiply(shade.mask(), mask), _hollow(size, peak, side))
    canvas.paste(column((dark, mix(dark, warm, 0.45)), size), flank, body.at)


def _hollow(size: tuple[int, int], peak: float, side: int) -> Image.Image:
    """Return the mask of a shade that thins out away from the crest, where the next slope begins."""
    thin = smoothstep(0.62, 0.1)
    values = bytes(round(255 * thin(side * (x / 63 - peak))) for x in range(64))
    return Image.frombytes("L", (64, 1), values).resize(size, Image.Resampling.BILINEAR)


def _sand(rng: random.Random, size: tuple[int, int], bright: Color, warm: Color) -> Image.Image:
    soft = max(8, size[0] // SOFTNESS), max(8, size[1] // SOFTNESS)
    drift = noise(rng, soft, (soft[0] / 2, soft[1] / 22), 3)
    return Image.blend(column((bright, warm), soft), mapped(drift, (warm, bright)), 0.3).resize(size, BICUBIC)


def _flank(canvas: Canvas, rng: random.Random, peak: float, top: float, side: int) -> list[Point]:
    """Return the part of a dune behind its winding crest, which runs from the peak towards us."""
    drift, swing, turns = rng.uniform(-0.25, 0.1), rng.uniform(0.04, 0.09), rng.uniform(1.0, 1.6)
    edge = [(peak * canvas.width, top - 4)]
    for i in range(1, 41):
        t = i / 40
        sway = drift * t + swing * math.sin(math.tau * turns * t**0.7) * t**0.6
        edge.append(((peak - side * sway) * canvas.width, top + t * (canvas.height - top)))
    out = canvas.width + 9.0 if side > 0 else -9.0
    return [*edge, (out, canvas.height + 9.0), (out, top - canvas.height)]


def forest(canvas: Canvas) -> None:
    """Paint a wood that fades into lit mist, with rays between the trees."""
    palette = canvas.palette
    sun = canvas.between(0.3, 0.7), canvas.between(0.2, 0.38)
    sky(canvas, 0.95, sun, canvas.between(0.03, 0.06), 0.25)
    far = mix(palette.sky[-1], palette.haze, 0.5)
    for i in range(5):
        depth = i / 4
        paint = mix(far, palette.deep, 0.1 + 0.9 * depth**1.2)
        _grove(canvas, depth, paint)
        if i < 4:
            mist(
                canvas,
                0.5 + 0.1 * depth,
                0.82 + 0.1 * depth,
                mix(far, palette.light, 0.25),
                0.8 - 0.4 * depth,
            )
        if i == 2:
            _rays(canvas, sun)
    if palette.dark or canvas.chance(0.3):
        sparks(canvas, palette.light, 46, 0.45)


def _grove(canvas: Canvas, depth: float, paint: Color) -> None:
    """Plant one row of firs; nearer rows are taller, sparser and leave the middle open."""
    stencil, rng = Stencil(canvas), canvas.fork()
    ground = profile(rng, 2.5, 4, 0.5)
    foot = 0.66 + 0.3 * depth
    stencil.polygon(ridge(canvas, ground, foot, 0.03))
    for _ in range(round(46 - 34 * depth)):
        x = rng.random()
        if depth > 0.4:
            x = 0.5 + (x - 0.5) * 1.15
            if abs(x - 0.5) < 0.26 * depth:
                continue
        tall = (0.17 + 0.62 * depth**1.3) * rng.uniform(0.7, 1.25) * canvas.unit
        y = (foot - 0.03 * ground(min(1.0, max(0.0, x))) + 0.02) * canvas.height
        stencil.polygon(pine(rng, x * canvas.width, y, tall))
    canvas.paste(paint, stencil.mask())


def _rays(canvas: Canvas, sun: Point) -> None:
    """Let light fall through the trees."""
    size, rng = canvas.soft_size, canvas.fork()
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    x, y = sun[0] * size[0], sun[1] * size[1]
    for _ in range(11):
        angle, spread = rng.uniform(0.12, 0.88) * math.pi, rng.uniform(0.012, 0.04)
        reach = 1.6 * max(size)
        ends = [(x + reach * math.cos(a), y + reach * math.sin(a)) for a in (angle - spread, angle + spread)]
        draw.polygon([(x, y), *ends], fill=rng.randint(60, 150))
    blurred = mask.filter(ImageFilter.GaussianBlur(canvas.unit / 300))
    canvas.glow(
        canvas.palette.light, ImageChops.multiply(blurred, halo(size, (x, y), 0.9 * max(size), power=1.1))
    )
