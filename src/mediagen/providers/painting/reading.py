"""What the painter reads in a prompt: a motif, a palette, the weather. It knows some English, no more."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Idea:
    """What to paint."""

    motif: str
    palette: str
    weather: str | None = None  # snow, rain
    gray: bool = False
    words: frozenset[str] = frozenset()  # all that we know of the prompt, in the singular


def _words(table: Mapping[str, str]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words.split()}


_MOTIFS = _words(
    {
        "mountains": """mountain alp alpine peak valley hill ridge cliff landscape highland canyon himalaya
            scenery fuji volcano glacier countryside castle dragon""",
        "sea": """sea ocean beach wave coast lake water island harbor harbour shore boat ship sail sailboat yacht
            lighthouse fish whale surf underwater river bay pirate""",
        "dunes": "desert dune sand sahara camel oasis egypt pyramid mars arabia",
        "forest": "forest wood tree jungle pine fairy elf wolf bear fox deer owl camping moss path",
        "city": """city skyline street urban building tower tokyo york london pari skyscraper cyberpunk
            metropoli town architecture car noir dystopian""",
        "aurora": "aurora boreali northern arctic iceland norway lapland finland",
        "space": """space galaxy planet star nebula cosmo cosmic universe astronaut moon rocket spaceship
            alien saturn jupiter orbit solar milky scifi""",
        "embers": "fire flame ember burning lava inferno phoenix campfire bonfire hell candle",
        "ribbons": "ribbon paper layer layered fold curve minimal minimalist wallpaper gradient rainbow",
        "threads": """silk thread line neural network data music sound string energy motion technology
            quantum ai""",
        "geometry": """geometric geometry bauhau abstract pattern poster mosaic tile shape cubism mondrian
            kandinsky retro logo icon quilt""",
        "botanical": """flower floral plant leaf garden botanical rose tulip sunflower bouquet blossom meadow
            spring herb petal lotu orchid butterfly bee""",
        "agate": """marble agate liquid ink fluid stone crystal gem gold smoke watercolor paint oil texture
            mineral""",
        "portrait": """portrait woman man girl boy face person lady queen king warrior princess headshot
            selfie human character people child grandmother""",
    }
)
"""Words by what they make the painter paint; without a plural's s."""

_PALETTES = _words(
    {
        "dawn": "dawn sunrise morning mist misty fog foggy dreamy",
        "dusk": "dusk sunset evening twilight purple violet magenta vaporwave",
        "golden": "golden gold summer honey warm sun sunny yellow afternoon amber",
        "day": "day noon blue sky clear bright daylight cobalt",
        "night": "night midnight moon moonlight moonlit dark starry nocturnal",
        "storm": "storm stormy rain rainy thunder gray grey gloomy moody noir",
        "snow": "snow snowy winter ice icy frozen frost glacier arctic cold",
        "desert": "desert sand sahara dune terracotta mars clay earth orange",
        "fire": "fire flame lava inferno hell volcano burning ember",
        "wood": "forest wood jungle green moss emerald nature",
        "autumn": "autumn fall october harvest rust brown november maple",
        "neon": "neon cyberpunk synthwave futuristic glow electric glowing hologram laser",
        "pastel": "pastel soft cute kawaii candy baby delicate unicorn",
        "lagoon": "lagoon teal turquoise tropical cyan aqua underwater mint",
        "rose": "rose pink love romantic cherry blossom blush valentine red",
    }
)

_WEATHER = _words(
    {"snow": "snow snowy snowing snowfall blizzard christma", "rain": "rain rainy raining storm"}
)
_GRAY = frozenset(["monochrome", "grayscale", "greyscale", "noir", "bw"])

SUITED: Mapping[str, Sequence[str]] = {
    "mountains": ("dawn", "dusk", "snow", "golden", "lagoon", "rose", "night", "pastel"),
    "sea": ("dusk", "dawn", "day", "lagoon", "night", "golden", "rose", "storm"),
    "dunes": ("desert", "golden", "dusk", "rose", "night"),
    "forest": ("wood", "dawn", "autumn", "night", "golden", "snow"),
    "city": ("dusk", "neon", "night", "golden", "dawn", "storm"),
    "aurora": ("night", "neon", "lagoon"),
    "space": ("neon", "night", "dusk", "lagoon", "rose"),
    "embers": ("fire",),
    "ribbons": ("dusk", "lagoon", "pastel", "desert", "rose", "golden", "autumn", "day"),
    "threads": ("neon", "dusk", "lagoon", "dawn", "rose"),
    "geometry": ("golden", "lagoon", "rose", "desert", "day", "autumn", "pastel"),
    "botanical": ("day", "rose", "desert", "golden", "pastel", "autumn", "dawn", "wood"),
    "agate": ("lagoon", "dusk", "rose", "day", "desert", "neon"),
    "portrait": ("dawn", "lagoon", "desert", "rose", "dusk", "autumn", "golden"),
}
"""Motifs, and the palettes that become them when the prompt names none."""


def read(prompt: str, rng: random.Random) -> Idea:
    """Return what a prompt asks for; what it leaves open is left to chance."""
    words = [_singular(word) for word in re.findall(r"[a-z]+", prompt.lower()[:2000])]
    subject = next((word for word in words if word in _MOTIFS), None)
    palette = _first([word for word in words if word != subject], _PALETTES) or _first(words, _PALETTES)
    suited = [motif for motif, palettes in SUITED.items() if _suits(palettes, palette)]
    motif = _MOTIFS[subject] if subject else rng.choice(suited)
    return Idea(
        motif=motif,
        palette=palette or rng.choice(SUITED[motif]),
        weather=_first(words, _WEATHER),
        gray=not _GRAY.isdisjoint(words) or "black and white" in prompt.lower(),
        words=frozenset(words),
    )


def _suits(palettes: Sequence[str], palette: str | None) -> bool:
    """Tell whether a motif fits the palette; one with a single palette is never painted unasked."""
    return palette in palettes if palette else len(palettes) > 1


def _first(words: Sequence[str], table: Mapping[str, str]) -> str | None:
    return next((table[word] for word in words if word in table), None)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
