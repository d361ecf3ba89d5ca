"""A job's own page, and what is told of jobs on other pages."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="package")

_QUICK = {"width": 64, "height": 64, "latency_s": 0}


async def test_a_job_has_an_address_that_tells_all_about_it(visitor: Visitor) -> None:
    await visitor.open()
    job = await visitor.submit_elsewhere("Agate", **_QUICK, seed=5, fault="transient_failure", fault_times=1)
    await visitor.open(f"/jobs/{job}")
    page = visitor.page
    await expect(page.locator("[data-status-words]")).to_have_text(re.compile(r"^Made in"))
    for fact in (
        "Accepted, on disk",
        "Trying again",
        "another try may help",
        "Saved",
        "Call 2: succeeded",
        "64 × 64",
    ):
        await expect(page.get_by_role("article")).to_contain_text(fact)
    await expect(page.get_by_label("The request as curl")).to_contain_text("/api/v1/generate")
    await page.get_by_role("button", name="Python", exact=True).click()
    await expect(page.get_by_label("The request as Python")).to_contain_text("json.loads")
    assert await visitor.serious_faults() == []


async def test_a_job_is_deleted_from_its_page(visitor: Visitor) -> None:
    await visitor.open()
    job = await visitor.submit_elsewhere("Gone soon", **_QUICK)
    await visitor.open(f"/jobs/{job}")
    await visitor.page.get_by_role("button", name="Delete", exact=True).click()
    await expect(visitor.page).to_have_url(f"{visitor.server.url}/history")


async def test_the_page_of_an_unknown_job_says_so(visitor: Visitor) -> None:
    await visitor.open("/jobs/019a9f3e-7c1b-7d44-9a51-0b8e1f6c2d10")
    await expect(visitor.page.get_by_role("heading", name="There is no such job")).to_be_visible()
    visitor.forgive("404")


async def test_another_page_tells_when_a_job_of_this_browser_is_made(visitor: Visitor) -> None:
    await visitor.open('/?parameters={"latency_s":3}')
    await visitor.page.get_by_label("Prompt", exact=True).fill("Embers")
    await visitor.page.get_by_role("button", name="Generate").click()
    await expect(visitor.page.locator("[data-status-words]")).to_have_text("Mock is making it")
    await visitor.page.get_by_role("link", name="Architecture").click()
    await visitor.page.get_by_role("button", name="Show").click()
    await expect(visitor.page).to_have_url(re.compile(r"/jobs/"))
