"""From a prompt to a picture, and what is said on the way."""

import re
from typing import Literal

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="package")

_SMALL = {"width": 64, "height": 64, "latency_s": 0}
_PAYLOADS = (
    "<img src=x onerror=\"document.title='ran'\">",
    "<script>document.title='ran'</script>",
    "<svg onload=\"document.title='ran'\"></svg>",
    "javascript:document.title='ran'",
    "</textarea></title><script>document.title='ran'</script>",
)


def stage(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("region", name="Stage")


def words(visitor: Visitor) -> Locator:
    return visitor.page.locator("[data-status-words]")


def button(visitor: Visitor, name: str) -> Locator:
    return visitor.page.get_by_role("button", name=name, exact=True)


async def write(visitor: Visitor, prompt: str) -> None:
    await visitor.page.get_by_label("Prompt", exact=True).fill(prompt)


async def generate(visitor: Visitor, prompt: str) -> None:
    await write(visitor, prompt)
    await visitor.page.get_by_role("button", name="Generate").click()


async def expect_picture(visitor: Visitor) -> None:
    """Wait until the stage shows a picture that has developed."""
    picture = stage(visitor).locator('img[data-sharp="true"]').first
    await expect(picture).to_be_visible()
    assert await picture.evaluate("(image) => image.naturalWidth") > 0
    await expect(words(visitor)).to_have_text(re.compile(r"^Made in \d"))


async def test_a_prompt_becomes_a_picture(visitor: Visitor) -> None:
    await visitor.open()
    await expect(visitor.page.get_by_role("heading", name="Nothing developed yet")).to_be_visible()
    await generate(visitor, "A lighthouse in a storm")
    await expect(stage(visitor).get_by_role("heading")).to_have_text("A lighthouse in a storm")
    await expect_picture(visitor)


async def test_what_is_chosen_is_what_is_made(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.get_by_text("16:9", exact=True).click()
    await visitor.page.get_by_role("radiogroup", name="Number of outputs").get_by_text("3").click()
    await visitor.page.get_by_label("Seed", exact=True).fill("7")
    await generate(visitor, "Mountains")
    await expect(stage(visitor).locator('img[data-sharp="true"]')).to_have_count(3)
    [job] = await visitor.jobs()
    assert job["parameters"] == {"aspect_ratio": "16:9", "num_outputs": 3, "seed": 7}


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
async def test_keys_submit_the_prompt(visitor: Visitor, keys: str) -> None:
    await visitor.open()
    await write(visitor, "Dunes")
    await visitor.page.keyboard.press(keys)
    await expect_picture(visitor)
    assert [job["prompt"] for job in await visitor.jobs()] == ["Dunes"]


async def test_an_example_fills_the_composer(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.get_by_role("button", name="A bold portrait").click()
    await expect(visitor.page.get_by_label("Prompt", exact=True)).to_have_value(re.compile("portrait"))
    await expect(visitor.page.get_by_label("2:3")).to_be_checked()


async def test_mock_mode_says_so_and_how_to_leave_it(visitor: Visitor) -> None:
    await visitor.open()
    await expect(visitor.page.get_by_text("Mock mode:")).to_be_visible()
    await button(visitor, "Connect a provider").click()
    await expect(visitor.page.get_by_role("dialog")).to_contain_text("REPLICATE_API_TOKEN=")


async def test_a_double_click_makes_one_job(visitor: Visitor) -> None:
    await visitor.open()
    await write(visitor, "Ribbons")
    await visitor.page.get_by_role("button", name="Generate").dblclick()
    await expect_picture(visitor)
    assert len(await visitor.jobs()) == 1


async def test_a_running_job_says_how_far_it_is(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.submit_elsewhere("The sea", latency_s=6)
    bar = stage(visitor).get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d$"))
    await expect(visitor.page.locator("[data-time-words]")).to_have_text(re.compile(r"^[1-9] s so far"))
    await expect(words(visitor)).to_have_text("Mock is making it")


async def test_a_picture_takes_the_place_that_was_kept_for_it(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.submit_elsewhere("The sea", aspect_ratio="3:2", latency_s=2)
    await expect(words(visitor)).to_have_text("Mock is making it")
    sheet = stage(visitor).locator("[data-sheet]")
    kept = await sheet.bounding_box()
    await expect_picture(visitor)
    assert await sheet.bounding_box() == kept


async def test_a_job_can_be_canceled_by_button_and_by_key(visitor: Visitor) -> None:
    await visitor.open()
    for prompt in ("An endless dune", "An endless sea"):
        await visitor.submit_elsewhere(prompt, fault="never_finishes")
        await expect(stage(visitor).get_by_role("heading")).to_have_text(prompt)
        if "dune" in prompt:
            await button(visitor, "Cancel").click()
        else:
            await visitor.page.keyboard.press("x")
        await expect(words(visitor)).to_have_text("Canceled")
    assert [job["status"] for job in await visitor.jobs()] == ["canceled", "canceled"]


async def test_a_job_that_waits_for_its_next_try_says_when_that_is(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.submit_elsewhere("Agate", fault="unauthorized")
    await expect(words(visitor)).to_contain_text("refuses the token")
    await expect(visitor.page.locator("[data-time-words]")).to_contain_text("Trying again in")


async def test_a_failed_job_says_why_and_works_when_tried_again(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.submit_elsewhere("A fern", fault="failure", fault_times=1, latency_s=0)
    await expect(words(visitor)).to_have_text("Failed")
    [failed] = await visitor.jobs()
    await expect(stage(visitor)).to_contain_text(f"{failed['error_message']}. Nothing was charged.")
    await button(visitor, "Try again").click()
    await expect_picture(visitor)
    assert (await visitor.jobs())[0]["retry_of"] == failed["id"]


async def test_a_failed_job_can_be_edited_and_run_again(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.submit_elsewhere("A fern", fault="failure", latency_s=0, steps=20)
    await stage(visitor).get_by_role("link", name="Edit and run again").click()
    await expect(visitor.page.get_by_label("Prompt", exact=True)).to_have_value("A fern")
    await visitor.page.get_by_text("More", exact=True).click()
    await expect(visitor.page.get_by_label("Fault", exact=True)).to_have_value("failure")
    await expect(visitor.page.get_by_label("Other parameters (JSON)")).to_have_value(
        re.compile('"steps": 20')
    )
    await expect(visitor.page).to_have_url(f"{visitor.server.url}/")


async def test_the_address_fills_the_composer(visitor: Visitor) -> None:
    await visitor.open('/?prompt=Two%20moons&parameters={"seed":7}&aspect_ratio=3:2')
    await expect(visitor.page.get_by_label("Prompt", exact=True)).to_have_value("Two moons")
    await expect(visitor.page.get_by_label("Seed", exact=True)).to_have_value("7")
    await expect(visitor.page.get_by_label("3:2", exact=True)).to_be_checked()


async def test_what_is_typed_survives_a_reload(visitor: Visitor) -> None:
    await visitor.open()
    await write(visitor, "Half a thought")
    await visitor.page.get_by_label("Seed", exact=True).fill("12")
    await visitor.open()
    await expect(visitor.page.get_by_label("Prompt", exact=True)).to_have_value("Half a thought")
    await expect(visitor.page.get_by_label("Seed", exact=True)).to_have_value("12")


async def test_what_the_server_refuses_is_said_at_its_field(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.get_by_label("Seed", exact=True).fill("99999999999")
    await generate(visitor, "Agate")
    seed = visitor.page.get_by_label("Seed", exact=True)
    await expect(seed).to_have_attribute("aria-invalid", "true")
    await expect(seed).to_have_accessible_description(re.compile("4294967295"))
    assert await visitor.jobs() == []
    visitor.forgive("422")  # the browser notes the status


async def test_nothing_of_a_long_prompt_is_cut_off_in_silence(visitor: Visitor) -> None:
    await visitor.open()
    prompt = visitor.page.get_by_label("Prompt", exact=True)
    await prompt.fill("\N{SPARKLES}" * 10_000)
    await expect(prompt).to_have_accessible_description("0 characters left")
    await prompt.fill("\N{SPARKLES}" * 10_002)
    await expect(prompt).to_have_accessible_description(re.compile("2 characters too many"))
    await visitor.page.keyboard.press("Control+Enter")
    await expect(prompt).to_have_accessible_description(re.compile("10000|10,000"))
    assert await visitor.jobs() == []
    visitor.forgive("422")  # the browser notes the status


async def test_an_empty_prompt_is_not_sent(visitor: Visitor) -> None:
    await visitor.open()
    await generate(visitor, "  \n ")
    await expect(visitor.page.get_by_text("Write a prompt first.")).to_be_visible()
    assert await visitor.jobs() == []


async def test_a_prompt_submitted_while_the_server_is_away_is_made_once_it_is_back(visitor: Visitor) -> None:
    await visitor.open()
    await expect(visitor.page.get_by_role("button", name="Model: mock/darkroom")).to_be_visible()
    await expect(visitor.page.get_by_role("region", name=re.compile("Notifications"))).to_be_attached()
    await visitor.server.kill()  # with the whole page there
    await generate(visitor, "Ribbons")
    await expect(words(visitor)).to_contain_text("it is sent once it is back")
    await visitor.server.start()
    await expect_picture(visitor)
    assert [job["prompt"] for job in await visitor.jobs()] == ["Ribbons"]
    visitor.forgive("net::ERR_")


async def test_markup_in_prompts_is_text_and_runs_nothing(visitor: Visitor) -> None:
    await visitor.open()
    for payload in _PAYLOADS:
        await visitor.submit_elsewhere(payload, **_SMALL)
        await expect(stage(visitor).get_by_role("heading")).to_have_text(payload)
        await expect_picture(visitor)
    assert await visitor.page.title() != "ran"


@pytest.mark.parametrize("fault", ["html_output", "svg_output"])
async def test_an_output_with_a_script_is_offered_as_a_file_and_does_not_run(
    visitor: Visitor, fault: str
) -> None:
    await visitor.open()
    await visitor.submit_elsewhere("A trap", fault=fault, latency_s=0)
    async with visitor.page.expect_download() as saved:
        await visitor.page.get_by_role("link", name="Download the first file").click()
    assert (await saved.value).url.startswith(f"{visitor.server.url}/api/v1/media/")
    assert await visitor.page.title() != "a script in an output ran"


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_nothing_sticks_out_and_axe_is_content_at_any_width(
    visitor: Visitor, scheme: Literal["dark", "light"]
) -> None:
    await visitor.page.emulate_media(color_scheme=scheme)
    await visitor.open()
    await visitor.submit_elsewhere("A panorama", width=1024, height=128, latency_s=0)
    await visitor.submit_elsewhere("F" * 300, fault="failure", latency_s=0)
    await visitor.submit_elsewhere("غروب فوق البحر", fault="never_finishes")
    await visitor.submit_elsewhere("W" * 3000, **_SMALL)
    await expect_picture(visitor)
    for width in (360, 768, 1440):
        await visitor.page.set_viewport_size({"width": width, "height": 800})
        assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= width
        assert await visitor.serious_faults() == [], width
