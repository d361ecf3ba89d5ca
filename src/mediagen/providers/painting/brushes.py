"""What the painter paints with: gradients, clouds of noise, glows, smooth-edged shapes, grain.

Soft things are made small and enlarged, which is cheap and looks the same; shapes are cut at double size.
All chance comes from the seeded generator of the canvas, so that a picture can be painted again.
"""

import math
import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from mediagen.providers.painting.palettes import Color, Palette, mix, ramp

Size = tuple[int, int]
Point = tuple[float, float]
Profile = Callable[[float], float]

SOFTNESS = 4  # soft layers are made at a quarter of the picture's size


class Canvas:
    """A picture in the making: its image, palette, own source of chance, and the words that asked for it."""

    def __init__(
        self, size: Size, palette: Palette, rng: random.Random, words: frozenset[str] = frozenset()
    ) -> None:
        self.size = size
        self.width, self.height = size
        self.unit = math.sqrt(self.width * self.height)  # lengths scale with it, whatever the shape
        self.soft_size = (max(8, self.width // SOFTNESS), max(8, self.height // SOFTNESS))
        self.palette = palette
        self.rng = rng
        self.words = words
        self.image = Image.new("RGB", size, palette.deep)

    def fork(self) -> random.Random:
        """Return a generator of its own for a part whose number of draws depends on the picture's size."""
        return random.Random(self.rng.getrandbits(64))  # noqa: S311  it only paints

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def paste(self, paint: Image.Image | Color, mask: Image.Image, at: tuple[int, int] = (0, 0)) -> None:
        """Lay a color or an image of the mask's size over the picture, where the mask is light."""
        box = mask.getbbox()  # most shapes cover a part only: the rest needs no work
        if box:
            part = paint.crop(box) if isinstance(paint, Image.Image) else paint
            place = at[0] + box[0], at[1] + box[1], at[0] + box[2], at[1] + box[3]
            self.image.paste(part, place, mask.crop(box))

    def wash(self, paint: Color, mask: Image.Image) -> None:
        """Lay a color over the picture through a soft (small) mask."""
        self.paste(paint, mask.resize(self.size, Image.Resampling.BILINEAR))

    def glow(self, paint: Color, mask: Image.Image) -> None:
        """Add light of a color through a mask of any size."""
        full = mask if mask.size == self.size else mask.resize(self.size, Image.Resampling.BICUBIC)
        self.image = lit(self.image, paint, full)


Ink = int | Color


class Stencil:
    """A mask for the rows `top` to `bottom` of a canvas, drawn at twice its size for smooth edges.

    On a `ground` color it is a picture instead, and its inks are colors.
    """

    def __init__(
        self, canvas: Canvas, top: float = 0, bottom: float | None = None, ground: Color | None = None
    ) -> None:
        self.top = min(canvas.height - 1, max(0, math.floor(top)))
        end = canvas.height if bottom is None else math.ceil(bottom)
        self.bottom = max(self.top + 1, min(canvas.height, end))
        size = canvas.width * 2, (self.bottom - self.top) * 2
        self._big = Image.new("RGB", size, ground) if ground else Image.new("L", size)
        self._draw = ImageDraw.Draw(self._big)

    @property
    def at(self) -> tuple[int, int]:
        return 0, self.top

    def _place(self, point: Point) -> Point:
        return point[0] * 2, (point[1] - self.top) * 2

    def polygon(self, points: Sequence[Point], ink: Ink = 255) -> None:
        self._draw.polygon([self._place(point) for point in points], fill=ink)

    def line(self, points: Sequence[Point], width: float, ink: Ink = 255) -> None:
        placed = [self._place(point) for point in points]
        thick = max(1, round(width * 2))
        self._draw.line(placed, fill=ink, width=thick, joint="curve" if thick > 3 else None)

    def ellipse(self, center: Point, rx: float, ry: float | None = None, ink: Ink = 255) -> None:
        (x, y), tall = self._place(center), rx if ry is None else ry
        self._draw.ellipse((x - rx * 2, y - tall * 2, x + rx * 2, y + tall * 2), fill=ink)

    def box(self, left: float, top: float, right: float, bottom: float, ink: Ink = 255) -> None:
        (x0, y0), (x1, y1) = self._place((left, top)), self._place((right, bottom))
        self._draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), fill=ink)

    def mask(self) -> Image.Image:
        return self._big.reduce(2)


