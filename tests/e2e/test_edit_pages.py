"""A person makes, edits, brings back and retires an environment, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import chromium
from playwright.sync_api import Browser, Page, expect
from running import Running, text
from waiting import wait_for

from envwatch.model import EnvKey

KEY = EnvKey("lab", "demo")

SECRET = "what only the proxy knows"


@pytest.fixture
def running(make_running: Callable[..., Running], tmp_path: Path) -> Running:
    (tmp_path / "proxy-secret").write_text(SECRET)
    (tmp_path / "proxy-secret").chmod(0o600)
    grants = [{"role": "developer", "namespaces": ["lab"], "users": ["ada"]}]
    grants.append({"role": "viewer", "namespaces": ["lab"], "users": ["bob"]})
    running = make_running(
        {"name": "lab", "managed": True},
        {"name": "other", "managed": True},
        access={"grants": grants, "own_namespace": False},
        login={"proxy": {"user_header": "X-Person", "secret_file": "proxy-secret"}},
    )
    running.start()
    return running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as made:
        yield made


def page_of(browser: Browser, running: Running, name: str = "", *, script: bool = True) -> Page:
    """A browser behind the proxy that has signed this person in."""
    headers = {"X-Person": name, "X-Envwatch-Proxy-Secret": SECRET} if name else {}
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{running.port}",
        extra_http_headers=headers,
        java_script_enabled=script,
    )
    return context.new_page()


def commit(page: Page, content: str, message: str, button: str = "Commit") -> None:
    page.get_by_label("The environment file").fill(content)
    page.get_by_label("What for").fill(message)
    page.get_by_role("button", name=button, exact=True).click()


def manage(page: Page) -> None:
    page.get_by_role("link", name="Manage", exact=True).click()


def test_a_person_makes_and_changes_an_environment(browser: Browser, running: Running) -> None:
    page = page_of(browser, running, "ada")
    page.goto("/")
    page.get_by_role("link", name="New environment").click()
    expect(page.get_by_label("Namespace")).to_have_value("lab")
    page.get_by_label("The environment file").fill(text("tiny=9.9"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#found")).to_contain_text("no version of tiny fits tiny=9.9")
    page.get_by_label("The environment file").fill(text("tiny=1.0"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#found")).to_contain_text("tiny")
    commit(page, text("tiny=1.0"), "a first one")
    expect(page.get_by_role("heading", level=1)).to_have_text("lab / demo")
    running.wait_current(1, KEY)

    page.goto("/lab/demo/")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.get_by_label("The environment file")).to_have_value(text("tiny=1.0"))
    commit(page, f"# for the report\n{text('tiny=2.0')}", "newer")
    running.wait_current(2, KEY)
    assert running.catalog().audits.all()[0].person == "ada"


def test_a_person_goes_back_and_forth_retires_and_restores(
    browser: Browser, running: Running
) -> None:
    page = page_of(browser, running, "ada")
    page.goto("/new")
    commit(page, f"# for the report\n{text('tiny=1.0')}", "a first one")
    running.wait_current(1, KEY)
    page.goto("/lab/demo/edit")
    commit(page, f"# for the report\n{text('tiny=2.0')}", "newer")
    running.wait_current(2, KEY)
    page.goto("/lab/demo/")
    manage(page)
    page.get_by_role("button", name="Use 1").click()
    wait_for(lambda: running.store.pointed(KEY) == running.generations(KEY)[0].prefix)
    page.get_by_role("button", name="Release").click()
    wait_for(lambda: running.store.pointed(KEY) == running.generations(KEY)[1].prefix)

    page.get_by_role("button", name="Retire demo").click()
    wait_for(lambda: not os.path.lexists(running.link(KEY)))
    page.goto("/lab/demo/")
    page.get_by_role("link", name="Restore").click()
    expect(page.get_by_label("The environment file")).to_have_value(re.compile("# for the report"))
    page.get_by_role("button", name="Restore").click()
    wait_for(lambda: os.path.lexists(running.link(KEY)))
    assert len(running.builds(KEY)) == 2, "nothing was built again"


def test_what_somebody_typed_is_not_lost_to_another_edit(
    browser: Browser, running: Running
) -> None:
    one, two = (page_of(browser, running, "ada") for _ in range(2))
    one.goto("/new")
    commit(one, text("tiny=1.0"), "a first one")
    running.wait_current(1, KEY)
    one.goto("/lab/demo/edit")
    two.goto("/lab/demo/edit")
    commit(one, text("tiny=1.1"), "mine")
    commit(two, text("tiny=2.0"), "mine too")
    expect(two.get_by_role("alert")).to_contain_text("ada")
    expect(two.get_by_label("The environment file")).to_have_value(text("tiny=2.0"))
    expect(two.get_by_label("What for")).to_have_value("mine too")


def test_a_broken_file_is_refused_at_its_line(browser: Browser, running: Running) -> None:
    page = page_of(browser, running, "ada")
    page.goto("/new")
    commit(page, "name: demo\ndependencies: tiny\n", "oops")
    expect(page.get_by_role("alert")).to_contain_text("dependencies must be a list")
    expect(page.locator("#L2")).to_contain_text("must be a list")
    assert running.builds(KEY) == ()


def test_a_file_is_checked_as_it_is_typed(browser: Browser, running: Running) -> None:
    page = page_of(browser, running, "ada")
    page.goto("/new")
    file = page.get_by_label("The environment file")
    file.fill("name: demo\ndependencies: tiny\n")
    expect(page.locator("#as-typed")).to_contain_text("must be a list")
    page.get_by_role("button", name="line 2").click()
    chosen = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
    assert file.evaluate(chosen) == "dependencies: tiny"
    file.fill(text("tiny=1.0"))
    expect(page.locator("#as-typed")).to_be_empty()
    assert running.builds(KEY) == ()


@pytest.mark.parametrize("script", [True, False])
def test_a_file_is_chosen_from_the_disk(
    browser: Browser, running: Running, tmp_path: Path, script: bool
) -> None:
    (tmp_path / "environment.yml").write_text(text("tiny=1.1"))
    page = page_of(browser, running, "ada", script=script)
    page.goto("/new")
    page.get_by_label("or a file").set_input_files(tmp_path / "environment.yml")
    if not script:
        page.get_by_role("button", name="Take it").click()
    expect(page.get_by_label("The environment file")).to_have_value(text("tiny=1.1"))
    page.get_by_role("button", name="Commit", exact=True).click()
    running.wait_current(1, KEY)


@pytest.mark.parametrize("script", [True, False])
def test_a_file_that_is_not_utf_8_is_refused_beside_the_form(
    browser: Browser, running: Running, tmp_path: Path, script: bool
) -> None:
    (tmp_path / "environment.yml").write_bytes(f"# für\n{text('tiny')}".encode("latin-1"))
    page = page_of(browser, running, "ada", script=script)
    page.goto("/new")
    page.get_by_label("The environment file").fill(text("tiny=1.0"))
    page.get_by_label("or a file").set_input_files(tmp_path / "environment.yml")
    if not script:
        page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("alert")).to_contain_text("it is not text in UTF-8")
    expect(page.get_by_label("The environment file")).to_have_value(text("tiny=1.0"))


def test_a_viewer_changes_nothing_and_a_stranger_sees_nothing(
    browser: Browser, running: Running, tmp_path: Path
) -> None:
    ada = page_of(browser, running, "ada")
    ada.goto("/new")
    commit(ada, text("tiny=1.0"), "a first one")
    running.wait_current(1, KEY)
    bob = page_of(browser, running, "bob")
    bob.goto("/lab/demo/")
    expect(bob.get_by_role("heading", level=1)).to_have_text("lab / demo")
    expect(bob.get_by_role("link", name="Manage", exact=True)).to_have_count(0)
    for path in ("/lab/demo/edit", "/lab/demo/manage"):
        answer = bob.goto(path)
        assert answer is not None
        assert answer.status == 403
    eve = page_of(browser, running, "eve")
    seen = {eve.goto(p).status for p in ("/lab/demo/edit", "/lab/demo/manage", "/lab/none/edit")}  # type: ignore[union-attr]  # each is answered
    assert seen == {404}


def test_a_package_is_found_in_the_channels(browser: Browser, running: Running) -> None:
    page = page_of(browser, running, "ada")
    page.goto("/new")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Find a package").click()
    found = opened.value
    found.get_by_label("name", exact=True).fill("TIN")
    found.get_by_role("button", name="Find").click()
    expect(found.locator("table.found")).to_contain_text("2.0")
    found.get_by_role("link", name="tiny", exact=True).click()
    rows = found.locator("table.found tbody th")
    assert rows.all_inner_texts() == ["2.0", "1.1", "1.0"]
    found.goto("/find?namespace=lab&q=nothing-like-it")
    expect(found.locator("#main")).to_contain_text("no such package")
    ask = page.context.request
    versions = ask.get("/api/v1/channel/package/?namespace=lab&exact=tiny&size=2&page=2").json()
    assert (versions["count"], [p["version"] for p in versions["data"]]) == (3, ["1.0"])
    newest = ask.get("/api/v1/channel/package/?namespace=lab&search=conflict").json()["data"]
    assert [p["name"] for p in newest] == ["conflict-new-tiny", "conflict-old-tiny"]
    assert ask.get("/api/v1/channel/package/?namespace=lab&search=a%20b").status == 400
    suggested = ask.get("/api/v1/package/?search=tin&distinct_on=name").json()["data"]
    assert (suggested[0]["name"], suggested[0]["version"]) == ("tiny", "2.0")
    for query in ("namespace=lab&q=tiny", "namespace=other&q=tiny", "namespace=none&q=tiny"):
        seen = page_of(browser, running, "bob").context.request.get(f"/find?{query}").status
        assert seen == (403 if "lab" in query else 404)
