"""The tutorial of Nebari, "Creating a new environment", walked by a person in a real browser.

With a real identity provider, real packages made out of wheels, and a real daemon.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browsing import chromium, look
from oidc_program import provider, sign_in
from playwright.sync_api import Browser, BrowserContext, Page, expect
from running import Running, ended, free_port
from tutorial_channel import FILE, tutorial_channel
from waiting import wait_for

from envwatch.model import EnvKey

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

KEY = EnvKey("analyst", "example-environment")
PAGE = "/analyst/example-environment/"
# what others look at, whoever walks before or after them
COURSE = EnvKey("course", "example-environment")
COURSE_PAGE = "/course/example-environment/"
CHANGED = FILE.replace("  - panel\n", "") + "  # for the plots\n  - pyyaml\n"
LISTS = (
    "/index.json", "/builds.json", "/packages.json?name=numpy", "/sources.json", "/feed.atom",
    "/api/v1/environment/", "/api/v1/namespace/",
)  # fmt: skip
SLOW = 180_000.0  # milliseconds in which the environment of the tutorial is built


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A daemon whose people come by the provider: `ada` and `dan` develop, `bob` looks on."""
    channel, folder = tutorial_channel(tmp_path_factory), tmp_path_factory.mktemp("tutorial")
    port, issuer = free_port(), f"http://127.0.0.1:{free_port()}"
    address, secret = f"http://127.0.0.1:{port}", folder / "secret"
    with provider(tmp_path_factory, folder, issuer, address, secret):
        login = {
            "issuer": issuer, "client_id": "envwatch", "title": "Lab",
            "client_secret_file": str(secret),
        }  # fmt: skip
        grants = [
            {"role": "developer", "namespaces": ["analyst"], "groups": ["staff"]},
            {"role": "developer", "namespaces": ["course"], "users": ["dan"]},
            {"role": "viewer", "namespaces": ["course"], "users": ["bob"]},
        ]
        made = Running(
            folder,
            channel,
            [{"name": "analyst", "managed": True}, {"name": "course", "managed": True}],
            {
                "web": {"listen": f"127.0.0.1:{port}", "url": address},
                "channels": {"alias": channel.parent.as_uri(), "allowed": ["conda-forge"]},
                "login": {"oidc": login},
                "access": {"grants": grants},
            },
            port=port,
        )
        with ended(made):
            made.start()
            yield made


@pytest.fixture
def visit(browser: Browser, running: Running) -> Iterator[Callable[[], Page]]:
    contexts: list[BrowserContext] = []

    def new() -> Page:
        contexts.append(browser.new_context(base_url=f"http://127.0.0.1:{running.port}"))
        return contexts[-1].new_page()

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def there(visit: Callable[[], Page], running: Running) -> Running:
    """With the environment of a course, made by a developer where there is none yet."""
    if not os.path.lexists(running.link(COURSE)):
        page = visit()
        page.goto("/")
        sign_in(page, "dan")
        page.goto("/new?namespace=course")
        commit(page, FILE, "for the course")
        expect(page.locator("#build-rows")).to_contain_text("#1", timeout=SLOW)
        wait_for(lambda: os.path.lexists(running.link(COURSE)))
    return running


def file_of(page: Page) -> str:
    return page.get_by_label("The environment file").input_value()


def commit(page: Page, text: str, message: str) -> None:
    page.get_by_label("The environment file").fill(text)
    page.get_by_label("What for").fill(message)
    page.get_by_role("button", name="Commit", exact=True).click()


def status(page: Page, path: str) -> int:
    answer = page.goto(path)
    assert answer is not None
    return answer.status


def do(page: Page, link: str) -> None:
    page.goto(PAGE)
    page.get_by_role("link", name=link, exact=True).click()


@contextmanager
def built_no_more(running: Running) -> Iterator[None]:
    before = len(running.builds(KEY))
    yield
    assert len(running.builds(KEY)) == before


def signs_in(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_text("Nothing here is public.")).to_be_visible()
    look(page, "01-nobody")
    page.get_by_role("link", name="Sign in").first.click()
    look(page, "02-sign-in")
    page.goto("/")
    sign_in(page)
    expect(page.get_by_text("No environments yet.")).to_be_visible()
    look(page, "03-home")


def sees_namespaces_and_rights(page: Page) -> None:
    page.get_by_role("link", name="ada").click()
    roles = page.locator("table.roles")
    expect(roles).to_contain_text("analyst/*")
    expect(roles).to_contain_text("developer")
    expect(roles).to_contain_text("the config names your group staff")
    look(page, "04-me")


def makes_the_environment(page: Page) -> None:
    """A mistake first, then the file of the tutorial."""
    page.goto("/")
    page.get_by_role("link", name="New environment").click()
    page.get_by_label("Namespace").select_option("analyst")
    page.get_by_label("The environment file").fill(FILE.replace("  - numpy", "- numpy"))
    expect(page.locator("#as-typed")).to_contain_text("line 6")
    look(page, "05-a-mistake")
    page.get_by_label("The environment file").fill(FILE)
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#found")).to_contain_text("ipywidgets", timeout=SLOW)
    assert re.search(r"\d\d packages, \d+ MiB packed", page.locator("#found").inner_text())
    look(page, "06-checked")
    commit(page, FILE, "the tutorial's environment")


def watches_it_build(page: Page) -> None:
    """Nothing is loaded again by hand."""
    expect(page.get_by_role("heading", level=1)).to_have_text("analyst / example-environment")
    look(page, "07-building")
    page.get_by_role("link", name=re.compile(r"^Build \d+$")).first.click()
    expect(page.locator("#head")).to_contain_text("published as #1", timeout=SLOW)
    expect(page.locator("#log")).to_contain_text(re.compile(r"\d\d packages chosen"))
    page.reload()
    look(page, "08-build")


