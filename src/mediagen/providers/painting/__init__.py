"""A painter that needs no network, no model and no money: the same prompt and seed give the same picture."""

import hashlib
import random
from collections.abc import Callable, Mapping

from PIL import Image, ImageOps

from mediagen.providers.painting import elements, landscapes, nocturnes, portraits, studies
from mediagen.providers.painting.brushes import Canvas, grain, vignette
from mediagen.providers.painting.palettes import PALETTES
from mediagen.providers.painting.reading import Idea, read

_PLACES: Mapping[str, Callable[[Canvas], None]] = {
    "mountains": landscapes.mountains,
    "sea": landscapes.sea,
    "dunes": landscapes.dunes,
    "forest": landscapes.forest,
    "city": nocturnes.city,
    "aurora": nocturnes.aurora,
    "space": nocturnes.space,
    "embers": nocturnes.embers,
}
_STUDIES: Mapping[str, Callable[[Canvas], None]] = {
    "ribbons": studies.ribbons,
    "threads": studies.threads,
    "geometry": studies.geometry,
    "botanical": studies.botanical,
    "agate": studies.agate,
    "portrait": portraits.portrait,
}
_BIRDS_AT = frozenset({"mountains", "sea", "dunes"})


def paint(prompt: str, seed: int, width: int, height: int) -> Image.Image:
    """Paint an RGB picture of a size in pixels, 64 and more; the same arguments give the same pixels again."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode(errors="surrogatepass")).digest()
    rng = random.Random(int.from_bytes(digest))  # noqa: S311  it only paints
    idea = read(prompt, rng)
    canvas = Canvas((width, height), PALETTES[idea.palette], rng, idea.words)
    if idea.motif in _PLACES:
        _PLACES[idea.motif](canvas)
        _weather(canvas, idea)
        vignette(canvas, 0.35)
    else:
        _STUDIES[idea.motif](canvas)
        vignette(canvas, 0.14)
    if idea.gray:
        canvas.image = ImageOps.colorize(
            canvas.image.convert("L"), (12, 12, 14), (250, 248, 244), (126, 125, 124)
        )
    grain(canvas)
    return canvas.image


def _weather(canvas: Canvas, idea: Idea) -> None:
    if idea.motif in _BIRDS_AT and not canvas.palette.dark and ("bird" in idea.words or canvas.chance(0.3)):
        elements.birds(canvas)
    if idea.weather == "snow":
        elements.snowfall(canvas)
    elif idea.weather == "rain":
        elements.rainfall(canvas)
