"""Pictures made by light in the dark: cities, northern lights, deep space, fire."""

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
    curve,
    dimmed,
    fade,
    halo,
    lit,
    mapped,
    noise,
    profile,
    smoothstep,
    warp,
)
from mediagen.providers.painting.elements import firs, mist, peaks, ridge, sky, sparks, stars, water
from mediagen.providers.painting.palettes import Color, mix

BICUBIC = Image.Resampling.BICUBIC


def city(canvas: Canvas) -> None:
    """Paint a skyline with lit windows over a river."""
    palette = canvas.palette
    shore = 0.8
    sun = canvas.between(0.25, 0.75), canvas.between(0.3, 0.5)
    sky(canvas, shore, sun, canvas.between(0.06, 0.12), 0.6)
    far = mix(palette.sky[-1], palette.haze, 0.6)
    for i in range(4):
        depth = i / 3
        paint = mix(far, palette.deep, 0.18 + 0.78 * depth)
        _skyline(canvas, shore, depth, paint)
        if i < 3:
            mist(canvas, shore - 0.2, shore, mix(far, palette.light, 0.15), 0.55 - 0.3 * depth)
    water(canvas, shore, sun[0])


def _skyline(canvas: Canvas, shore: float, depth: float, paint: Color) -> None:
    """Raise one row of towers; the nearer the row, the more of its windows can be seen."""
    towers, windows, rng = Stencil(canvas), Stencil(canvas), canvas.fork()
    rise, unit, base = profile(rng, 3, 3, 0.6), canvas.unit, shore * canvas.height + 2
    x = -0.02 * unit
    while x < canvas.width:
        wide = rng.uniform(0.035, 0.085) * (0.65 + 0.5 * depth) * unit
        place = min(1.0, max(0.0, x / canvas.width))
        tall = (0.34 - 0.2 * depth) * canvas.height * (1 + 0.65 * rise(place)) * rng.uniform(0.55, 1.2)
        _tower(towers, rng, x, base, wide, tall)
        if depth > 0.2:
            _windows(windows, rng, (x, base - tall, x + wide, base), unit * (0.0075 + 0.0035 * depth))
        x += wide * rng.uniform(0.85, 1.12)
    mask = towers.mask()
    body = column((paint, mix(paint, canvas.palette.haze, 0.35 * (1 - depth))), canvas.size)
    canvas.paste(body, mask)
    lights = mix(mix(canvas.palette.light, canvas.palette.sky[-1], 0.3), (255, 196, 110), 0.5)
    canvas.paste(lights, dimmed(windows.mask(), (0.35 + 0.6 * depth)))


def _tower(stencil: Stencil, rng: random.Random, x: float, base: float, wide: float, tall: float) -> None:
    """Draw one building with one of five roofs."""
    stencil.box(x, base - tall, x + wide, base)
    roof, middle, top = rng.random(), x + wide / 2, base - tall
    if roof < 0.2:
        stencil.box(x + wide * 0.2, top - wide * 0.35, x + wide * 0.8, top + 1)
        stencil.line([(middle, top), (middle, top - wide * 1.1)], wide * 0.04)
    elif roof < 0.34:
        stencil.polygon([(x, top + 1), (middle, top - wide * 0.9), (x + wide, top + 1)])
        stencil.line([(middle, top), (middle, top - wide * 1.7)], wide * 0.03)
    elif roof < 0.5:
        stencil.polygon([(x, top + 1), (x, top - wide * 0.4), (x + wide, top + 1)])
    elif roof < 0.62:
        stencil.box(x + wide * 0.15, top - wide * 0.15, x + wide * 0.85, top + 1)
        stencil.box(x + wide * 0.32, top - wide * 0.3, x + wide * 0.68, top + 1)


def _windows(
    stencil: Stencil, rng: random.Random, box: tuple[float, float, float, float], cell: float
) -> None:
    """Light some windows of a building, whole floors together now and then."""
    left, top, right, bottom = box
    share = rng.choice((0.12, 0.3, 0.5))
    columns = max(1, int((right - left) / cell) - 1)
    margin = (right - left - columns * cell) / 2
    for row in range(int((bottom - top) / (cell * 1.35))):
        y = top + cell * (0.8 + row * 1.35)
        busy = share * rng.choice((0.4, 1, 1, 1.6))
        for at in range(columns):
            if rng.random() < busy:
                x = left + margin + at * cell
                stencil.box(x + cell * 0.2, y, x + cell * 0.8, y + cell * 0.8, ink=rng.randint(110, 255))


