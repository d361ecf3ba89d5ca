"""What stays while pages change: tabs, keys, themes, addresses, and the bar while the server is away."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_keys_switch_the_tabs(visitor: Visitor) -> None:
    await visitor.open()
    for key, path in (("h", "/history"), ("a", "/architecture"), ("g", "/")):
        await visitor.page.keyboard.press(key)
        await expect(visitor.page).to_have_url(f"{visitor.server.url}{path}")


async def test_the_palette_goes_where_it_is_told(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.keyboard.press("Control+k")
    await visitor.page.get_by_placeholder("What do you want to do?").fill("archi")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page).to_have_url(f"{visitor.server.url}/architecture")
    await expect(visitor.page.get_by_role("dialog")).to_have_count(0)


async def test_a_question_mark_lists_the_keys(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.keyboard.press("?")
    await expect(visitor.page.get_by_role("dialog", name="Keys")).to_contain_text("Go to History")
    await visitor.page.keyboard.press("Escape")
    await expect(visitor.page.get_by_role("dialog")).to_have_count(0)


async def test_the_theme_follows_the_system_until_one_is_chosen(visitor: Visitor) -> None:
    html = visitor.page.locator("html")
    await visitor.page.emulate_media(color_scheme="light")
    await visitor.open()
    await expect(html).to_have_attribute("data-theme", "light")
    await visitor.page.emulate_media(color_scheme="dark")
    await expect(html).to_have_attribute("data-theme", "dark")
    await visitor.page.get_by_role("button", name="Theme:").click()
    await visitor.page.get_by_role("menuitemradio", name="Light").click()
    await expect(html).to_have_attribute("data-theme", "light")
    await visitor.open()
    await expect(html).to_have_attribute("data-theme", "light")


async def test_an_unknown_address_is_a_page_that_says_so(visitor: Visitor) -> None:
    await visitor.open("/nothing/here")
    await expect(visitor.page.get_by_role("heading", name="There is nothing at this address")).to_be_visible()
    visitor.forgive("404")


@pytest.mark.parametrize("path", ["/", "/history", "/architecture", "/nothing"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_axe_finds_nothing_serious(visitor: Visitor, path: str, scheme: str) -> None:
    await visitor.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await visitor.open(path)
    await expect(visitor.page.get_by_role("heading", level=1).first).to_be_attached()
    assert await visitor.serious_faults() == []
    visitor.forgive("404")


async def test_a_bar_says_that_nothing_is_lost_while_the_server_is_away(visitor: Visitor) -> None:
    await visitor.open("/history")
    await expect(visitor.page.get_by_text("Nothing developed yet")).to_be_visible()
    await visitor.server.kill()
    await expect(visitor.page.get_by_text("Reconnecting; nothing is lost")).to_be_visible()
    await visitor.server.start()
    await expect(visitor.page.get_by_text("Reconnecting; nothing is lost")).to_be_hidden()
    visitor.forgive("net::ERR_")
