"""Pictures without a place: paper waves, silk, geometry, plants, agate."""

import math
import random

from PIL import Image, ImageChops, ImageFilter

from mediagen.providers.painting.brushes import (
    Canvas,
    Point,
    Profile,
    Stencil,
    column,
    curve,
    dimmed,
    halo,
    leaf,
    mapped,
    noise,
    profile,
    shadow,
    sheet,
    smoothstep,
    warp,
)
from mediagen.providers.painting.palettes import Color, mix, ramp

BICUBIC = Image.Resampling.BICUBIC


def ribbons(canvas: Canvas) -> None:
    """Paint waves of cut paper, each sheet casting its shadow on the one behind."""
    palette, rng = canvas.palette, canvas.rng
    count, angle = rng.randint(7, 10), canvas.between(-0.6, 0.6)
    hues = [palette.sky[0], palette.accents[2], *palette.accents[:2], palette.accents[4], palette.light]
    if canvas.chance(0.5):
        hues.reverse()
    colors = ramp(hues, count + 1)
    canvas.image = sheet(canvas, colors[0], mix(colors[0], palette.deep, 0.35))
    line, other = profile(rng, 2, 2, 0.4), profile(rng, 2.4, 2, 0.4)
    for i in range(count):
        share = i / (count - 1)
        tall = 0.16 + 0.05 * math.sin(2.4 * i)

        def wave(x: float, share: float = share, tall: float = tall) -> float:
            return tall * (line(x) * (1 - share) + other((x + 0.13 * share) % 1) * share)

        stencil = Stencil(canvas)
        stencil.polygon(_turned(canvas, wave, -0.42 + 0.92 * share, angle))
        mask = stencil.mask()
        shadow(canvas, mask, 0.5)
        canvas.paste(sheet(canvas, colors[i + 1], mix(colors[i + 1], palette.deep, 0.3)), mask)


def _turned(canvas: Canvas, wave: Profile, base: float, angle: float) -> list[Point]:
    """Return the area below a wave that crosses the canvas at an angle."""
    reach = math.hypot(canvas.width, canvas.height)
    points = []
    for i in range(-2, 103):
        along, across = (i / 100 - 0.5) * reach * 1.1, (base + wave(i / 100)) * reach * 0.9
        points.append((along, across))
    points += [(reach, reach * 1.5), (-reach, reach * 1.5)]
    cos, sin = math.cos(angle), math.sin(angle)
    return [(canvas.width / 2 + x * cos - y * sin, canvas.height / 2 + x * sin + y * cos) for x, y in points]


def threads(canvas: Canvas) -> None:
    """Paint silk: bundles of fine lines that turn through each other."""
    palette = canvas.palette
    ground = mix(palette.sky[0], palette.deep, 0.75)
    canvas.image = column((palette.deep, ground, mix(ground, palette.sky[1], 0.35)), canvas.size)
    canvas.glow(palette.sky[2], dimmed(_somewhere(canvas, 0.7), 0.35))
    angle = canvas.between(-0.7, 0.7)
    for pair in ((2, 0), (3, 1), (0, 4)):
        _silk(canvas, _bundle(canvas, angle), [palette.accents[i] for i in pair])


def _bundle(canvas: Canvas, angle: float, count: int = 64) -> Image.Image:
    """Return the mask of fine lines that run between two curves and twist about a third."""
    rng, stencil = canvas.fork(), Stencil(canvas)
    one, other, twist = (profile(rng, 2.2, 2, 0.35) for _ in range(3))
    base, wide = rng.uniform(-0.2, 0.2), rng.uniform(0.09, 0.19)
    for i in range(count):
        share = i / (count - 1)

        def line(x: float, share: float = share) -> float:
            turned = math.sin(math.pi * (share - 0.5) + 2.2 * twist(x))
            return 0.2 * one(x) * (1 - share) + 0.24 * other(x) * share + wide * turned

        ink = 60 + round(190 * math.sin(math.pi * share) ** 2)
        stencil.line(_turned(canvas, line, base, angle)[:-2], canvas.unit * 0.001, ink=ink)
    return stencil.mask()


def _silk(canvas: Canvas, mask: Image.Image, hues: list[Color]) -> None:
    """Color a bundle of lines, with a sheen between them."""
    size = canvas.soft_size
    field = noise(canvas.fork(), size, (size[0] / 1.3, size[1] / 1.3), 2)
    paint = mapped(field, (*hues, mix(hues[-1], canvas.palette.light, 0.75)))
    soft = mask.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(canvas.unit / 120))
    canvas.glow(hues[0], dimmed(soft, 0.8))
    canvas.paste(paint.resize(canvas.size, BICUBIC), mask)


