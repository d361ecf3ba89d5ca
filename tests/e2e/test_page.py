"""The plain page in a real browser, against a real server in mock mode."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.fakes.server_process import ServerProcess

pytestmark = pytest.mark.browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WAY_OUT = "set CHROMIUM to its path, or: apt-get install --no-install-recommends chromium fonts-liberation"
_SOON_MS = 20_000
_REPORT_VIOLATIONS = "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
_SMALL = {"width": 64, "height": 64, "latency_s": 0}
_PAYLOADS = (
    "<img src=x onerror=\"document.title='ran'\">",
    "<script>document.title='ran'</script>",
    "<svg onload=\"document.title='ran'\"></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='ran'</script>\"></iframe>",
    "\"><body onload=\"document.title='ran'\">",
    "' onmouseover='document.title=`ran`' autofocus onfocus='document.title=`ran`",
    "javascript:document.title='ran'",
    "</textarea></title><script>document.title='ran'</script>",
    "<a href=\"javascript:document.title='ran'\" autofocus>click</a>",
    "<video><source onerror=\"document.title='ran'\"></video>",
    "${document.title='ran'}{{document.title='ran'}}",
    "<style>*{background:url(/x)}</style><link rel=stylesheet href=/x>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=document.title='ran'>",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"There is no Chromium; {_WAY_OUT}")
    if path is None:
        pytest.skip(f"THE PAGE IS NOT TESTED: there is no Chromium; {_WAY_OUT}")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=[*sandbox, "--disable-dev-shm-usage"])
        yield running
        running.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as running:
        yield running


class Visitor:
    """Somebody who looks at the page, and notes all that the browser complains about."""

    def __init__(self, context: BrowserContext, server: ServerProcess) -> None:
        context.add_init_script(_REPORT_VIOLATIONS)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(_SOON_MS)
        self.complaints: list[str] = []
        self._server = server
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.open()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self) -> None:
        self.page.goto(f"{self._server.url}/")
        self.page.locator("#model option").first.wait_for(state="attached")

    def forgive_outage(self) -> None:
        self.complaints = [text for text in self.complaints if "net::ERR_" not in text]

    def submit(self, prompt: str) -> None:
        self.page.get_by_label("Prompt").fill(prompt)
        self.page.get_by_role("button", name="Generate").click()

    def submit_elsewhere(self, prompt: str, **parameters: Any) -> str:
        """Submit as another client of the API does; return the job's id."""
        body = {"prompt": prompt, "parameters": parameters}
        answer = self.page.request.post(f"{self._server.url}/api/v1/generate", data=body)
        assert answer.status == 202, answer.text()
        return str(answer.json()["id"])

    def jobs(self) -> list[dict[str, Any]]:
        answer = self.page.request.get(f"{self._server.url}/api/v1/jobs?limit=100").json()
        return list(answer["items"])

    @property
    def words(self) -> Locator:
        return self.page.locator("#words")

    @property
    def tiles(self) -> Locator:
        return self.page.locator("#gallery > li")

    def expect_picture(self) -> None:
        """Wait for the stage to show a picture that has developed."""
        picture = self.page.locator("#frame .developed img.sharp").first
        expect(picture).to_be_visible(timeout=_SOON_MS)
        assert picture.evaluate("(image) => image.naturalWidth") > 0
        expect(self.words).to_have_text(re.compile(r"Made in \d"))


@pytest.fixture
def visitor(browser: Browser, server: ServerProcess) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    expect.set_options(timeout=_SOON_MS)
    somebody = Visitor(context, server)
    yield somebody
    context.close()
    assert somebody.complaints == []


def test_a_prompt_becomes_a_picture(visitor: Visitor) -> None:
    expect(visitor.page.get_by_role("heading", name="Nothing developed yet")).to_be_visible()
    visitor.submit("A lighthouse in a storm")
    expect(visitor.page.locator("#said")).to_have_text("A lighthouse in a storm")
    visitor.expect_picture()


