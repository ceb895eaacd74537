"""A real browser on the pages: used by a person, followed while something builds, read aloud."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from needs import need
from playwright.sync_api import Browser, Page, expect, sync_playwright
from web_helpers import DEMO, FRESH, TORCH, Stand, beat, claim, keep_archive, packages, result

from envwatch.model import RUNNING, BuildState
from envwatch.settings import WebSettings
from envwatch.web import serve

pytestmark = pytest.mark.browser

# the flags keep it from looking up hosts of its maker at every start
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGES = (
    "/",
    "/analyst/",
    "/analyst/demo/",
    "/analyst/weekly.report/",
    "/analyst/broken/",
    "/analyst/old-thing/",
    "/ml/torch/",
    "/analyst/demo/builds/4",
    "/analyst/demo/builds/3",
    "/analyst/demo/diff/1..3",
    "/builds",
    "/sources",
    "/source?name=team",
    "/packages",
    "/packages?name=pandas",
    "/use?environment=analyst/demo",
    "/notifiers",
    "/signin",
    "/analyst/demo/3/environment.tar.zst",
    "/analyst/nope/",
)
# one of each kind, with every state on it
KINDS = [p for p in PAGES if p not in ("/analyst/", "/analyst/broken/", "/ml/torch/")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = need("chromium")
    home = tmp_path_factory.mktemp("browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(FLAGS), env={"HOME": str(home)}
        )
        yield browser
        browser.close()


@pytest.fixture
def site(filled: Stand) -> Iterator[str]:
    server = serve(filled.app, WebSettings(port=0))
    yield server.address
    server.stop()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page that fails the test for an error of the script or an answer of the policy."""
    context = browser.new_context(base_url=site)
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if "Policy" in m.text else None)
    yield page
    context.close()
    assert said == []


def test_a_person_finds_a_failure_its_reason_and_a_file(page: Page, filled: Stand) -> None:
    page.goto("/")
    page.get_by_role("link", name="analyst/demo", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("analyst / demo")
    page.get_by_role("link", name="build 4", exact=True).click()
    expect(page.locator(".why")).to_contain_text("no candidates were found")
    page.get_by_role("link", name="demo", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="conda-lock.yml", exact=True).click()
    assert waiting.value.suggested_filename == "analyst-demo-3.conda-lock.yml"
    path = waiting.value.path()
    record = filled.catalog.generations.artifacts(filled.catalog.generations.get(DEMO, 3).id)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in {a.sha256 for a in record}


def test_the_page_follows_a_build_to_its_end(page: Page, filled: Stand) -> None:
    page.goto("/ml/fresh/")
    expect(page.locator("#head .sentence")).to_have_text("nothing serving yet, build #12 queued")
    build = claim(filled.catalog)
    beat(filled.catalog, build, 5)
    expect(page.locator("#head .sentence")).to_contain_text("downloading", timeout=20_000)
    filled.catalog.generations.publish(build, result(build, packages(6)))
    expect(page.locator("#head .sentence")).to_have_text("#1 serving", timeout=20_000)
    expect(page.locator("#said")).to_have_text(f"{FRESH}: #1 serving")


def test_the_log_is_followed(page: Page, filled: Stand) -> None:
    build = filled.catalog.builds.in_state(*RUNNING)[0]
    filled.log(build.id, b"one\n")
    page.goto(f"/{TORCH}/builds/{build.id}")
    filled.log(build.id, b"one\n<b>two</b>\n")
    expect(page.locator("#log")).to_have_text("one\n<b>two</b>\n", timeout=20_000)
    filled.log(build.id, b"one\n<b>two</b>\nlast")
    filled.catalog.builds.end(build.id, BuildState.FAILED, None)
    expect(page.locator("#log")).to_have_text("one\n<b>two</b>\nlast", timeout=20_000)
    expect(page.locator("#head .states")).to_contain_text("failed", timeout=20_000)


def test_an_archive_comes_by_itself_once_it_is_made(page: Page, filled: Stand) -> None:
    page.goto("/analyst/demo/3/environment.tar.zst")
    expect(page.get_by_role("heading", level=1)).to_contain_text("is being made")
    with page.expect_download(timeout=20_000) as waiting:
        keep_archive(filled, DEMO, 3, b"archive" * 1000)
    assert waiting.value.path().read_bytes() == b"archive" * 1000
    assert filled.asked == [(DEMO, 3)]


def test_what_a_person_reads_is_not_replaced_under_the_cursor(page: Page, filled: Stand) -> None:
    page.goto("/ml/torch/")
    link = page.locator("#build-rows a").first
    link.focus()
    build = filled.catalog.builds.in_state(*RUNNING)[0]
    beat(filled.catalog, build, 60)
    expect(page.locator("#head")).to_contain_text("60 of 73", timeout=20_000)
    expect(link).to_be_focused()


def test_every_page_works_without_a_script(browser: Browser, site: str) -> None:
    context = browser.new_context(base_url=site, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("weekly")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="analyst/weekly.report", exact=True).click()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("#1 compared with #2")
    context.close()


def test_a_line_is_copied_by_its_button(page: Page, site: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    page.goto("/use?environment=analyst/demo")
    page.get_by_role("button", name="Copy: activate it by its name").click()
    expect(page.get_by_role("button", name="Copied: activate it by its name")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "conda activate analyst-demo"


def test_a_button_to_copy_outlives_what_is_new_on_a_page(page: Page, filled: Stand) -> None:
    page.goto("/ml/torch/")
    expect(page.get_by_role("button", name="Copy: how to activate")).to_have_count(1)
    build = filled.catalog.builds.in_state(*RUNNING)[0]
    filled.catalog.generations.publish(build, result(build, packages(6)))
    expect(page.locator("#use-it")).to_contain_text("#2", timeout=20_000)
    expect(page.get_by_role("button", name="Copy: how to activate")).to_have_count(1)


def test_without_the_clipboard_of_a_safe_address_a_line_is_copied_too(
    page: Page, site: str
) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto("/use?environment=analyst/demo")
    page.evaluate(
        "document.addEventListener('copy', () => { window.copied = String(getSelection()) })"
    )
    page.get_by_role("button", name="Copy: its Python").click()
    expect(page.get_by_role("button", name="Copied: its Python")).to_be_visible()
    assert str(page.evaluate("window.copied")).endswith("/analyst-demo/bin/python")


def test_the_first_key_leads_to_the_content(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(browser: Browser, site: str, width: int) -> None:
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800})
    page = context.new_page()
    wide = [path for path in PAGES if _overflows(page, path)]
    context.close()
    assert wide == []


def _overflows(page: Page, path: str) -> bool:
    page.goto(path)
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_pages_are_fit_for_everybody(browser: Browser, site: str, scheme: str, width: int) -> None:
    context = browser.new_context(
        base_url=site,
        color_scheme=scheme,  # type: ignore[arg-type]  # one of its words
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    page = context.new_page()
    found = [fault for path in KINDS for fault in _faults(page, path)]
    context.close()
    assert found == []


def _faults(page: Page, path: str) -> list[str]:
    page.goto(path)
    return [
        f"{path}: {v['id']}: {node['target']} {node['any'][0]['message'] if node['any'] else ''}"
        for v in Axe().run(page).response["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