def _somewhere(canvas: Canvas, radius: float) -> Image.Image:
    width, height = canvas.soft_size
    place = width * canvas.between(0.2, 0.8), height * canvas.between(0.2, 0.8)
    return halo(canvas.soft_size, place, max(width, height) * radius, power=1.5)


def geometry(canvas: Canvas) -> None:
    """Paint a poster of tiles: quarter circles, leaves, rings and stripes."""
    palette, rng = canvas.palette, canvas.rng
    margin = 0.05 * min(canvas.size)
    tiles = rng.choice((4, 5, 6))
    side = (min(canvas.size) - 2 * margin) / tiles
    columns, rows = (max(1, int((length - 2 * margin) / side + 0.01)) for length in canvas.size)
    left, top = (canvas.width - columns * side) / 2, (canvas.height - rows * side) / 2
    hues = [*palette.accents, palette.accents[0], mix(palette.deep, palette.sky[0], 0.4)]
    poster = Stencil(canvas, ground=palette.paper)
    for row in range(rows):
        for at in range(columns):
            place = left + at * side, top + row * side
            ground, shape = rng.sample(hues, 2)
            if rng.random() < 0.7:
                poster.box(*place, place[0] + side, place[1] + side, ink=ground)
            else:
                ground = palette.paper
            _tile(poster, rng, place, side, (ground, shape))
    canvas.image = ImageChops.multiply(poster.mask(), _press(canvas))


def _press(canvas: Canvas) -> Image.Image:
    """Return the unevenness of printed paper: ink that is not quite even, on a faint fiber."""
    size, rng = canvas.soft_size, canvas.fork()
    uneven = noise(rng, size, (canvas.unit / 10, canvas.unit / 10), 5)
    tones = (236, 232, 230), (250, 249, 247), (250, 249, 247), (255, 255, 255)
    return mapped(uneven, tones).resize(canvas.size, BICUBIC)


def arc(center: Point, radius: float, start: float, end: float, steps: int = 32) -> list[Point]:
    """Return points on a circle between two angles in quarter turns."""
    angles = [(start + (end - start) * i / steps) * math.pi / 2 for i in range(steps + 1)]
    return [(center[0] + radius * math.cos(a), center[1] + radius * math.sin(a)) for a in angles]


def _tile(poster: Stencil, rng: random.Random, place: Point, side: float, inks: tuple[Color, Color]) -> None:
    """Draw one of eight figures into a tile: the second ink on the first."""
    (x, y), (ground, hue) = place, inks
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    turn, figure = rng.randrange(4), rng.randrange(8)
    corner, beside, opposite = corners[turn], corners[(turn + 1) % 4], corners[(turn + 2) % 4]
    middle = x + side / 2, y + side / 2
    if figure <= 1:
        poster.polygon([corner, *arc(corner, side, turn, turn + 1)], hue)
    elif figure == 2:
        poster.polygon([*arc(corner, side, turn, turn + 1), *arc(opposite, side, turn + 2, turn + 3)], hue)
    elif figure == 3:
        poster.ellipse(middle, side * 0.4, ink=hue)
        poster.ellipse(middle, side * 0.2, ink=ground)
    elif figure == 4:
        edge = (corner[0] + beside[0]) / 2, (corner[1] + beside[1]) / 2
        poster.polygon(arc(edge, side / 2, turn, turn + 2), hue)
    elif figure == 5:
        for i in range(8):
            poster.polygon([corner, *arc(corner, side * (1 - i / 8), turn, turn + 1)], inks[1 - i % 2])
    elif figure == 6:
        poster.polygon([corner, beside, opposite], hue)
    else:
        for i in range(5):
            poster.box(x + side * i / 5, y, x + side * (i + 0.5) / 5, y + side, ink=hue)


