"""A real browser, a real server in mock mode, and a visitor who notes all that the browser complains about."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect

from tests.fakes.server_process import ServerProcess
from tests.security.chromium import PATIENCE_MS, launched

_WHOLE_S = 300.0  # for a test: several times what it may wait for one thing
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
_REPORT_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.sample))"
)


class Visitor:
    """Somebody who uses the app."""

    def __init__(self, page: Page, server: ServerProcess) -> None:
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
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

    async def open(self, path: str = "/") -> None:
        await self.page.goto(f"{self.server.url}{path}")
        await expect(self.page.locator("nav[aria-label=Pages]")).to_be_visible()  # also under a dialog

    async def submit_elsewhere(self, prompt: str, **parameters: Any) -> str:
        """Submit as another client of the API does; return the job's id."""
        body = {"prompt": prompt, "parameters": parameters}
        answer = await self.page.request.post(f"{self.server.url}/api/v1/generate", data=body)
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])

    async def jobs(self) -> list[dict[str, Any]]:
        answer = await self.page.request.get(f"{self.server.url}/api/v1/jobs?limit=100")
        return list((await answer.json())["items"])

    async def serious_faults(self) -> list[str]:
        """Return what axe finds on the page that is serious or worse."""
        if not await self.page.evaluate("() => 'axe' in window"):
            # by evaluation, not as a script element: the page's policy holds for this one too
            await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        return [
            f"{fault['id']}: {node['html'][:200]}"
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    async with launched() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess({"DATA_DIR": str(tmp_path / "data")}) as running:
        running.env["PORT"] = str(urlsplit(running.url).port)  # so that it comes back where it was
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    await context.add_init_script(_REPORT_VIOLATIONS)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="package")
async def visitor(context: BrowserContext, server: ServerProcess) -> AsyncIterator[Visitor]:
    somebody = Visitor(await context.new_page(), server)
    yield somebody
    assert somebody.complaints == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(_WHOLE_S))
