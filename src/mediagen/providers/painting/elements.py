"""Parts that several pictures share: sky, slopes, trees, water, weather, light."""

import math
import random

from PIL import Image, ImageChops, ImageFilter, ImageOps

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
)
from mediagen.providers.painting.palettes import Color, mix

BICUBIC = Image.Resampling.BICUBIC


def sky(canvas: Canvas, horizon: float, sun: Point, radius: float, clouds: float = 0.6) -> None:
    """Paint a lit sky down to the horizon, with sun or moon. All lengths are shares of the canvas."""
    palette, (width, height) = canvas.palette, canvas.soft_size
    soft = Image.new("RGB", canvas.soft_size, palette.sky[-1])
    soft.paste(column(palette.sky, (width, max(2, round(horizon * height)))), (0, 0))
    center, reach = (sun[0] * width, sun[1] * height), math.sqrt(width * height)
    strength = 0.45 if palette.dark else 0.75
    wide = dimmed(halo(soft.size, center, reach * 0.95, power=2.2), strength)
    soft = lit(soft, mix(palette.haze, palette.light, 0.4), wide)
    canvas.image = soft.resize(canvas.size, BICUBIC)
    if palette.dark:
        stars(canvas, horizon)
    near = dimmed(halo(soft.size, center, reach * 0.36, power=2.6), strength)
    canvas.glow(palette.light, near)
    _disc(canvas, sun, radius)
    _clouds(canvas, horizon, center, clouds)


def _disc(canvas: Canvas, sun: Point, radius: float) -> None:
    """Paint the sun, or the moon with its seas."""
    center, r = (sun[0] * canvas.width, sun[1] * canvas.height), radius * canvas.unit
    stencil = Stencil(canvas, center[1] - r - 2, center[1] + r + 2)
    stencil.ellipse(center, r)
    mask = stencil.mask()
    canvas.paste(mix(canvas.palette.light, (255, 255, 255), 0.25), mask, stencil.at)
    if canvas.palette.dark:
        seas = noise(canvas.fork(), mask.size, (r * 0.9, r * 0.9), 4)
        spots = ImageChops.multiply(curve(seas, lambda v: 0.35 * smoothstep(0.45, 0.8)(v)), mask)
        canvas.paste(canvas.palette.haze, spots, stencil.at)


