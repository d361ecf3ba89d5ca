"""Hostile texts and files in a real Chromium: nothing of them runs, wherever the app shows them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page

from tests.fakes.rawhttp import app_server
from tests.release import gate
from tests.security.chromium import launched
from tests.security.hostile import HostileProvider, Site, file_of, served
from tests.security.scripts import FILES, TEXTS, Witness

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]

MODEL = "acme/painter"
SMALL = {"width": 64, "height": 64}
_REPORT = (
    "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.sample))"
)
_SETTLE = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with HostileProvider() as provider:
        provider.files |= {name: file_of(data, claimed) for name, (data, claimed) in FILES.items()}
        env = provider.settings() | {"MAX_OUTPUT_BYTES": "1000000"}
        async with served(tmp_path_factory.mktemp("server"), env) as site:
            yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    await context.add_init_script(_REPORT)
    yield context
    await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jobs(site: Site) -> list[dict[str, Any]]:
    """One job a text: it stands in the prompt, a parameter and the metadata, and in every second one in the error."""

    async def made(number: int, text: str) -> dict[str, Any]:
        fake = {"fake": {"fail": text}} if number % 2 else {}
        job_id = await site.submit(
            text, model=MODEL, parameters={**SMALL, **fake, "style": text}, metadata={"note": text}
        )
        return await site.finished(job_id)

    return list(await asyncio.gather(*(made(number, text) for number, text in enumerate(TEXTS))))


RecordProperty = Callable[[str, object], None]


async def settled(page: Page) -> None:
    await page.get_by_role("navigation", name="Pages").wait_for()
    await page.evaluate(_SETTLE)


async def test_there_are_enough_texts_and_no_two_are_the_same() -> None:
    assert len(set(TEXTS)) == len(TEXTS) >= 100
    assert len(FILES) >= 20


async def test_the_witness_sees_the_scripts_where_nobody_is_careful(context: BrowserContext) -> None:
    """The control: shown as markup, most of these texts run. It is why the silence below means something."""

    async def careless(request: web.Request) -> web.Response:
        text = TEXTS[int(request.path[1:])] if request.path[1:].isdigit() else ""
        return web.Response(text=f"<!doctype html><body><p>{text}</p>", content_type="text/html")

    ran = 0
    async with app_server(careless) as url:
        for number in range(0, 60, 2):
            witness = Witness(await context.new_page())
            await witness.page.goto(f"{url}/{number}")
            await witness.page.evaluate(_SETTLE)
            ran += bool(await witness.ran())
            await witness.page.close()
    assert ran >= 15


async def test_no_text_runs_in_the_gallery_or_beside_its_picture(
    site: Site, context: BrowserContext, jobs: list[dict[str, Any]], record_property: RecordProperty
) -> None:
    record_property("cases", len(jobs))
    witness = Witness(await context.new_page())
    page = witness.page
    newest = (await site.json("/jobs?limit=1"))["items"][0]["id"]
    await page.goto(f"{site.server.url}/history?job={newest}")
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("i")
    seen = set()
    for _ in range(3 * len(jobs)):  # a key does nothing while the next jobs are loaded
        await page.evaluate(_SETTLE)
        assert await witness.ran() == []
        seen.add(page.url)
        if len(seen) >= len(jobs):
            break
        await page.keyboard.press("ArrowRight")
    assert len(seen) == len(jobs)
    await page.keyboard.press("Escape")
    for _ in range(20):
        await page.mouse.wheel(0, 700)
        await page.evaluate(_SETTLE)
    assert await witness.ran() == []


@pytest.mark.parametrize("first", gate(range(0, len(TEXTS), 10), 0, 50))
async def test_no_text_runs_on_the_page_of_its_job(
    site: Site,
    context: BrowserContext,
    jobs: list[dict[str, Any]],
    first: int,
    record_property: RecordProperty,
) -> None:
    record_property("cases", len(jobs[first : first + 10]))
    witness = Witness(await context.new_page())
    for job in jobs[first : first + 10]:
        await witness.page.goto(f"{site.server.url}/jobs/{job['id']}")
        await settled(witness.page)
        assert await witness.ran() == [], job["prompt"]


async def test_no_text_that_describes_a_model_runs_in_its_form(
    context: BrowserContext, tmp_path: Path, record_property: RecordProperty
) -> None:
    record_property("cases", len(TEXTS))
    async with HostileProvider() as provider:
        provider.models["painter"] = described(TEXTS)
        env = {**provider.settings(), "REPLICATE_DEFAULT_MODEL": MODEL}
        async with served(tmp_path / "server", env) as site:
            witness = Witness(await context.new_page())
            await witness.page.goto(site.server.url)
            await witness.page.get_by_text("More", exact=True).click()
            await witness.page.get_by_label(TEXTS[0], exact=True).first.wait_for()
            assert await witness.ran() == []
            await witness.page.get_by_role("button", name="Model").click()
            await witness.page.evaluate(_SETTLE)
            assert await witness.ran() == []


def described(texts: Sequence[str]) -> dict[str, Any]:
    """Return what a provider says of a model whose every field is named and explained by one of the texts."""
    fields: dict[str, Any] = {"prompt": {"type": "string", "title": "Prompt"}}
    for number, text in enumerate(texts):
        choice = {"enum": [text, "other"]} if number % 2 else {}
        fields[f"field_{number}"] = {
            "type": "string",
            "title": text,
            "description": text,
            "default": text,
            **choice,
        }
    schema = {"components": {"schemas": {"Input": {"type": "object", "properties": fields}}}}
    owner, name = MODEL.split("/")
    version = {"id": "0" * 64, "openapi_schema": schema}
    return {"owner": owner, "name": name, "description": " ".join(texts), "latest_version": version}


async def test_no_text_runs_where_the_living_system_is_shown(
    site: Site, context: BrowserContext, jobs: list[dict[str, Any]]
) -> None:
    assert jobs
    witness = Witness(await context.new_page())
    await witness.page.goto(f"{site.server.url}/architecture")
    await witness.page.get_by_role("heading", name="The last hour").wait_for()
    assert await witness.ran() == []


@pytest.mark.parametrize("first", gate(range(0, len(TEXTS), 8), 0, 48))
@pytest.mark.parametrize("path", ["/?prompt={}&model={}", "/history?q={}&model={}", "/jobs/{}?{}"])
async def test_no_text_in_an_address_runs(
    site: Site, context: BrowserContext, path: str, first: int, record_property: RecordProperty
) -> None:
    record_property("cases", len(TEXTS[first : first + 8]))
    witness = Witness(await context.new_page())
    text = quote(" ".join(TEXTS[first : first + 8])[:1900], safe="")
    await witness.page.goto(f"{site.server.url}{path.format(text, text)}")
    await settled(witness.page)
    assert await witness.ran() == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def files(site: Site) -> dict[str, dict[str, Any]]:
    ids = {name: await site.submit(name, model=MODEL, parameters={"file": name}) for name in FILES}
    return {name: await site.finished(job_id) for name, job_id in ids.items()}


@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_is_opened_at_its_address_runs_nothing(
    site: Site, context: BrowserContext, files: dict[str, dict[str, Any]], name: str
) -> None:
    for artifact in files[name]["artifacts"]:
        witness = Witness(await context.new_page())
        for tail in ("", "?variant=thumbnail"):
            answer = await site.call("GET", artifact["path"] + tail)
            assert answer[1]["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer[1]["Content-Security-Policy"]
            await _open(witness.page, f"{site.server.url}{artifact['path']}{tail}")
            assert await witness.ran() == []


async def _open(page: Page, address: str) -> None:
    """Go there; what is sent as an attachment is a download, and no page."""
    try:
        await page.goto(address)
    except Exception as error:
        if "Download is starting" not in str(error) and "ERR_ABORTED" not in str(error):
            raise


@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_another_page_embeds_runs_nothing(
    site: Site, context: BrowserContext, files: dict[str, dict[str, Any]], name: str
) -> None:
    addresses = [f"{site.server.url}{artifact['path']}" for artifact in files[name]["artifacts"]]
    embedded = "".join(
        f'<iframe src="{at}"></iframe><object data="{at}"></object><embed src="{at}"><img src="{at}">'
        f'<script src="{at}"></script>'
        for at in addresses
    )

    async def other(_: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html><body>{embedded}", content_type="text/html")

    async with app_server(other) as url:
        witness = Witness(await context.new_page())
        await witness.page.goto(url)
        await witness.page.evaluate(_SETTLE)
        assert await witness.ran() == []
