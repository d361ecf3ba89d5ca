"""A real browser, or a loud reason why there is none."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

PATIENCE_MS = 60_000  # of a machine that has other work, too: a bound, no pause
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WAY_OUT = "set CHROMIUM to its path, or: apt-get install --no-install-recommends chromium fonts-liberation"


def path_of_chromium() -> str:
    """Return where Chromium is; without one the test fails in CI, and is skipped elsewhere."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"There is no Chromium; {_WAY_OUT}")
    if path is None:
        pytest.skip(f"NOT TESTED IN A BROWSER: there is no Chromium; {_WAY_OUT}")
    return path


@asynccontextmanager
async def launched(args: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Run Chromium with no way out of this machine's names."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path_of_chromium(), args=[*sandbox, "--disable-dev-shm-usage", *args]
        )
        try:
            yield browser
        finally:
            await browser.close()