def test_what_is_chosen_is_what_is_made(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_label("16:9").check(force=True)
    page.get_by_label("3", exact=True).check(force=True)
    page.get_by_label("Seed").fill("7")
    visitor.submit("Mountains")
    expect(page.locator("#frame .cell")).to_have_count(3)
    visitor.expect_picture()
    [job] = visitor.jobs()
    assert job["parameters"] == {"aspect_ratio": "16:9", "num_outputs": 3, "seed": 7}


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
def test_keys_submit_the_prompt(visitor: Visitor, keys: str) -> None:
    visitor.page.get_by_label("Prompt").fill("Dunes")
    visitor.page.keyboard.press(keys)
    visitor.expect_picture()
    assert [job["prompt"] for job in visitor.jobs()] == ["Dunes"]


def test_every_control_is_reached_by_tab_in_the_order_of_the_form(visitor: Visitor) -> None:
    visitor.page.get_by_label("Prompt").focus()
    reached = []
    for _ in range(5):
        visitor.page.keyboard.press("Tab")
        reached.append(visitor.page.evaluate("document.activeElement.name || document.activeElement.id"))
    assert reached == ["model", "shape", "count", "seed", "submit"]


def test_an_example_fills_the_form(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Portrait of an old astronomer").click()
    expect(visitor.page.get_by_label("Prompt")).to_have_value(re.compile("astronomer"))
    expect(visitor.page.get_by_label("2:3")).to_be_checked()


def test_a_running_job_says_how_far_it_is(visitor: Visitor) -> None:
    visitor.submit_elsewhere("The sea", latency_s=6)
    bar = visitor.page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d$"))
    expect(visitor.page.locator("#since")).to_have_text(re.compile(r"[1-9] s so far"))
    expect(visitor.words).to_have_text("Mock is making it")


def test_a_picture_takes_the_place_that_was_kept_for_it(visitor: Visitor) -> None:
    visitor.submit_elsewhere("The sea", aspect_ratio="3:2", latency_s=2)
    frame = visitor.page.locator("#frame")
    expect(visitor.words).to_have_text("Mock is making it")
    kept = frame.bounding_box()
    visitor.expect_picture()
    assert frame.bounding_box() == kept


def test_a_job_can_be_canceled(visitor: Visitor) -> None:
    visitor.submit_elsewhere("An endless dune", fault="never_finishes")
    visitor.page.get_by_role("button", name="Cancel").click()
    expect(visitor.words).to_have_text("Canceled")
    expect(visitor.page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    assert [job["status"] for job in visitor.jobs()] == ["canceled"]


def test_a_failed_job_says_why_and_works_when_tried_again(visitor: Visitor) -> None:
    visitor.submit_elsewhere("A fern", fault="failure", fault_times=1, latency_s=0)
    expect(visitor.words).to_have_text("Failed")
    [failed] = visitor.jobs()
    expect(visitor.page.locator("#reason")).to_contain_text(failed["error_message"])
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.expect_picture()
    assert visitor.jobs()[0]["retry_of"] == failed["id"]


def test_a_request_that_the_server_refuses_says_why_and_leaves_nothing(visitor: Visitor) -> None:
    visitor.page.get_by_label("Seed").fill("99999999999")
    visitor.submit("Agate")
    expect(visitor.page.locator("#refusal")).to_contain_text("parameters.seed")
    expect(visitor.tiles).to_have_count(0)
    visitor.complaints = [text for text in visitor.complaints if "422" not in text]  # the browser logs the status


def test_an_empty_prompt_is_not_sent(visitor: Visitor) -> None:
    visitor.submit("  \n ")
    expect(visitor.page.get_by_role("alert").filter(visible=True)).to_have_text("Write a prompt first.")
    assert visitor.jobs() == []


def test_markup_in_prompts_is_text_and_runs_nothing(visitor: Visitor) -> None:
    for payload in _PAYLOADS:
        visitor.submit_elsewhere(payload, **_SMALL)
    visitor.submit(_PAYLOADS[0])
    expect(visitor.tiles).to_have_count(len(_PAYLOADS) + 1)
    expect(visitor.page.locator("#gallery .developed")).to_have_count(len(_PAYLOADS) + 1)
    for index, payload in enumerate(reversed(_PAYLOADS), start=1):
        visitor.tiles.nth(index).get_by_role("button").click()
        expect(visitor.page.locator("#said")).to_have_text(payload)
        visitor.expect_picture()
    visitor.page.get_by_role("button", name="Use again").click()
    expect(visitor.page.get_by_label("Prompt")).to_have_value(_PAYLOADS[0])
    assert visitor.page.title() == "mediagen"


def test_a_page_that_is_loaded_again_shows_the_same_jobs(visitor: Visitor) -> None:
    for prompt in ("Embers", "A city at night"):
        visitor.submit_elsewhere(prompt, **_SMALL)
    expect(visitor.page.locator("#gallery .developed")).to_have_count(2)
    visitor.open()
    expect(visitor.page.locator("#gallery .developed")).to_have_count(2)
    expect(visitor.page.locator("#said")).to_have_text("A city at night")


def test_more_jobs_come_page_by_page(visitor: Visitor) -> None:
    for number in range(30):
        visitor.submit_elsewhere(f"Number {number}", fault="never_finishes")
    visitor.open()
    expect(visitor.tiles).to_have_count(24)
    visitor.page.get_by_role("button", name="More").click()
    expect(visitor.tiles).to_have_count(30)
    expect(visitor.page.get_by_role("button", name="More")).to_be_hidden()


def test_a_job_that_is_deleted_elsewhere_goes_away(visitor: Visitor, server: ServerProcess) -> None:
    kept = visitor.submit_elsewhere("Kept", **_SMALL)
    gone = visitor.submit_elsewhere("Gone", **_SMALL)
    expect(visitor.page.locator("#gallery .completed")).to_have_count(2)
    visitor.page.request.delete(f"{server.url}/api/v1/jobs/{gone}")
    expect(visitor.page.locator("#gallery .completed")).to_have_attribute("data-id", kept)


def test_a_page_that_was_open_while_the_server_was_killed_sees_the_job_end(
    visitor: Visitor, server: ServerProcess
) -> None:
    visitor.submit_elsewhere("Aurora", latency_s=4)
    expect(visitor.words).to_have_text("Mock is making it")
    server.kill()
    expect(visitor.page.get_by_text("Reconnecting; nothing is lost")).to_be_visible()
    server.start()
    visitor.expect_picture()
    expect(visitor.page.get_by_text("Reconnecting; nothing is lost")).to_be_hidden()
    assert len(visitor.jobs()) == 1
    visitor.forgive_outage()


def test_a_prompt_submitted_while_the_server_is_away_is_made_once_it_is_back(
    visitor: Visitor, server: ServerProcess
) -> None:
    server.kill()
    visitor.submit("Ribbons")
    expect(visitor.words).to_contain_text("It is sent once it is back")
    server.start()
    visitor.expect_picture()
    assert [job["prompt"] for job in visitor.jobs()] == ["Ribbons"]
    expect(visitor.tiles).to_have_count(1)
    visitor.forgive_outage()


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_sticks_out_of_the_page(visitor: Visitor, width: int) -> None:
    visitor.page.set_viewport_size({"width": width, "height": 740})
    visitor.submit_elsewhere("W" * 3000, **_SMALL)
    visitor.submit_elsewhere("A panorama", width=1024, height=128, latency_s=0)
    visitor.expect_picture()
    visitor.tiles.last.get_by_role("button").click()
    visitor.expect_picture()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_can_be_read_in_both_themes(visitor: Visitor, scheme: str) -> None:
    visitor.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for text in ("--text", "--muted", "--bad"):
        for ground in ("--bg", "--surface", "--raised", "--paper"):
            assert _contrast(visitor.page, text, ground) >= 4.5, (text, ground)
    assert _contrast(visitor.page, "--accent-ink", "--accent") >= 4.5
    for border in ("--edge", "--ring"):
        assert _contrast(visitor.page, border, "--bg") >= 3, border


def _contrast(page: Page, first: str, second: str) -> float:
    """Return the contrast of two color tokens as WCAG 2.2 defines it, 1 to 21."""
    lights = sorted((_luminance(page, first), _luminance(page, second)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(page: Page, token: str) -> float:
    color = page.evaluate("(name) => getComputedStyle(document.documentElement).getPropertyValue(name)", token)
    parts = [int(color.strip()[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