def aurora(canvas: Canvas) -> None:
    """Paint northern lights over dark hills and still water."""
    palette, shore = canvas.palette, 0.74
    zenith, middle = mix(palette.sky[0], (4, 7, 20), 0.75), mix(palette.sky[0], (8, 20, 44), 0.6)
    low = mix(palette.sky[1], (20, 54, 78), 0.6)
    canvas.image = column((zenith, middle, low, mix(low, palette.light, 0.22)), canvas.size)
    stars(canvas, 0.7, 420)
    for i in range(3):
        _curtain(canvas, 0.34 + 0.12 * i + canvas.between(-0.05, 0.05), 0.55 + 0.2 * i)
    for depth in (0.55, 0.9):
        _shore_range(canvas, shore, depth, low)
    water(canvas, shore, canvas.between(0.3, 0.7), sparkle=0.25)


def _curtain(canvas: Canvas, base: float, strength: float) -> None:
    """Hang one curtain of rays along a winding line; green below, violet above."""
    size, rng = canvas.soft_size, canvas.fork()
    width = size[0]
    rays = noise(rng, (width, 1), (width / 9, 1), 6).resize(size)
    folds = noise(rng, (width, 1), (width / 3, 1), 3).resize(size)
    body = fade([0, 2, 8, 20, 40, 70, 110, 160, 210, 250, 255, 120, 0, 0], size)
    cloth = ImageChops.multiply(curve(rays, lambda v: 0.3 + 0.7 * v), curve(folds, smoothstep(0.1, 0.8)))
    hung = _hang(ImageChops.multiply(cloth, body), profile(rng, 2.5, 3, 0.45), base)
    hues = (0, 0, 0), canvas.palette.accents[3], (40, 190, 140), (120, 255, 190)
    light = mapped(dimmed(hung, strength), hues)
    canvas.image = ImageChops.screen(canvas.image, light.resize(canvas.size, BICUBIC))


