"""conda-store's own page, as it is on npm, in a real browser against a real daemon."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import conda_store_page
import node_programs
import oidc_program
import pytest
from needs import need
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from running import Running, cli, ended, free_port
from waiting import wait_for

from envwatch.model import EnvKey

# a browser that asks nobody but this machine, and asks before it sends, as where nothing is caught
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
ZONE = "Asia/Kolkata"
PATIENCE = 20_000  # the page looks every five seconds
TAKEN = 1000  # milliseconds, after which the page has taken over what was typed
pytestmark = [pytest.mark.browser, pytest.mark.peer]


@dataclass
class House:
    """A daemon, and conda-store's page at an address that may use its API, and at one that nobody
    has named; another port may as well, and is free.
    """

    running: Running
    files: Path
    address: str
    stranger: str
    port: int

    @property
    def url(self) -> str:
        return url_of(self.running)

    @property
    def other(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def url_of(running: Running) -> str:
    return f"http://127.0.0.1:{running.port}"


def settings_of(running: Running) -> dict[str, str]:
    """As in `docs/migration.md`."""
    return {
        "REACT_APP_API_URL": f"{url_of(running)}/",
        "REACT_APP_AUTH_METHOD": "cookie",
        "REACT_APP_LOGIN_PAGE_URL": f"{url_of(running)}/signin?next=",
        "REACT_APP_LOGOUT_PAGE_URL": f"{url_of(running)}/api/v1/signout/",
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, channel: Path) -> Iterator[House]:
    """One for all tests: each has environments of its own in it."""
    files, folder = node_programs.conda_store_ui(tmp_path_factory), tmp_path_factory.mktemp("house")
    node_programs.installed(tmp_path_factory)
    issuer, secret = f"http://127.0.0.1:{free_port()}", folder / "secret"
    running = _running(folder, channel, issuer)
    with ExitStack() as stack:
        told = settings_of(running)
        places = [stack.enter_context(conda_store_page.served(files, told)) for _ in range(2)]
        made = House(running, files, *places, free_port())
        web = {"listen": f"127.0.0.1:{running.port}", "origins": [made.address, made.other]}
        running.more = {**running.more, "web": web}
        provider = oidc_program.provider(tmp_path_factory, folder, issuer, made.url, secret)
        stack.enter_context(provider)
        stack.enter_context(ended(running)).start()
        yield made


def _running(folder: Path, channel: Path, issuer: str) -> Running:
    oidc = {"issuer": issuer, "client_id": "envwatch", "client_secret_file": "secret"}
    grants = [
        {"role": "developer", "namespaces": ["lab*"], "users": ["ada"]},
        {"role": "viewer", "namespaces": ["lab"], "users": ["bob"]},
    ]
    more = {
        "access": {"grants": grants, "own_namespace": False},
        "login": {"oidc": {**oidc, "title": "Lab"}},
    }
    sources = [{"name": name, "managed": True} for name in ("first", "lab", "other")]
    return Running(folder, channel, [dict(s) for s in sources], more)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium, home = need("chromium"), tmp_path_factory.mktemp("browser")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=chromium, args=list(FLAGS), env={"HOME": str(home)}
        )
        yield made
        made.close()


@pytest.fixture
def context(browser: Browser, house: House) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=house.address, timezone_id=ZONE)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails the test for an error of its script."""
    page, said = context.new_page(), list[str]()
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    assert said == []


def sign_in(page: Page, name: str = "ada", *, back: bool = True) -> None:
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Continue with Lab").click()
    oidc_program.say_who(page, name)
    if back:
        expect(page.get_by_role("button", name="Log out")).to_be_visible()


def make(page: Page, name: str, *packages: str) -> None:
    page.get_by_text("lab", exact=True).click()
    page.get_by_role("link", name="in the lab namespace").click()
    page.get_by_label("Environment name").fill(name)
    page.get_by_placeholder("Enter here the description").fill("for the report")
    for package in packages:
        page.get_by_role("button", name="+ Add Package").click()
        page.get_by_label("Enter package").fill(package)
        page.keyboard.press("Enter")
    page.wait_for_timeout(TAKEN)
    page.get_by_role("button", name="Create", exact=True).click()
    # before that the page would leave the editor again
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible(timeout=PATIENCE)


def settle(page: Page) -> None:
    """Until the page shows all of the build that is in use: what comes later ends an edit."""
    page.reload()
    expect(page.get_by_test_id("build-status")).to_contain_text("Completed", timeout=PATIENCE)
    expect(page.get_by_role("link", name="Download archive")).to_be_visible(timeout=PATIENCE)


def rewrite(page: Page, content: str) -> None:
    """Save another text in the editor. It forgets one that comes while it renders itself anew."""
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("checkbox").click()
    save, editor = page.get_by_role("button", name="Save"), page.locator(".cm-content")
    expect(editor).to_contain_text("dependencies")
    for lines in range(1, 6):
        page.wait_for_timeout(TAKEN)
        editor.fill(content + "\n" * lines)
        page.wait_for_timeout(TAKEN)
        if save.is_enabled():
            break
    save.click()


def use(page: Page, place: int) -> None:
    """Switch to another build of the list, the newest of which is the first."""
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("combobox").first.click()
    page.get_by_role("option").nth(place).click()
    page.get_by_role("button", name="Change environment version").click()