def botanical(canvas: Canvas) -> None:
    """Paint stems, leaves and flowers in layers of ink on paper."""
    palette, rng = canvas.palette, canvas.rng
    canvas.image = sheet(canvas, palette.paper, mix(palette.paper, palette.accents[4], 0.3))
    disc = Stencil(canvas)
    center = canvas.width * canvas.between(0.35, 0.65), canvas.height * canvas.between(0.32, 0.45)
    disc.ellipse(center, canvas.unit * canvas.between(0.24, 0.31))
    canvas.paste(sheet(canvas, palette.accents[4], palette.accents[1]), disc.mask())
    for depth in range(3):
        leaves, blooms, hearts = Stencil(canvas), Stencil(canvas), Stencil(canvas)
        count = 4 + depth
        for i in range(count):
            x = (i + 0.5 + canvas.between(-0.45, 0.45)) / count
            tip, size = _stem(canvas, leaves, x, canvas.between(0.42, 0.78) - 0.13 * depth)
            if rng.random() < 0.7:
                _bloom(canvas, blooms, hearts, tip, size * canvas.between(0.65, 0.95))
        hue = mix(mix(palette.paper, palette.leaf, 0.5 + 0.25 * depth), palette.deep, 0.14 * depth)
        petals = mix(palette.accents[(depth + 1) % 2], palette.paper, 0.3 - 0.15 * depth)
        canvas.paste(sheet(canvas, hue, mix(hue, palette.deep, 0.25)), leaves.mask())
        canvas.paste(sheet(canvas, petals, mix(petals, palette.accents[0], 0.5)), blooms.mask())
        canvas.paste(mix(palette.accents[1], palette.deep, 0.55), hearts.mask())
    canvas.image = ImageChops.multiply(canvas.image, _press(canvas))


def _stem(canvas: Canvas, leaves: Stencil, x: float, tall: float) -> tuple[Point, float]:
    """Grow a stem with pairs of leaves from below the canvas; return its tip and the size of its leaves."""
    rng = canvas.fork()
    foot = x * canvas.width, canvas.height + 0.02 * canvas.unit
    length, lean, bend = tall * canvas.height, rng.uniform(-0.16, 0.16), rng.uniform(-0.3, 0.3)
    points = []
    for i in range(33):
        t = i / 32
        points.append((foot[0] + length * (lean * t + bend * t * t * (1 - t) * 2), foot[1] - length * t))
    leaves.line(points, canvas.unit * 0.0035)
    slim, size = rng.choice((0.26, 0.4, 0.55)), canvas.unit * rng.uniform(0.1, 0.16)
    pairs = max(3, round(length / size * 0.9))
    for i in range(1, pairs):
        at = points[round(32 * i / pairs)]
        for side in (-1, 1):
            angle = -math.pi / 2 + side * rng.uniform(0.75, 1.15) + lean * 0.8
            leaves.polygon(leaf(at, angle, size * (1.1 - 0.65 * i / pairs), slim, side))
    leaves.polygon(leaf(points[-1], -math.pi / 2 + lean, size * 0.6, slim, 1))
    return points[-1], size


def _bloom(canvas: Canvas, petals: Stencil, hearts: Stencil, at: Point, size: float) -> None:
    """Open a flower of round petals."""
    rng = canvas.fork()
    count, turn = rng.choice((5, 6, 9, 13)), rng.random()
    for i in range(count):
        angle = math.tau * (i + turn) / count
        reach = size * rng.uniform(0.94, 1.06)
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        outline = []
        for step in range(25):
            t = math.tau * step / 24
            far, wide = reach * (0.52 - 0.48 * math.cos(t)), reach * math.sin(t) * (1.5 / count + 0.05)
            wide *= 0.55 + 0.6 * far / reach
            outline.append(
                (at[0] + far * along[0] + wide * across[0], at[1] + far * along[1] + wide * across[1])
            )
        petals.polygon(outline)
    hearts.ellipse(at, size * 0.2)


def agate(canvas: Canvas) -> None:
    """Paint polished stone: bands of color that flow, with veins of gold."""
    palette, rng = canvas.palette, canvas.fork()
    size = canvas.size
    field = warp(noise(rng, size, (canvas.unit / 1.5, canvas.unit / 1.8), 5), rng, 0.2, 1.1)
    field = warp(field, rng, 0.09, 2.3)
    a = palette.accents
    stops = (
        palette.deep,
        a[2],
        palette.sky[0],
        a[3],
        palette.paper,
        a[0],
        a[1],
        palette.paper,
        a[2],
        palette.sky[0],
        a[4],
    )
    canvas.image = mapped(field, stops)
    fine = noise(rng, size, (canvas.unit / 7, canvas.unit / 7), 4)
    canvas.image = ImageChops.soft_light(canvas.image, Image.merge("RGB", (fine, fine, fine)))
    _veins(canvas, field)


def _veins(canvas: Canvas, field: Image.Image) -> None:
    """Lay gold along some of the field's contour lines."""

    def vein(value: float) -> float:
        return max(smoothstep(0.008, 0.002)(abs(value - line)) for line in (0.22, 0.36, 0.47, 0.58, 0.71))

    even = field.filter(ImageFilter.BoxBlur(canvas.unit / 250))  # 256 grays alone would give ragged lines
    thread = curve(even, vein).filter(ImageFilter.BoxBlur(canvas.unit / 1200))
    canvas.paste(mix((206, 160, 80), canvas.palette.light, 0.35), thread)
