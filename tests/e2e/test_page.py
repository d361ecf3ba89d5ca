"""The plain page in a real browser, against a real server in mock mode."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    async_playwright,
    expect,
)

from tests.fakes.server_process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WAY_OUT = "set CHROMIUM to its path, or: apt-get install --no-install-recommends chromium fonts-liberation"
_PATIENCE_MS = 20_000
_REPORT_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
)
_SMALL = {"width": 64, "height": 64, "latency_s": 0}
_PAYLOADS = (
    "<img src=x onerror=\"document.title='ran'\">",
    "<script>document.title='ran'</script>",
    "<svg onload=\"document.title='ran'\"></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='ran'</script>\"></iframe>",
    '"><body onload="document.title=\'ran\'">',
    "' onmouseover='document.title=`ran`' autofocus onfocus='document.title=`ran`",
    "javascript:document.title='ran'",
    "</textarea></title><script>document.title='ran'</script>",
    "<a href=\"javascript:document.title='ran'\" autofocus>click</a>",
    "<video><source onerror=\"document.title='ran'\"></video>",
    "${document.title='ran'}{{document.title='ran'}}",
    "<style>*{background:url(/x)}</style><link rel=stylesheet href=/x>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=document.title='ran'>",
)


class Visitor:
    """Somebody who looks at the page, and notes all that the browser complains about."""

    def __init__(self, page: Page, server: ServerProcess) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._server = server
        page.set_default_timeout(_PATIENCE_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def forgive(self, *parts: str) -> None:
        """Forget the complaints in which one of these stands: those that the test itself causes."""
        self.complaints = [said for said in self.complaints if not any(part in said for part in parts)]

    async def open(self) -> None:
        await self.page.goto(f"{self._server.url}/")
        await self.page.locator("#model option").first.wait_for(state="attached")

    async def submit(self, prompt: str) -> None:
        await self.page.get_by_label("Prompt").fill(prompt)
        await self.page.get_by_role("button", name="Generate").click()

    async def submit_elsewhere(self, prompt: str, **parameters: Any) -> str:
        """Submit as another client of the API does; return the job's id."""
        body = {"prompt": prompt, "parameters": parameters}
        answer = await self.page.request.post(f"{self._server.url}/api/v1/generate", data=body)
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])

    async def jobs(self) -> list[dict[str, Any]]:
        answer = await self.page.request.get(f"{self._server.url}/api/v1/jobs?limit=100")
        return list((await answer.json())["items"])

    def named(self, id_: str) -> Locator:
        return self.page.locator(f"#{id_}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def tiles(self) -> Locator:
        return self.page.locator("#gallery > li")

    async def expect_picture(self) -> None:
        """Wait for the stage to show a picture that has developed."""
        picture = self.page.locator("#frame .developed img.sharp").first
        await expect(picture).to_be_visible()
        assert await picture.evaluate("(image) => image.naturalWidth") > 0
        await expect(self.named("words")).to_have_text(re.compile(r"^Made in \d"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"There is no Chromium; {_WAY_OUT}")
    if path is None:
        pytest.skip(f"THE PAGE IS NOT TESTED: there is no Chromium; {_WAY_OUT}")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        args = [*sandbox, "--disable-dev-shm-usage"]
        running = await playwright.chromium.launch(executable_path=path, args=args)
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess({"DATA_DIR": str(tmp_path / "data")}) as running:
        running.env["PORT"] = str(urlsplit(running.url).port)  # so that it comes back where it was
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    await context.add_init_script(_REPORT_VIOLATIONS)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(context: BrowserContext, server: ServerProcess) -> AsyncIterator[Visitor]:
    somebody = Visitor(await context.new_page(), server)
    await somebody.open()
    yield somebody
    assert somebody.complaints == []


async def test_a_prompt_becomes_a_picture(visitor: Visitor) -> None:
    await expect(visitor.page.get_by_role("heading", name="Nothing developed yet")).to_be_visible()
    await visitor.submit("A lighthouse in a storm")
    await expect(visitor.named("said")).to_have_text("A lighthouse in a storm")
    await visitor.expect_picture()


async def test_what_is_chosen_is_what_is_made(visitor: Visitor) -> None:
    await visitor.page.get_by_text("16:9", exact=True).click()
    await visitor.page.get_by_text("3", exact=True).click()
    await visitor.page.get_by_label("Seed").fill("7")
    await visitor.submit("Mountains")
    await expect(visitor.page.locator("#frame .developed")).to_have_count(3)
    [job] = await visitor.jobs()
    assert job["parameters"] == {"aspect_ratio": "16:9", "num_outputs": 3, "seed": 7}


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
async def test_keys_submit_the_prompt(visitor: Visitor, keys: str) -> None:
    await visitor.page.get_by_label("Prompt").fill("Dunes")
    await visitor.page.keyboard.press(keys)
    await visitor.expect_picture()
    assert [job["prompt"] for job in await visitor.jobs()] == ["Dunes"]


async def test_tab_goes_through_the_form_in_its_order(visitor: Visitor) -> None:
    await visitor.page.get_by_label("Prompt").focus()
    reached = []
    for _ in range(5):
        await visitor.page.keyboard.press("Tab")
        reached.append(
            await visitor.page.evaluate("document.activeElement.name || document.activeElement.id")
        )
    assert reached == ["model", "shape", "count", "seed", "submit"]


async def test_arrows_choose_another_job_in_the_gallery(visitor: Visitor) -> None:
    for prompt in ("First", "Second"):
        await visitor.submit_elsewhere(prompt, fault="never_finishes")
    await expect(visitor.tiles).to_have_count(2)
    await visitor.tiles.first.get_by_role("button").focus()
    await visitor.page.keyboard.press("ArrowRight")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.named("said")).to_have_text("First")


async def test_an_example_fills_the_form(visitor: Visitor) -> None:
    await visitor.page.get_by_role("button", name="Portrait of an old astronomer").click()
    await expect(visitor.page.get_by_label("Prompt")).to_have_value(re.compile("astronomer"))
    await expect(visitor.page.get_by_label("2:3")).to_be_checked()


async def test_mock_mode_says_so(visitor: Visitor) -> None:
    await expect(visitor.page.get_by_text("Mock mode:")).to_be_visible()


async def test_a_double_click_makes_one_job(visitor: Visitor) -> None:
    await visitor.page.get_by_label("Prompt").fill("Ribbons")
    await visitor.button("Generate Ctrl Enter").dblclick()
    await visitor.expect_picture()
    assert len(await visitor.jobs()) == 1


async def test_a_running_job_says_how_far_it_is(visitor: Visitor) -> None:
    await visitor.submit_elsewhere("The sea", latency_s=6)
    bar = visitor.page.get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d$"))
    await expect(visitor.named("since")).to_have_text(re.compile(r"^[1-9] s so far"))
    await expect(visitor.named("words")).to_have_text("Mock is making it")


async def test_a_job_that_waits_for_its_next_try_says_when_that_is(visitor: Visitor) -> None:
    await visitor.submit_elsewhere("Agate", fault="unauthorized")
    await expect(visitor.named("words")).to_contain_text("refuses our token")
    await expect(visitor.named("since")).to_have_text(
        re.compile(r"^Trying again in \d+ s \(1 of 4\), \d+ s so far$")
    )


async def test_a_picture_takes_the_place_that_was_kept_for_it(visitor: Visitor) -> None:
    await visitor.submit_elsewhere("The sea", aspect_ratio="3:2", latency_s=2)
    await expect(visitor.named("words")).to_have_text("Mock is making it")
    kept = await visitor.named("frame").bounding_box()
    await visitor.expect_picture()
    assert await visitor.named("frame").bounding_box() == kept


async def test_a_job_can_be_canceled(visitor: Visitor) -> None:
    await visitor.submit_elsewhere("An endless dune", fault="never_finishes")
    await visitor.button("Cancel").click()
    await expect(visitor.named("words")).to_have_text("Canceled")
    await expect(visitor.button("Cancel")).to_be_hidden()
    assert [job["status"] for job in await visitor.jobs()] == ["canceled"]


async def test_a_failed_job_says_why_and_works_when_tried_again(visitor: Visitor) -> None:
    await visitor.submit_elsewhere("A fern", fault="failure", fault_times=1, latency_s=0)
    await expect(visitor.named("words")).to_have_text("Failed")
    [failed] = await visitor.jobs()
    await expect(visitor.named("reason")).to_contain_text(failed["error_message"])
    await visitor.button("Try again").click()
    await visitor.expect_picture()
    assert (await visitor.jobs())[0]["retry_of"] == failed["id"]


async def test_what_the_server_refuses_says_why_and_leaves_nothing(visitor: Visitor) -> None:
    await visitor.page.get_by_label("Seed").fill("99999999999")
    await visitor.submit("Agate")
    await expect(visitor.named("refusal")).to_contain_text("parameters.seed")
    await expect(visitor.tiles).to_have_count(0)
    visitor.forgive("422")  # the browser notes the status


async def test_an_empty_prompt_is_not_sent(visitor: Visitor) -> None:
    await visitor.submit("  \n ")
    await expect(visitor.named("refusal")).to_have_text("Write a prompt first.")
    assert await visitor.jobs() == []


async def test_markup_in_prompts_is_text_and_runs_nothing(visitor: Visitor) -> None:
    for payload in _PAYLOADS:
        await visitor.submit_elsewhere(payload, **_SMALL)
    await expect(visitor.page.locator("#gallery .developed")).to_have_count(len(_PAYLOADS))
    for index, payload in enumerate(reversed(_PAYLOADS)):
        await visitor.tiles.nth(index).get_by_role("button").click()
        await expect(visitor.named("said")).to_have_text(payload)
        await visitor.expect_picture()
    await visitor.button("Use again").click()
    await expect(visitor.page.get_by_label("Prompt")).to_have_value(_PAYLOADS[0])
    await visitor.submit(_PAYLOADS[0])
    await expect(visitor.tiles).to_have_count(len(_PAYLOADS) + 1)
    assert await visitor.page.title() == "mediagen"


@pytest.mark.parametrize("fault", ["html_output", "svg_output"])
async def test_an_output_with_a_script_is_offered_as_a_file_and_does_not_run(
    visitor: Visitor, server: ServerProcess, fault: str
) -> None:
    await visitor.submit_elsewhere("A trap", fault=fault, latency_s=0)
    await expect(visitor.page.locator("#frame .file")).to_be_visible()
    async with visitor.page.expect_download() as saved:
        await visitor.page.get_by_role("link", name="Download").click()
    assert (await saved.value).url.startswith(f"{server.url}/media/")
    assert await visitor.page.title() == "mediagen"


async def test_a_page_that_is_loaded_again_shows_the_same_jobs(visitor: Visitor) -> None:
    for prompt in ("Embers", "A city at night"):
        await visitor.submit_elsewhere(prompt, **_SMALL)
    await expect(visitor.page.locator("#gallery .developed")).to_have_count(2)
    await visitor.open()
    await expect(visitor.page.locator("#gallery .developed")).to_have_count(2)
    await expect(visitor.named("said")).to_have_text("A city at night")


async def test_more_jobs_come_page_by_page(visitor: Visitor) -> None:
    for number in range(30):
        await visitor.submit_elsewhere(f"Number {number}", fault="never_finishes")
    await visitor.open()
    await expect(visitor.tiles).to_have_count(24)
    await visitor.button("More").click()
    await expect(visitor.tiles).to_have_count(30)
    await expect(visitor.button("More")).to_be_hidden()


async def test_a_job_that_is_deleted_elsewhere_goes_away(visitor: Visitor, server: ServerProcess) -> None:
    kept = await visitor.submit_elsewhere("Kept", **_SMALL)
    gone = await visitor.submit_elsewhere("Gone", **_SMALL)
    await expect(visitor.page.locator("#gallery .completed")).to_have_count(2)
    await visitor.page.request.delete(f"{server.url}/api/v1/jobs/{gone}")
    await expect(visitor.tiles).to_have_count(1)
    await expect(visitor.tiles).to_have_attribute("data-id", kept)


async def test_a_page_that_is_open_while_the_server_is_killed_sees_the_job_end(
    visitor: Visitor, server: ServerProcess
) -> None:
    await visitor.submit_elsewhere("Aurora", latency_s=4)
    await expect(visitor.named("words")).to_have_text("Mock is making it")
    await server.kill()
    await expect(visitor.page.get_by_text("Reconnecting; nothing is lost")).to_be_visible()
    await server.start()
    await visitor.expect_picture()
    await expect(visitor.page.get_by_text("Reconnecting; nothing is lost")).to_be_hidden()
    assert len(await visitor.jobs()) == 1
    visitor.forgive("net::ERR_")


async def test_a_prompt_submitted_while_the_server_is_away_is_made_once_it_is_back(
    visitor: Visitor, server: ServerProcess
) -> None:
    await server.kill()
    await visitor.submit("Ribbons")
    await expect(visitor.named("words")).to_contain_text("It is sent once it is back")
    await server.start()
    await visitor.expect_picture()
    assert [job["prompt"] for job in await visitor.jobs()] == ["Ribbons"]
    await expect(visitor.tiles).to_have_count(1)
    visitor.forgive("net::ERR_")


async def test_nothing_sticks_out_of_the_page_at_any_width(visitor: Visitor) -> None:
    await visitor.submit_elsewhere("W" * 3000, **_SMALL)
    await visitor.submit_elsewhere("A panorama", width=1024, height=128, latency_s=0)
    await expect(visitor.page.locator("#gallery .developed")).to_have_count(2)
    for index in range(2):
        await visitor.tiles.nth(index).get_by_role("button").click()
        await visitor.expect_picture()
        for width in (360, 768, 960, 1200, 1440):
            await visitor.page.set_viewport_size({"width": width, "height": 740})
            assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_text_can_be_read_in_both_themes(visitor: Visitor) -> None:
    schemes: tuple[Literal["dark", "light"], ...] = ("dark", "light")
    for scheme in schemes:
        await visitor.page.emulate_media(color_scheme=scheme)
        for text in ("--text", "--muted", "--bad"):
            for ground in ("--bg", "--surface", "--raised", "--paper"):
                assert await _contrast(visitor.page, text, ground) >= 4.5, (scheme, text, ground)
        assert await _contrast(visitor.page, "--accent-ink", "--accent") >= 4.5
        for border in ("--edge", "--ring"):
            assert await _contrast(visitor.page, border, "--bg") >= 3, (scheme, border)


async def _contrast(page: Page, first: str, second: str) -> float:
    """Return the contrast of two color tokens as WCAG 2.2 defines it, 1 to 21."""
    lights = sorted([await _luminance(page, first), await _luminance(page, second)])
    return (lights[1] + 0.05) / (lights[0] + 0.05)


async def _luminance(page: Page, token: str) -> float:
    read = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    color = await page.evaluate(read, token)
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
