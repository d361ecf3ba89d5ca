"""The painter: the same words and seed give the same picture, and other ones another."""

import random
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageStat

from mediagen.providers.painting import paint
from mediagen.providers.painting.brushes import Canvas, warp
from mediagen.providers.painting.elements import rainfall, snowfall
from mediagen.providers.painting.order import read_orders
from mediagen.providers.painting.palettes import PALETTES, mix
from mediagen.providers.painting.reading import SUITED, Idea, read

WORDS = {
    "mountains": "mountains",
    "sea": "sea",
    "dunes": "dunes",
    "forest": "forest",
    "city": "city",
    "aurora": "aurora",
    "space": "galaxy",
    "embers": "campfire",
    "ribbons": "ribbons",
    "threads": "silk",
    "geometry": "geometric",
    "botanical": "flowers",
    "agate": "marble",
    "portrait": "portrait",
}


def idea(prompt: str, seed: int = 1) -> Idea:
    return read(prompt, random.Random(seed))


def distance(one: Image.Image, other: Image.Image) -> float:
    """Return how far apart two pictures are at a glance: the mean difference of their small versions."""
    first, second = (picture.resize((16, 16), Image.Resampling.BOX).tobytes() for picture in (one, other))
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)


# --- the picture


@pytest.mark.parametrize("motif", SUITED)
def test_the_same_prompt_and_seed_give_the_same_bytes(motif: str) -> None:
    assert paint(WORDS[motif], 7, 160, 96).tobytes() == paint(WORDS[motif], 7, 160, 96).tobytes()


@pytest.mark.parametrize("motif", SUITED)
@pytest.mark.parametrize("size", [(64, 64), (97, 65), (64, 1024), (1024, 64)])
def test_a_picture_has_the_size_that_was_asked_for(motif: str, size: tuple[int, int]) -> None:
    assert paint(WORDS[motif], 3, *size).size == size


@pytest.mark.parametrize("motif", SUITED)
def test_a_picture_is_neither_flat_nor_burnt_out(motif: str) -> None:
    gray = ImageStat.Stat(paint(WORDS[motif], 5, 192, 192).convert("L"))
    assert gray.stddev[0] > 8
    assert 8 < gray.mean[0] < 247


@pytest.mark.parametrize("motif", SUITED)
def test_another_seed_gives_another_picture(motif: str) -> None:
    assert distance(paint(WORDS[motif], 1, 128, 128), paint(WORDS[motif], 2, 128, 128)) > 1


def test_other_words_of_the_same_meaning_give_another_picture() -> None:
    assert distance(paint("a stormy ocean", 1, 128, 128), paint("a stormy sea", 1, 128, 128)) > 1


def test_a_picture_is_the_same_at_any_size() -> None:
    small, large = paint("misty mountains", 4, 128, 128), paint("misty mountains", 4, 512, 512)
    assert distance(small, large) < distance(small, paint("misty mountains", 5, 512, 512)) / 2


def test_black_and_white_is_without_color() -> None:
    saturation = paint("city at sunset, black and white", 1, 128, 128).convert("HSV").getchannel("S")
    assert ImageStat.Stat(saturation).mean[0] < 20


@pytest.mark.parametrize("prompt", ["", "\ud800", "\x00", "雪の山", "🌊" * 5000, "a " * 100_000])
def test_any_text_can_be_painted(prompt: str) -> None:
    assert paint(prompt, 0, 64, 64).size == (64, 64)


# --- what is read in a prompt


@pytest.mark.parametrize("motif", SUITED)
def test_a_known_word_chooses_the_motif(motif: str) -> None:
    assert {idea(WORDS[motif], seed).motif for seed in range(8)} == {motif}


def test_the_first_known_word_chooses_the_motif() -> None:
    assert idea("portrait of a woman by the sea").motif == "portrait"


def test_a_plural_is_known_too() -> None:
    assert idea("two Mountains!").motif == "mountains"


def test_a_word_for_the_light_chooses_the_palette() -> None:
    assert idea("mountains at sunset").palette == "dusk"


def test_a_word_for_the_light_wins_over_that_of_the_motif() -> None:
    assert idea("a desert at night").palette == "night"


@pytest.mark.parametrize(("prompt", "weather"), [("a snowy city", "snow"), ("rain", "rain"), ("city", None)])
def test_the_weather_is_read(prompt: str, weather: str | None) -> None:
    assert idea(prompt).weather == weather


