"""A real Chromium for tests of pages: found on the system, driven by Playwright. Without one its tests are skipped.

What lives here: starting it, and the fixture that lends it. What may not: knowledge of any page.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, one for all tests of a module. In the compiled leg alone: what a page does has no speed."""
    if os.environ.get("YIELDLOOP_EXPECT") == "pure":
        pytest.skip("the page is the same at both speeds; the compiled leg looks at it")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium was found: apt-get install chromium, or CHROMIUM=/path/to/it")
    with api.sync_playwright() as playwright:
        # The sandbox cannot be had by root, which is who runs the tests in many containers.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield started
        started.close()