def _hang(cloth: Image.Image, line: Profile, base: float) -> Image.Image:
    """Shift the cloth's columns so that its lower edge follows the line around `base`."""
    (width, height), strips = cloth.size, min(64, cloth.width)
    mesh = []
    for i in range(strips):
        x0, x1 = width * i // strips, width * (i + 1) // strips
        y0, y1 = (height * (0.78 - base - 0.16 * line(x / width)) for x in (x0, x1))
        mesh.append(((x0, 0, x1, height), (x0, y0, x0, y0 + height, x1, y1 + height, x1, y1)))
    return cloth.transform(cloth.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def _shore_range(canvas: Canvas, shore: float, depth: float, night: Color) -> None:
    """Raise a dark range behind a shore; the near one is wooded."""
    line = peaks(canvas.fork(), 3, 0.7 - 0.4 * depth)
    tall, paint = 0.17 - 0.1 * depth, mix(night, (2, 5, 12), depth)
    stencil = Stencil(canvas, 0, shore * canvas.height + 1)
    stencil.polygon(ridge(canvas, line, shore - 0.04 * (1 - depth), tall))
    canvas.paste(paint, stencil.mask(), stencil.at)
    if depth > 0.7:
        firs(canvas, line, shore, tall, paint)


def space(canvas: Canvas) -> None:
    """Paint a nebula, its stars and a planet."""
    _nebula(canvas)
    stars(canvas, 1.0, 520)
    _bright_stars(canvas)
    place = canvas.between(0.25, 0.75), canvas.between(0.32, 0.68)
    radius, angle = canvas.between(0.13, 0.24), canvas.between(-0.6, 0.6)
    _planet(canvas, place, radius, angle, ringed=canvas.chance(0.55))


def _nebula(canvas: Canvas) -> None:
    palette, rng = canvas.palette, canvas.fork()
    size = canvas.width // 2, canvas.height // 2
    side = math.sqrt(size[0] * size[1])
    night = mix(palette.sky[0], (3, 3, 12), 0.7)
    image = Image.new("RGB", size, night)
    hues = palette.sky[-2], palette.accents[2], palette.accents[1], palette.accents[0]
    dust = warp(noise(rng, size, (side / 2.2, side / 2.6), 6), rng, 0.12)
    for i, hue in enumerate(hues):
        gas = warp(noise(rng, size, (side / (1.4 + 0.5 * i), side / (1.6 + 0.6 * i)), 6), rng, 0.16, 1.2)
        gas = dimmed(curve(gas, lambda v: smoothstep(0.4, 0.95)(v) ** 1.3), 0.95 - 0.12 * i)
        image = lit(image, hue, ImageChops.multiply(gas, curve(dust, smoothstep(0.2, 0.75))))
    core = ImageChops.multiply(curve(dust, smoothstep(0.55, 1.0)), curve(gas, smoothstep(0.0, 0.5)))
    canvas.image = lit(image, palette.light, core).resize(canvas.size, BICUBIC)


def _bright_stars(canvas: Canvas) -> None:
    """Set a few stars that shine with four rays."""
    rng = canvas.fork()
    rays, mask = Stencil(canvas), Image.new("L", canvas.soft_size)
    for _ in range(9):
        x, y, r = rng.random() * canvas.width, rng.random() * canvas.height, rng.random() ** 2
        long, thin = (0.006 + 0.022 * r) * canvas.unit, (0.0007 + 0.0012 * r) * canvas.unit
        rays.polygon([(x - long, y), (x, y - thin), (x + long, y), (x, y + thin)])
        rays.polygon([(x, y - long), (x + thin, y), (x, y + long), (x - thin, y)])
        rays.ellipse((x, y), thin * 2.2)
        mask = ImageChops.lighter(
            mask, halo(canvas.soft_size, (x / SOFTNESS, y / SOFTNESS), long / 3, power=2.2)
        )
    canvas.glow(canvas.palette.light, dimmed(mask, 0.7))
    canvas.paste(mix(canvas.palette.light, (255, 255, 255), 0.6), rays.mask())


def _planet(canvas: Canvas, place: Point, radius: float, angle: float, *, ringed: bool) -> None:
    """Hang a banded planet, lit from the upper left, in front of the stars."""
    palette, r = canvas.palette, radius * canvas.unit
    x, y = place[0] * canvas.width, place[1] * canvas.height
    sun = halo(
        canvas.soft_size,
        ((x - r * 0.25) / SOFTNESS, (y - r * 0.25) / SOFTNESS),
        r * 1.45 / SOFTNESS,
        power=1.6,
    )
    canvas.glow(mix(palette.accents[0], palette.light, 0.4), dimmed(sun, 0.5))
    if ringed:
        _ring(canvas, (x, y), r, angle, front=False)
    side = max(8, round(r * 2))
    canvas.paste(*_globe(canvas, side, angle), (round(x - r), round(y - r)))
    if ringed:
        _ring(canvas, (x, y), r, angle, front=True)


def _globe(canvas: Canvas, side: int, angle: float) -> tuple[Image.Image, Image.Image]:
    palette, rng = canvas.palette, canvas.fork()
    bands = noise(rng, (side, side), (side * 1.5, side / 8), 5)
    bands = warp(bands, rng, 0.05, 2.5).rotate(-math.degrees(angle), BICUBIC, fillcolor=128)
    a = palette.accents
    surface = mapped(bands, (mix(a[2], palette.deep, 0.3), a[2], a[0], a[1], a[4]))
    night = halo((side, side), (side * 0.33, side * 0.3), side * 0.86, power=0.75)
    surface = ImageChops.multiply(
        surface, mapped(night, (mix(palette.sky[0], (0, 0, 6), 0.7), (255, 255, 255)))
    )
    edge = curve(halo((side, side), (side / 2, side / 2), side / 2, power=1), smoothstep(0.16, 0.0))
    rim = ImageChops.multiply(edge, night)
    surface = lit(surface, mix(palette.light, palette.accents[3], 0.35), dimmed(rim, 0.8))
    disc = Image.new("L", (side * 2, side * 2))
    ImageDraw.Draw(disc).ellipse((1, 1, side * 2 - 2, side * 2 - 2), fill=255)
    return surface, disc.reduce(2)


def _ring(canvas: Canvas, center: Point, r: float, angle: float, *, front: bool) -> None:
    """Draw the half of the rings that lies before, or behind, the planet."""
    stencil = Stencil(canvas)
    turn = (0.0, math.pi) if front else (math.pi, math.tau)

    def arc(reach: float) -> list[Point]:
        points = []
        for i in range(65):
            t = turn[0] + (turn[1] - turn[0]) * i / 64
            x, y = reach * r * math.cos(t), reach * r * math.sin(t) * 0.22
            points.append(
                (
                    center[0] + x * math.cos(angle) - y * math.sin(angle),
                    center[1] + x * math.sin(angle) + y * math.cos(angle),
                )
            )
        return points

    for inner, outer, ink in ((1.35, 1.5, 90), (1.52, 1.78, 190), (1.81, 1.93, 130), (1.96, 2.0, 80)):
        stencil.polygon([*arc(inner), *reversed(arc(outer))], ink=ink)
    canvas.paste(mix(canvas.palette.light, canvas.palette.accents[4], 0.5), stencil.mask())


def embers(canvas: Canvas) -> None:
    """Paint flames that lick up out of the dark, and their sparks."""
    palette, (width, height) = canvas.palette, canvas.soft_size
    night = mix(palette.deep, palette.sky[0], 0.5)
    canvas.image = column((palette.deep, night, mix(night, palette.sky[1], 0.8)), canvas.size)
    smoke = noise(canvas.fork(), canvas.soft_size, (width / 2, height / 2.5), 5)
    canvas.wash(mix(palette.sky[1], palette.haze, 0.3), curve(smoke, lambda v: 0.4 * smoothstep(0.4, 1)(v)))
    glow = halo((width, height), (width / 2, height * 0.95), width * 0.75, height * 0.8, 1.5)
    canvas.glow(palette.sky[-2], dimmed(glow, 0.65))
    hues = palette.sky[1], palette.haze, palette.sky[-2], palette.sky[-1], palette.light
    for i, hue in enumerate(hues):
        _flames(canvas, i / (len(hues) - 1), hue, mix(hue, hues[min(i + 1, len(hues) - 1)], 0.5))
    sparks(canvas, mix(palette.sky[-1], palette.light, 0.4), 70, 0.05)


def _flames(canvas: Canvas, depth: float, tip: Color, root: Color) -> None:
    """Paint one sheet of flames; the inner sheets are lower and hotter."""
    stencil, rng = Stencil(canvas), canvas.fork()
    for i in range(15):
        place = (i + rng.uniform(-0.4, 0.4)) / 14
        middle = 1 - abs(place - 0.5) * 1.5
        tall = (0.74 - 0.5 * depth) * (0.35 + 0.65 * middle) * rng.uniform(0.6, 1.15) * canvas.height
        wide = (0.11 - 0.05 * depth) * rng.uniform(0.7, 1.2) * canvas.width
        foot = place * canvas.width, canvas.height * 1.03
        stencil.polygon(_tongue(foot, tall, wide, rng.uniform(0, math.tau), canvas.unit * 0.05))
    mask = stencil.mask()
    haze = mask.resize(canvas.soft_size, Image.Resampling.BOX).filter(
        ImageFilter.GaussianBlur(canvas.unit / 160)
    )
    canvas.glow(tip, dimmed(haze, 0.35))
    canvas.paste(column((tip, tip, root), canvas.size), mask)


def _tongue(foot: Point, tall: float, wide: float, phase: float, sway: float) -> list[Point]:
    """Return one flame: round at its foot, winding to a point."""
    left: list[Point] = []
    right: list[Point] = []
    for i in range(29):
        t = i / 28
        x = foot[0] + sway * math.sin(phase + 4.2 * t) * t**0.7 * 1.3
        half = wide * 0.5 * math.sin(math.pi * (0.28 + 0.72 * t)) ** 1.15 * (1 - 0.25 * t)
        left.append((x - half, foot[1] - tall * t))
        right.append((x + half, foot[1] - tall * t))
    return [*left, *reversed(right)]