def column(stops: Sequence[Color], size: Size) -> Image.Image:
    """Return a picture that runs through the stops from top to bottom."""
    pixels = bytes(part for rgb in ramp(stops) for part in rgb)
    return Image.frombytes("RGB", (1, 256), pixels).resize(size, Image.Resampling.BILINEAR)


def fade(values: Sequence[int], size: Size) -> Image.Image:
    """Return a mask that runs through the values (0..255) from top to bottom."""
    strip = Image.frombytes("L", (1, len(values)), bytes(values))
    return strip.resize(size, Image.Resampling.BICUBIC)


def noise(rng: random.Random, size: Size, cell: tuple[float, float], octaves: int = 4) -> Image.Image:
    """Return clouds over the full range of gray; a cell is the size of the largest billow, in pixels."""
    total: Image.Image | None = None
    for octave in range(octaves):
        scale = 2**octave
        grid = tuple(
            max(2, min(length, round(length * scale / part) + 1))
            for length, part in zip(size, cell, strict=True)
        )
        layer = Image.frombytes("L", (grid[0], grid[1]), rng.randbytes(grid[0] * grid[1]))
        layer = layer.resize(size, Image.Resampling.BICUBIC)
        total = (
            layer
            if total is None
            else Image.blend(total, layer, 0.5 ** (octave + 1) / (1 - 0.5 ** (octave + 1)))
        )
    return ImageOps.autocontrast(total) if total else Image.new("L", size)


def curve(mask: Image.Image, shape: Callable[[float], float]) -> Image.Image:
    """Return the mask with each value, 0..1, put through `shape`."""
    return mask.point([min(255, max(0, round(shape(value / 255) * 255))) for value in range(256)])


def dimmed(mask: Image.Image, strength: float) -> Image.Image:
    """Return the mask at a strength of 0..1."""
    return mask.point([round(value * strength) for value in range(256)])


def smoothstep(low: float, high: float) -> Profile:
    """Return a smooth step from 0 at `low` to 1 at `high`; falling when `high` is the smaller."""

    def step(value: float) -> float:
        t = min(1.0, max(0.0, (value - low) / (high - low)))
        return t * t * (3 - 2 * t)

    return step


def mapped(mask: Image.Image, stops: Sequence[Color]) -> Image.Image:
    """Return the mask's grays as colors: black is the first stop, white the last."""
    colors = ramp(stops)
    return Image.merge("RGB", [mask.point([rgb[part] for rgb in colors]) for part in range(3)])