def _clouds(canvas: Canvas, horizon: float, center: Point, amount: float) -> None:
    """Drift clouds over the sky: bright where the light is near, hazy far away."""
    palette, size = canvas.palette, canvas.soft_size
    billows = noise(canvas.fork(), size, (size[0] * 0.7, size[1] * 0.13), 6)
    shape = curve(billows, lambda v: amount * smoothstep(0.48, 0.86)(v))
    rows = [max(0.0, math.sin(math.pi * min(1.0, y / 40 / horizon))) for y in range(40)]
    shape = ImageChops.multiply(shape, fade([round(255 * row**0.7) for row in rows], size))
    canvas.wash(mix(palette.haze, palette.sky[len(palette.sky) // 2], 0.35), shape)
    near = halo(size, center, math.sqrt(size[0] * size[1]) * 0.8, power=1.2)
    canvas.wash(palette.light, ImageChops.multiply(shape, near))


def stars(canvas: Canvas, horizon: float, count: int = 340) -> None:
    """Scatter stars above the horizon: many faint ones, few bright."""
    stencil, rng = Stencil(canvas, 0, horizon * canvas.height), canvas.fork()
    for _ in range(count):
        size = canvas.unit * (0.0006 + 0.0016 * rng.random() ** 6)
        place = rng.random() * canvas.width, rng.random() ** 1.3 * horizon * canvas.height
        stencil.ellipse(place, max(0.5, size), ink=90 + int(165 * rng.random() ** 2))
    canvas.paste(mix(canvas.palette.light, (255, 255, 255), 0.5), stencil.mask(), stencil.at)


def ridge(canvas: Canvas, line: Profile, base: float, tall: float) -> list[Point]:
    """Return the outline of a slope that fills the canvas below `base`, rising and falling by `tall`."""
    step = max(2, canvas.width // 340)
    xs = range(-step, canvas.width + 2 * step, step)
    top = [(float(x), (base - tall * line(x / canvas.width)) * canvas.height) for x in xs]
    return [*top, (canvas.width + 9.0, canvas.height + 9.0), (-9.0, canvas.height + 9.0)]


def peaks(rng: random.Random, waves: float, sharp: float) -> Profile:
    """Return a line with crests: valleys stay round, tops become sharp by the share `sharp`."""
    line, detail = profile(rng, waves, 6, 0.48), profile(rng, waves * 6, 4, 0.55)

    def crest(x: float) -> float:
        value = line(x)
        return value * (1 - sharp) + (1 - 1.7 * abs(value)) * sharp + 0.07 * detail(x)

    return crest


def pine(rng: random.Random, x: float, y: float, tall: float) -> list[Point]:
    """Return the outline of a fir whose foot is at (x, y)."""
    tiers = 9
    left: list[Point] = []
    right: list[Point] = []
    for tier in range(tiers):
        level = y - tall * (1 - (tier + 1) / (tiers + 0.6))
        reach = tall * 0.2 * ((tier + 1) / tiers) ** 0.85
        for side, points in ((-1, left), (1, right)):
            out = reach * rng.uniform(0.75, 1.15)
            points += [(x + side * out, level + tall * 0.02), (x + side * out * 0.45, level - tall * 0.012)]
    return [(x, y - tall), *left, (x - tall * 0.02, y), (x + tall * 0.02, y), *reversed(right)]


def firs(canvas: Canvas, line: Profile, base: float, tall: float, paint: Color) -> None:
    """Grow a wood along the nearest crest."""
    stencil, rng = Stencil(canvas, (base - tall - 0.25) * canvas.height), canvas.fork()
    dense = profile(rng, 5, 2)
    for _ in range(150):
        x = rng.random()
        high = 0.035 + 0.06 * rng.random() * max(0.0, dense(x) + 0.6)
        foot = (base - tall * line(x)) * canvas.height + 0.01 * canvas.unit
        stencil.polygon(pine(rng, x * canvas.width, foot, high * canvas.unit))
    canvas.paste(paint, stencil.mask(), stencil.at)


def mist(canvas: Canvas, top: float, bottom: float, paint: Color, strength: float) -> None:
    """Lay torn mist over the rows between two shares of the height, thickest at the bottom."""
    size = canvas.soft_size
    rise, fall = smoothstep(top, bottom), smoothstep(bottom + 0.22, bottom)
    rows = [round(255 * strength * rise(y / 63) * fall(y / 63)) for y in range(64)]
    cloud = noise(canvas.fork(), size, (size[0] * 0.8, size[1] * 0.16), 4)
    torn = curve(cloud, lambda v: 0.35 + 0.65 * smoothstep(0.15, 0.85)(v))
    canvas.wash(paint, ImageChops.multiply(torn, fade(rows, size)))


def water(canvas: Canvas, horizon: float, sun_x: float, sparkle: float = 1.0) -> None:
    """Paint rippled water below the horizon, mirroring what is above; `sparkle` is the sun's part in it."""
    palette, top = canvas.palette, round(horizon * canvas.height)
    size = canvas.width, canvas.height - top
    above = canvas.image.crop((0, max(0, top - size[1]), canvas.width, top))
    mirror = ImageOps.flip(above).resize(size).filter(ImageFilter.BoxBlur(canvas.unit * 0.01))
    depth = column((palette.sky[-1], palette.sky[1], mix(palette.sky[0], palette.deep, 0.6)), size)
    ripples = _ripples(canvas, size)
    trough = mix(palette.sky[0], palette.deep, 0.35)
    surface = ImageChops.multiply(Image.blend(mirror, depth, 0.5), mapped(ripples, (trough, (255, 255, 255))))
    crests = curve(ripples, lambda v: 0.28 * smoothstep(0.6, 0.9)(v))
    surface = lit(surface, mix(palette.sky[-1], palette.light, 0.3), crests)
    glitter = dimmed(_glitter(ripples, sun_x), sparkle)
    canvas.image.paste(lit(surface, palette.light, glitter), (0, top))
    place = sun_x * canvas.soft_size[0], horizon * canvas.soft_size[1]
    seam = halo(canvas.soft_size, place, canvas.soft_size[0] * 0.6, max(2.0, canvas.soft_size[1] * 0.02), 1.4)
    canvas.wash(mix(palette.sky[-1], palette.light, 0.4), dimmed(seam, 0.7 * sparkle))


def _ripples(canvas: Canvas, size: tuple[int, int]) -> Image.Image:
    """Return waves seen in perspective: fine lines near the horizon, broad swell in front."""
    width, rows = size
    side = max(64, round(canvas.unit * 1.1))
    flat = noise(canvas.fork(), (side, side), (side / 30, side / 130), 6)
    near = 6.5  # how many times closer the lower edge is than the horizon
    pace, scale = (near - 1) / rows, side / width
    middle = side / 2
    view = (scale, middle * pace, middle - scale * width / 2, 0.0, 0.0, side - 1.0, 0.0, pace)
    return flat.transform(size, Image.Transform.PERSPECTIVE, view, Image.Resampling.BILINEAR)


def _glitter(ripples: Image.Image, sun_x: float) -> Image.Image:
    """Return the sun's path on the water: sparks where the waves are high."""
    size = max(8, ripples.width // SOFTNESS), max(8, ripples.height // SOFTNESS)
    reach = math.sqrt(size[0] * size[1] * 2)
    path = halo(size, (sun_x * size[0], -0.05 * size[1]), reach * 0.3, size[1] * 1.25, 0.9)
    lane = halo(size, (sun_x * size[0], 0), reach * 0.1, size[1] * 1.15, 1.1)
    light = ImageChops.lighter(path, lane).resize(ripples.size, BICUBIC)
    return ImageChops.multiply(light, curve(ripples, smoothstep(0.45, 0.66)))


def birds(canvas: Canvas) -> None:
    """Let a few birds cross the sky, far away."""
    stencil, rng = Stencil(canvas), canvas.fork()
    x, y = canvas.width * rng.uniform(0.2, 0.7), canvas.height * rng.uniform(0.14, 0.3)
    for _ in range(rng.randint(5, 9)):
        span, lift = canvas.unit * rng.uniform(0.007, 0.014), rng.uniform(0.25, 0.55)
        at = x + canvas.unit * rng.gauss(0, 0.06), y + canvas.unit * rng.gauss(0, 0.025)
        wings = []
        for i in range(-6, 7):
            t = abs(i) / 6
            wings.append((at[0] + span * i / 6, at[1] - span * (lift * math.sin(math.pi * t**0.8) + 0.1 * t)))
        stencil.line(wings, canvas.unit * 0.0013)
    canvas.paste(mix(canvas.palette.deep, canvas.palette.haze, 0.2), stencil.mask())


def snowfall(canvas: Canvas) -> None:
    """Let it snow: small flakes far away, soft ones close by."""
    rng = canvas.fork()
    for count, size, strength in ((420, 0.0016, 0.75), (130, 0.0032, 0.7), (36, 0.007, 0.4)):
        flakes = Stencil(canvas)
        for _ in range(count):
            place = rng.random() * canvas.width, rng.random() * canvas.height
            flakes.ellipse(place, size * canvas.unit * rng.uniform(0.6, 1.3))
        soft = flakes.mask().filter(ImageFilter.BoxBlur(size * canvas.unit * 0.4))
        canvas.paste((255, 255, 255), dimmed(soft, strength))


def rainfall(canvas: Canvas) -> None:
    """Let it rain, slanting."""
    rng = canvas.fork()
    streaks = Stencil(canvas)
    for _ in range(420):
        x, y = rng.uniform(-0.1, 1.1) * canvas.width, rng.random() * canvas.height
        long = rng.uniform(0.02, 0.07) * canvas.unit
        end = x - 0.18 * long, y + long
        streaks.line([(x, y), end], canvas.unit * 0.0008, ink=rng.randint(60, 190))
    canvas.paste(mix(canvas.palette.light, canvas.palette.haze, 0.3), dimmed(streaks.mask(), 0.6))


def sparks(canvas: Canvas, paint: Color, count: int, top: float) -> None:
    """Scatter small glowing points below a share of the height."""
    size, rng = canvas.soft_size, canvas.fork()
    glow, points = Image.new("L", size), Stencil(canvas)
    for _ in range(count):
        x, y, r = rng.random(), rng.uniform(top, 0.98), rng.random() ** 3
        wide = (0.006 + 0.016 * r) * canvas.unit / SOFTNESS
        glow = ImageChops.lighter(glow, halo(size, (x * size[0], y * size[1]), wide, power=2))
        points.ellipse((x * canvas.width, y * canvas.height), (0.0008 + 0.0022 * r) * canvas.unit)
    canvas.glow(paint, glow)
    canvas.paste(mix(paint, (255, 255, 255), 0.5), points.mask())