def test_a_person_makes_an_environment_and_sees_its_build(house: House, page: Page) -> None:
    page.goto("/")
    sign_in(page)
    expect(page).to_have_url(f"{house.address}/")
    make(page, "demo", "tiny=1.0", "stepped")
    expect(page).to_have_url(f"{house.address}/lab/demo")
    prefix = house.running.wait_current(1, EnvKey("lab", "demo"))
    expect(page.get_by_test_id("build-status")).to_contain_text("Completed", timeout=PATIENCE)
    expect(page.get_by_text("for the report")).to_be_visible()
    ended = house.running.builds(EnvKey("lab", "demo"))[0].ended_at
    assert ended is not None
    shown = f"{ended.astimezone(ZoneInfo(ZONE)):%-I:%M %p} - Active"
    expect(page.get_by_text(shown)).to_be_visible()
    installed = page.get_by_role("region").filter(has_text="Installed Version")
    expect(installed.get_by_role("row").filter(has_text="tiny")).to_contain_text("1.0")
    expect(page.get_by_role("link", name="Download archive")).to_be_visible(timeout=PATIENCE)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="log", exact=False).filter(has_text="Conda").click()
    expect(opened.value.locator("body")).to_contain_text("packages chosen")
    assert (prefix / "share/tiny/version").read_text() == "1.0"


def test_a_person_changes_goes_back_and_deletes(house: House, page: Page) -> None:
    running, key = house.running, EnvKey("lab", "changed")
    page.goto("/")
    sign_in(page)
    make(page, "changed", "tiny=1.0")
    running.wait_current(1, key)
    settle(page)
    rewrite(page, "channels: []\ndependencies: [tiny=2.0]\nvariables: {TEAM: lab}\n")
    newer = running.wait_current(2, key)
    settle(page)
    use(page, 1)
    expect(page.get_by_role("alert")).to_contain_text("updated with the selected build")
    older = running.wait_current(1, key)
    settle(page)
    use(page, 0)
    wait_for(lambda: running.store.pointed(key) == newer)
    assert older != newer

    page.get_by_text("Delete environment").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page).to_have_url(f"{house.address}/")
    wait_for(lambda: not os.path.lexists(running.link(key)))
    page.get_by_text("lab", exact=True).click()
    expect(page.get_by_role("link", name="changed", exact=True)).to_have_count(0)


def test_what_fails_or_is_refused_is_told(page: Page) -> None:
    page.goto("/")
    sign_in(page)
    make(page, "failing", "tiny=9.9")
    status = page.get_by_test_id("build-status")
    expect(status).to_contain_text("no version of `tiny` fits `tiny=9.9`", timeout=PATIENCE)
    with page.context.expect_page() as opened:
        status.get_by_role("link", name="Log").click()
    expect(opened.value.locator("body")).to_contain_text("tiny")
    expect(page.get_by_role("link", name="Show Conda")).to_be_visible(timeout=PATIENCE)
    rewrite(page, "channels: [https://elsewhere.example.org/c]\ndependencies: [tiny]\n")
    expect(page.get_by_role("alert")).to_contain_text("https://elsewhere.example.org/c")


def test_a_session_ends_where_the_page_says_so(house: House, page: Page) -> None:
    page.goto("/")
    sign_in(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    page.goto(f"{house.url}/me")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_viewer_is_offered_no_change(house: House, page: Page) -> None:
    """By a token, as JupyterLab's extension may ask."""
    made = cli(house.running, "token", "create", "bob", "--namespaces", "lab", "--role", "viewer")
    settings = settings_of(house.running) | {
        "REACT_APP_AUTH_METHOD": "token",
        "REACT_APP_AUTH_TOKEN": made.stdout.strip(),
    }
    with conda_store_page.served(house.files, settings, house.port):
        page.goto(house.other)
        expect(page.get_by_text("lab", exact=True)).to_be_visible()
        expect(page.get_by_text("other", exact=True)).to_have_count(0)
        expect(page.get_by_label("You do not have permission")).to_be_visible()


def test_a_page_that_nobody_has_named_learns_nothing(
    house: House, page: Page, context: BrowserContext
) -> None:
    page.goto("/")
    sign_in(page)
    foreign = context.new_page()
    with foreign.expect_event("requestfailed", lambda r: "/api/v1/namespace/" in r.url):
        foreign.goto(house.stranger)
    expect(foreign.get_by_role("button", name="Log in")).to_be_visible()
    expect(foreign.get_by_text("lab", exact=True)).to_have_count(0)


def test_jupyterlab_has_the_page_in_a_tab(
    house: House, page: Page, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    extension = conda_store_page.lab_extension(tmp_path_factory)
    with conda_store_page.jupyterlab(tmp_path, extension, house.other, house.url):
        page.goto(f"{house.other}/lab")
        open_tab(page)
        sign_in(page, back=False)
        expect(page).to_have_url(re.compile(f"{house.other}/lab.*"))
        open_tab(page)
        expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=PATIENCE)
        make(page, "tabbed", "tiny=1.0")
        house.running.wait_current(1, EnvKey("lab", "tabbed"))
        expect(page.get_by_test_id("build-status")).to_contain_text("Completed", timeout=PATIENCE)


def open_tab(page: Page) -> None:
    page.get_by_role("menuitem", name="Conda-Store").click(timeout=60_000)
    page.get_by_role("menuitem", name="Conda Store Package Manager").click()