def lit(image: Image.Image, paint: Color, mask: Image.Image) -> Image.Image:
    """Return the image with light of a color added through the mask."""
    bands = [mask.point([value * part // 255 for value in range(256)]) for part in paint]
    return ImageChops.screen(image, Image.merge("RGB", bands))


_RADIAL = Image.radial_gradient("L")  # black in the center, white in the corners


def halo(size: Size, center: Point, rx: float, ry: float | None = None, power: float = 2.0) -> Image.Image:
    """Return a mask that glows from the center to nothing at the radius; a higher power is tighter."""
    tall = rx if ry is None else ry
    box = max(2, round(rx * 2)), max(2, round(tall * 2))
    spot = curve(_RADIAL, lambda value: max(0.0, 1 - value * math.sqrt(2)) ** power)
    spot = spot.resize(box, Image.Resampling.BICUBIC)
    mask = Image.new("L", size)
    mask.paste(spot, (round(center[0] - rx), round(center[1] - tall)))
    return mask


def warp(image: Image.Image, rng: random.Random, strength: float, waves: float = 1.5) -> Image.Image:
    """Return the image bent as if it were liquid, by up to `strength` of its size."""
    width, height = image.size
    cells = min(20, width, height)  # none without a pixel
    phases = [rng.uniform(0, math.tau) for _ in range(8)]

    def bent(i: int, j: int) -> Point:
        x, y = i / cells, j / cells
        turn = math.tau * waves
        dx = math.sin(turn * y + phases[0]) + 0.6 * math.sin(turn * (1.7 * x - 0.8 * y) + phases[1])
        dy = math.sin(turn * x + phases[2]) + 0.6 * math.sin(turn * (1.3 * y + 1.1 * x) + phases[3])
        dx += 0.3 * math.sin(turn * 3.1 * y + phases[4])
        dy += 0.3 * math.sin(turn * 2.9 * x + phases[5])
        return (
            min(width - 1.0, max(0.0, (x + strength * dx * 0.5) * width)),
            min(height - 1.0, max(0.0, (y + strength * dy * 0.5) * height)),
        )

    corners = [[bent(i, j) for j in range(cells + 1)] for i in range(cells + 1)]
    mesh = []
    for i in range(cells):
        for j in range(cells):
            box = i * width // cells, j * height // cells, (i + 1) * width // cells, (j + 1) * height // cells
            quad = *corners[i][j], *corners[i][j + 1], *corners[i + 1][j + 1], *corners[i + 1][j]
            mesh.append((box, quad))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def profile(rng: random.Random, waves: float, octaves: int = 5, rough: float = 0.5) -> Profile:
    """Return a wandering line: a function of 0..1 with values of about -1..1."""
    layers = [
        ([rng.uniform(-1, 1) for _ in range(int(waves * 2**octave) + 4)], waves * 2**octave, rough**octave)
        for octave in range(octaves)
    ]
    total = sum(weight for _, _, weight in layers)

    def line(x: float) -> float:
        value = 0.0
        for knots, frequency, weight in layers:
            place = min(max(x, 0.0), 1.0) * frequency
            at = int(place)
            t = place - at
            value += weight * (knots[at] + (knots[at + 1] - knots[at]) * t * t * (3 - 2 * t))
        return value / total * 1.6

    return line


def grain(canvas: Canvas, strength: float = 5.0) -> None:
    """Give the picture the tooth of film, which also hides the steps of its gradients."""
    rng = canvas.fork()
    pixels = canvas.width * canvas.height
    raw = Image.frombytes("L", canvas.size, rng.randbytes(pixels))
    fine = raw.point([round(128 + (value / 127.5 - 1) * strength) for value in range(256)])
    canvas.image = ImageChops.add(canvas.image, Image.merge("RGB", (fine, fine, fine)), 1, -128)


def vignette(canvas: Canvas, strength: float) -> None:
    """Darken the corners a little, as a lens does."""
    spot = curve(_RADIAL.resize(canvas.soft_size), lambda value: strength * max(0.0, value - 0.45) ** 2 * 3)
    canvas.wash(mix(canvas.palette.deep, (0, 0, 0), 0.5), spot)


def shadow(canvas: Canvas, mask: Image.Image, strength: float) -> None:
    """Darken what lies behind a shape, softly and a little above it."""
    soft = mask.resize(canvas.soft_size, Image.Resampling.BOX)
    blurred = soft.filter(ImageFilter.GaussianBlur(canvas.unit / SOFTNESS * 0.016))
    moved = ImageChops.offset(blurred, 0, -max(1, round(canvas.unit * 0.0025)))
    canvas.wash(mix(canvas.palette.deep, (0, 0, 0), 0.3), dimmed(moved, strength))


def sheet(canvas: Canvas, bright: Color, dark: Color) -> Image.Image:
    """Return a sheet of paper that is lit unevenly."""
    size = canvas.soft_size
    place = canvas.rng.random() * size[0], canvas.rng.random() * size[1]
    light = halo(size, place, max(size) * 1.0, power=1.1)
    return mapped(light, (dark, bright, mix(bright, (255, 255, 255), 0.12))).resize(
        canvas.size, Image.Resampling.BILINEAR
    )


def leaf(at: Point, angle: float, length: float, slim: float, side: int) -> list[Point]:
    """Return a pointed leaf that starts at a point and curls to one side."""
    outline = []
    cos, sin = math.cos(angle), math.sin(angle)
    for i in range(-14, 15):
        t = 1 - abs(i) / 14
        wide = slim * length * math.sin(math.pi * t**0.8) * (1 if i < 0 else -1) * 0.5
        along, across = t * length, wide - side * 0.18 * length * t * t
        outline.append((at[0] + along * cos - across * sin, at[1] + along * sin + across * cos))
    return outline