def takes_its_files_and_log(page: Page, folder: Path) -> None:
    with page.expect_download() as got:
        page.get_by_role("link", name="conda-lock.yml").first.click()
    got.value.save_as(folder / "conda-lock.yml")
    assert "numpy" in (folder / "conda-lock.yml").read_text()
    with page.expect_download() as got:
        page.get_by_role("link", name="environment.yml", exact=True).first.click()
    got.value.save_as(folder / "environment.yml")
    assert (folder / "environment.yml").read_text() == FILE
    page.get_by_role("link", name="full log").click()
    expect(page.locator("body")).to_contain_text("packages chosen")
    page.go_back()


def uses_it(page: Page, running: Running, home: Path) -> None:
    page.get_by_role("link", name="example-environment", exact=True).click()
    expect(page.locator("#use-it")).to_contain_text("conda activate analyst-example-environment")
    look(page, "09-environment")
    python = running.link(KEY) / "bin" / "python"
    code = "import matplotlib, numpy, pandas, panel, ipykernel; print(numpy.ones(3).sum())"
    env = {"HOME": str(home), "PATH": os.defpath}
    assert subprocess.check_output((python, "-c", code), env=env, text=True) == "3.0\n"


def edits_it(page: Page, running: Running) -> None:
    do(page, "Edit")
    assert file_of(page) == FILE
    page.get_by_label("The environment file").fill(CHANGED)
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#found")).to_contain_text("panel", timeout=SLOW)
    look(page, "10-edit-checked")
    commit(page, CHANGED, "no panel any more")
    expect(page.locator("#build-rows")).to_contain_text("#2", timeout=SLOW)
    running.wait_current(2, KEY)


def compares(page: Page) -> None:
    page.goto(PAGE)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("del")).to_contain_text("panel")
    expect(page.locator("table.diff")).to_contain_text("panel")
    look(page, "11-compare")


def rolls_back_and_goes_on(page: Page, running: Running) -> None:
    do(page, "Manage")
    look(page, "12-manage")
    page.get_by_role("button", name="Use 1").click()
    running.wait_current(1, KEY)
    page.goto(PAGE)
    expect(page.locator("#head")).to_contain_text("Held at #1")
    look(page, "13-rolled-back")
    do(page, "Manage")
    page.get_by_role("button", name="Release").click()
    running.wait_current(2, KEY)


def deletes_and_restores_it(page: Page, running: Running) -> None:
    do(page, "Manage")
    page.get_by_label("what for").fill("the course is over")
    page.get_by_role("button", name="Retire example-environment").click()
    wait_for(lambda: not os.path.lexists(running.link(KEY)))
    page.goto(PAGE)
    expect(page.locator("#head")).to_contain_text("Retired")
    look(page, "14-retired")
    page.goto("/?retired=yes")
    expect(page.locator("#rows")).to_contain_text("example-environment")
    do(page, "Restore")
    assert file_of(page) == CHANGED
    look(page, "15-restore")
    page.get_by_role("button", name="Restore", exact=True).click()
    wait_for(lambda: os.path.lexists(running.link(KEY)))


def signs_out(page: Page) -> None:
    page.goto("/me")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("You are signed out here")
    look(page, "16-signed-out")
    assert status(page, PAGE) == 404


def test_a_person_walks_the_tutorial(
    visit: Callable[[], Page], running: Running, tmp_path: Path
) -> None:
    page = visit()
    signs_in(page)
    sees_namespaces_and_rights(page)
    makes_the_environment(page)
    watches_it_build(page)
    takes_its_files_and_log(page, tmp_path)
    uses_it(page, running, tmp_path)
    edits_it(page, running)
    compares(page)
    with built_no_more(running):
        rolls_back_and_goes_on(page, running)
        deletes_and_restores_it(page, running)
    signs_out(page)


def test_a_viewer_sees_and_changes_nothing(visit: Callable[[], Page], there: Running) -> None:
    page = visit()
    page.goto("/")
    sign_in(page, "bob")
    page.goto("/me")
    expect(page.locator("table.roles")).to_contain_text("the config names you")
    page.goto(COURSE_PAGE)
    expect(page.locator("#use-it")).to_contain_text("conda activate")
    for name in ("Edit", "Manage"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    look(page, "20-viewer")
    assert {status(page, f"{COURSE_PAGE}{verb}") for verb in ("edit", "manage")} == {403}
    look(page, "21-viewer-refused")
    before = there.catalog().audits.all()
    form = re.search(r'name="form_token" value="(\w+)"', page.context.request.get("/me").text())
    assert form
    for path, values in (("manage", {"verb": "rebuild"}), ("delete", {}), ("edit", {"text": FILE})):
        sent = page.context.request.post(
            f"{COURSE_PAGE}{path}", form={"form_token": form[1], **values}
        )
        assert sent.status == 403, path
    assert there.catalog().audits.all() == before


@pytest.mark.usefixtures("there")
def test_a_stranger_is_not_even_told_that_it_exists(visit: Callable[[], Page]) -> None:
    page = visit()
    page.goto("/")
    sign_in(page, "eve")
    expect(page.locator("#main")).not_to_contain_text("course")
    look(page, "22-stranger")
    places = (COURSE_PAGE, "/course/", "/course/nothing/", "/nothing/nothing/", "/nothing/")
    assert {status(page, p) for p in places} == {404}
    for path in LISTS:
        assert "course" not in page.context.request.get(path).text(), path