@pytest.mark.parametrize("weather", ["snow", "rain"])
def test_the_weather_falls_all_over_the_picture(weather: str) -> None:
    night = (10, 10, 30)
    canvas = Canvas((256, 256), PALETTES["night"], random.Random(1))
    canvas.image.paste(night, (0, 0, 256, 256))
    {"snow": snowfall, "rain": rainfall}[weather](canvas)
    quarters = [canvas.image.crop((x, y, x + 128, y + 128)) for x in (0, 128) for y in (0, 128)]
    assert all(ImageStat.Stat(quarter).mean[0] > night[0] + 0.2 for quarter in quarters)


def test_unknown_words_leave_the_choice_to_the_seed() -> None:
    assert len({idea("zxqv", seed).motif for seed in range(60)}) >= 6


@pytest.mark.parametrize("word", ["sunset", "neon", "stormy", "pastel", "green", "frozen", "arid orange"])
def test_a_word_for_the_light_alone_chooses_a_motif_that_it_becomes(word: str) -> None:
    found = idea(word)
    assert found.palette in SUITED[found.motif]


def test_flames_are_never_painted_unasked() -> None:
    assert "embers" not in {idea("breakfast", seed).motif for seed in range(100)}


def test_each_motif_names_palettes_that_exist() -> None:
    assert {palette for palettes in SUITED.values() for palette in palettes} <= PALETTES.keys()


def test_a_mix_begins_and_ends_with_its_colors() -> None:
    dark, light = (12, 40, 90), (250, 200, 120)
    assert (mix(dark, light, 0.0), mix(dark, light, 1.0)) == (dark, light)


# --- orders


def order_of(**parameters: Any) -> tuple[int, int]:
    order = read_orders(parameters, 0)[0]
    return order.width, order.height


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("1:1", (1024, 1024)),
        ("16:9", (1344, 768)),
        ("9:16", (768, 1344)),
        ("4:3", (1152, 896)),
        ("21:9", (1536, 640)),
        ("1000:1", (2048, 512)),
        ("0:0", (1024, 1024)),
        ("match_input_image", (1024, 1024)),
    ],
)
def test_the_aspect_ratio_shapes_the_picture(ratio: str, size: tuple[int, int]) -> None:
    assert order_of(aspect_ratio=ratio) == size


def test_width_and_height_win_over_the_aspect_ratio() -> None:
    assert order_of(aspect_ratio="16:9", width=300, height=200) == (300, 200)


@pytest.mark.parametrize(
    ("value", "width"),
    [
        (1, 64),
        (-5, 64),
        (99_999, 2048),
        (10**400, 2048),
        (640.9, 640),
        (float("nan"), 1024),
        (float("inf"), 1024),
        ("800", 1024),
        (True, 1024),
        (None, 1024),
        ([], 1024),
    ],
)
def test_an_odd_width_is_bent_into_range(value: Any, width: int) -> None:
    assert order_of(width=value)[0] == width


@pytest.mark.parametrize(("value", "count"), [(0, 1), (3, 3), (50, 4), ("2", 1), (None, 1)])
def test_the_number_of_outputs_is_kept_in_range(value: Any, count: int) -> None:
    assert len(read_orders({"num_outputs": value}, 0)) == count


def test_each_output_has_a_seed_of_its_own() -> None:
    assert [order.seed for order in read_orders({"seed": 2**32 - 1, "num_outputs": 2}, 0)] == [2**32 - 1, 0]


@pytest.mark.parametrize("value", [None, "7", True, float("nan")])
def test_without_a_seed_the_own_one_is_taken(value: Any) -> None:
    assert read_orders({"seed": value}, 11)[0].seed == 11


@pytest.mark.parametrize(
    ("name", "format_", "media_type"),
    [
        ("png", "PNG", "image/png"),
        ("webp", "WEBP", "image/webp"),
        ("jpeg", "JPEG", "image/jpeg"),
        ("jpg", "JPEG", "image/jpeg"),
        ("JPG", "JPEG", "image/jpeg"),
        ("tiff", "PNG", "image/png"),
        (None, "PNG", "image/png"),
    ],
)
def test_the_file_has_the_format_that_was_asked_for(name: Any, format_: str, media_type: str) -> None:
    order = read_orders({"output_format": name, "width": 64, "height": 64}, 0)[0]
    data, claimed = order.render()
    assert (Image.open(BytesIO(data)).format, claimed) == (format_, media_type)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (19, 40), (64, 3)])
def test_pictures_with_less_than_a_pixel_for_each_cell_can_be_bent(size: tuple[int, int]) -> None:
    assert warp(Image.new("L", size), random.Random(1), 0.2).size == size
