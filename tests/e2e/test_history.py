"""The gallery: filters in the address, live news, the picture shown large, choosing, saving, deleting."""

import re
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.conftest import Visitor
from tests.release import gate

pytestmark = pytest.mark.asyncio(loop_scope="package")

QUICK = {"width": 256, "height": 256, "latency": 0}


def tiles(visitor: Visitor, status: str | None = None) -> Locator:
    return visitor.page.locator(f"[data-job][data-status={status}]" if status else "[data-job]")


async def made(visitor: Visitor, *prompts: str) -> list[str]:
    """Let other clients make these, oldest first, and wait until the gallery shows them finished."""
    await visitor.open("/history")
    ids = [await visitor.submit_elsewhere(prompt, **QUICK) for prompt in prompts]
    await expect(tiles(visitor, "completed")).to_have_count(len(prompts))
    return ids


async def test_what_others_make_appears_and_develops(visitor: Visitor) -> None:
    await visitor.open("/history")
    await expect(visitor.page.get_by_text("Nothing developed yet")).to_be_visible()
    await visitor.submit_elsewhere("a paper boat", **QUICK)
    await expect(tiles(visitor)).to_have_count(1)
    await expect(tiles(visitor, "completed").locator("img[data-sharp=true]")).to_be_visible()


async def test_another_tab_shows_the_same(visitor: Visitor) -> None:
    other = await visitor.page.context.new_page()
    await other.goto(f"{visitor.server.url}/history")
    await made(visitor, "a paper boat")
    await expect(other.locator("[data-status=completed]")).to_have_count(1)


async def test_filters_narrow_the_gallery_and_live_in_the_address(visitor: Visitor) -> None:
    await made(visitor, "a red fox", "a blue whale")
    await visitor.submit_elsewhere("a fox that fails", fault="failure", **QUICK)
    await expect(tiles(visitor, "failed")).to_have_count(1)
    await visitor.page.keyboard.press("/")
    await visitor.page.keyboard.type("FOX")
    await expect(tiles(visitor)).to_have_count(2)
    await visitor.page.get_by_role("button", name="Filter by status").click()
    await visitor.page.get_by_role("menuitemradio", name="Failed").click()
    await expect(tiles(visitor)).to_have_count(1)
    await expect(visitor.page).to_have_url(re.compile(r"q=FOX&status=failed"))
    await visitor.page.reload()
    await expect(tiles(visitor)).to_have_count(1)
    await visitor.page.get_by_role("button", name="Clear all").click()
    await expect(tiles(visitor)).to_have_count(3)


async def test_filters_that_match_nothing_say_so_and_can_be_cleared(visitor: Visitor) -> None:
    await made(visitor, "a red fox")
    await visitor.open("/history?q=elephant&status=failed")
    await expect(visitor.page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    await visitor.page.get_by_role("button", name="Clear the filters").click()
    await expect(tiles(visitor)).to_have_count(1)


async def test_the_lightbox_is_driven_by_keys(visitor: Visitor) -> None:
    first, second = await made(visitor, "the first", "the second")
    box = visitor.page.get_by_role("dialog")
    await visitor.page.locator(f"[data-job='{second}']").press("Enter")
    await expect(box.get_by_role("img", name="the second")).to_be_visible()
    await visitor.page.keyboard.press("ArrowRight")
    await expect(box.get_by_role("img", name="the first")).to_be_visible()
    await expect(visitor.page).to_have_url(re.compile(first))
    await visitor.page.keyboard.press("i")
    await expect(box.get_by_role("heading", name="Timeline")).to_be_visible()
    async with visitor.page.expect_download() as download:
        await visitor.page.keyboard.press("d")
    assert (await download.value).suggested_filename.endswith(".png")
    assert await visitor.serious_faults() == []
    await visitor.page.keyboard.press("Escape")
    await expect(box).to_have_count(0)
    await expect(visitor.page).to_have_url(f"{visitor.server.url}/history")


async def test_the_address_opens_the_lightbox_and_back_closes_it(visitor: Visitor) -> None:
    [job_id] = await made(visitor, "a paper boat")
    await visitor.page.locator(f"[data-job='{job_id}']").click()
    await expect(visitor.page.get_by_role("dialog")).to_be_visible()
    await visitor.page.reload()
    await expect(visitor.page.get_by_role("dialog").get_by_role("img", name="a paper boat")).to_be_visible()
    await visitor.page.go_back()
    await expect(visitor.page.get_by_role("dialog")).to_have_count(0)


async def test_r_brings_prompt_and_parameters_back_to_the_form(visitor: Visitor) -> None:
    [job_id] = await made(visitor, "a paper boat")
    await visitor.open(f"/history?job={job_id}")
    await expect(visitor.page.get_by_role("dialog")).to_be_visible()
    await visitor.page.keyboard.press("i")
    await visitor.page.get_by_role("link", name="Use again").click()
    await expect(visitor.page.get_by_label("Prompt", exact=True)).to_have_value("a paper boat")
    await expect(visitor.page.get_by_role("button", name="Model: mock/darkroom")).to_be_visible()


async def test_chosen_jobs_are_saved_as_one_archive(visitor: Visitor, tmp_path: Path) -> None:
    await made(visitor, "the first", "the second", "the third")
    await tiles(visitor).nth(0).click(modifiers=["Control"])
    await tiles(visitor).nth(2).click(modifiers=["Shift"])
    bar = visitor.page.get_by_role("toolbar", name="Chosen jobs")
    await expect(bar).to_contain_text("3 chosen")
    async with visitor.page.expect_download() as download:
        await bar.get_by_role("button", name="Download as zip").click()
    await (await download.value).save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        names = sorted(archive.namelist())
        assert [name[:9] for name in names] == ["the-first", "the-secon", "the-third"]
        assert {archive.read(name)[:8] for name in names} == {b"\x89PNG\r\n\x1a\n"}


async def test_deleting_can_be_undone_and_else_happens(visitor: Visitor) -> None:
    keep, drop = await made(visitor, "to keep", "to drop")
    for job_id in (keep, drop):
        await visitor.page.locator(f"[data-job='{job_id}']").click(modifiers=["Control"])
        await visitor.page.keyboard.press("Delete")
        await expect(visitor.page.locator(f"[data-job='{job_id}']")).to_have_count(0)
        if job_id == keep:
            await visitor.page.get_by_role("button", name="Undo").click()
            await expect(visitor.page.locator(f"[data-job='{keep}']")).to_be_visible()
    async with visitor.page.expect_response(lambda answer: answer.request.method == "DELETE") as gone:
        pass
    assert (await gone.value).status == 204
    assert [job["id"] for job in await visitor.jobs()] == [keep]


async def test_arrow_keys_walk_through_the_gallery(visitor: Visitor) -> None:
    ids = await made(visitor, "one", "two", "three")
    await visitor.page.locator(f"[data-job='{ids[2]}']").focus()
    await visitor.page.keyboard.press("ArrowRight")
    await expect(visitor.page.locator(f"[data-job='{ids[1]}']")).to_be_focused()
    await visitor.page.keyboard.press("ArrowLeft")
    await expect(visitor.page.locator(f"[data-job='{ids[2]}']")).to_be_focused()


@pytest.mark.parametrize("width", gate([360, 768, 1440], 360, 1440))
@pytest.mark.parametrize("scheme", gate(["dark", "light"], "light"))
async def test_it_fits_every_width_in_both_themes(visitor: Visitor, width: int, scheme: str) -> None:
    await visitor.page.set_viewport_size({"width": width, "height": 800})
    await visitor.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await made(visitor, "one", "two")
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    assert await visitor.serious_faults() == []
