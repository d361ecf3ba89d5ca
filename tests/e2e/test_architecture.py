"""The living system: its parts, the jobs that pass, the last hour, and how it looks when something is broken."""

import re

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.conftest import Visitor
from tests.release import gate

pytestmark = pytest.mark.asyncio(loop_scope="package")

QUICK = {"width": 64, "height": 64, "latency_s": 0}


def part(visitor: Visitor, name: str) -> Locator:
    return visitor.page.locator(f"[data-part='{name}']")


async def test_the_parts_of_this_installation_are_shown_with_their_health(visitor: Visitor) -> None:
    await visitor.open("/architecture")
    for name, kind in (
        ("api", "mediagen"),
        ("database", "SQLite"),
        ("broker", "In process"),
        ("worker", "1 process"),
        ("provider:mock", "costs nothing|free"),
        ("storage", "Local files"),
    ):
        await expect(part(visitor, name)).to_have_attribute("data-look", "ok")
        await expect(part(visitor, name)).to_contain_text(re.compile(kind))
    await expect(visitor.page.get_by_text("Embedded: one process on one machine")).to_be_visible()


async def test_jobs_pass_as_lights_and_are_counted(visitor: Visitor) -> None:
    await visitor.open("/architecture")
    await expect(part(visitor, "storage")).to_be_visible()
    light = visitor.page.locator("circle.animate-travel").first
    await visitor.submit_elsewhere("a lighthouse", **QUICK)
    await expect(light).to_be_attached()
    await expect(visitor.page.get_by_text("1 job came in, 1 completed, 0 failed.")).to_be_visible()
    await expect(visitor.page.locator("circle.animate-travel")).to_have_count(0)  # each goes out


async def test_no_light_travels_for_those_who_want_less_motion(visitor: Visitor) -> None:
    await visitor.page.emulate_media(reduced_motion="reduce")
    await visitor.open("/architecture")
    await expect(part(visitor, "storage")).to_be_visible()
    await visitor.submit_elsewhere("a lighthouse", **QUICK)
    await expect(visitor.page.get_by_text("1 job came in, 1 completed, 0 failed.")).to_be_visible()
    await expect(visitor.page.locator("circle.animate-travel")).to_have_count(0)


async def test_a_failure_is_counted_under_its_reason(visitor: Visitor) -> None:
    await visitor.open("/architecture")
    await visitor.submit_elsewhere("no", fault="moderation", **QUICK)
    await expect(visitor.page.get_by_text("Refused by the provider's moderation")).to_be_visible()


async def test_a_paused_provider_says_why_and_that_its_jobs_go_on(visitor: Visitor) -> None:
    await visitor.open("/architecture")
    await visitor.submit_elsewhere("busy", fault="rate_limited", fault_times=10, **QUICK)
    await expect(part(visitor, "provider:mock")).to_have_attribute("data-look", "bad")
    await expect(
        visitor.page.get_by_role("status").filter(has_text="They go on by themselves")
    ).to_be_visible()


async def test_what_to_change_to_grow_can_be_copied(visitor: Visitor) -> None:
    await visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visitor.open("/architecture")
    await visitor.page.get_by_role("button", name="Copy settings: keep jobs in postgresql").click()
    copied = await visitor.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == "DATABASE_URL=postgresql://user:password@host/mediagen"


@pytest.mark.parametrize("width", gate([360, 768, 1440], 360, 1440))
@pytest.mark.parametrize("scheme", gate(["dark", "light"]))
async def test_it_fits_every_width_and_theme(visitor: Visitor, width: int, scheme: str) -> None:
    await visitor.page.set_viewport_size({"width": width, "height": 900})
    await visitor.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await visitor.open("/architecture")
    await expect(visitor.page.get_by_role("heading", name="What changes when you grow")).to_be_visible()
    assert await visitor.page.evaluate("() => document.documentElement.scrollWidth") == width
    assert await visitor.serious_faults() == []
