"""A real browser for tests, and what is looked at on every page that it opens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from needs import need
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
SIZES = ((1280, 900), (390, 844))
SHOTS = "ENVWATCH_SHOTS"  # a folder for pictures of what is looked at


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    program = need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(FLAGS), env={"HOME": str(home)}
        )
        yield browser
        browser.close()


def faults(page: Page) -> list[str]:
    """What keeps somebody from using a page, and whether it is wider than its window."""
    return _too_wide(page) + [
        f"{page.url}: {v['id']}: {node['target']}"
        for v in Axe().run(page).response["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


def _too_wide(page: Page) -> list[str]:
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [f"{page.url} is too wide"] * wide


def look(page: Page, name: str) -> None:
    """At a page as it is now, on a desk and on a phone, by day and by night.

    Axe, which takes half a second, looks on the desk by day and on the phone by night.
    Pictures are kept in the folder that `ENVWATCH_SHOTS` names.
    """
    found = []
    for scheme in ("light", "dark"):
        for width, height in SIZES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of two
            page.set_viewport_size({"width": width, "height": height})
            look_at = faults if (scheme == "light") == (width == SIZES[0][0]) else _too_wide
            found += [f"{scheme}, {width}: {f}" for f in look_at(page)]
            if SHOTS in os.environ:
                file = Path(os.environ[SHOTS]) / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=file, full_page=True)
    page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
    assert found == []
