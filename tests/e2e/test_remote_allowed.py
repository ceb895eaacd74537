"""`envwatch login` on a terminal, allowed by a person in a browser on another machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import chromium, look
from far import Far
from playwright.sync_api import Browser, Page, expect
from running import Running
from standin import Answer, StandIn
from terminal import Terminal
from waiting import wait_for

pytestmark = pytest.mark.browser
SECRET = "what only the proxy knows"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def me(make_running: Callable[..., Running], tmp_path: Path) -> Far:
    """Somebody who has no token yet."""
    (tmp_path / "proxy-secret").write_text(SECRET)
    (tmp_path / "proxy-secret").chmod(0o600)
    running = make_running(
        {"name": "people", "managed": True},
        access={"grants": [{"role": "developer", "namespaces": ["people"], "users": ["ada"]}]},
        login={"proxy": {"user_header": "X-Person", "secret_file": "proxy-secret"}},
    )
    running.start()
    home = tmp_path / "home"
    home.mkdir()
    return Far(running, home)


@pytest.fixture
def page(browser: Browser) -> Page:
    """Of Ada, whom a proxy has signed in."""
    headers = {"X-Person": "ada", "X-Envwatch-Proxy-Secret": SECRET}
    return browser.new_context(extra_http_headers=headers).new_page()


def test_a_person_allows_it_in_a_browser(me: Far, page: Page) -> None:
    with Terminal(me, ("login",)) as terminal:
        address, code = terminal.find(r"open (\S+)"), terminal.find(r"shows (\S+)")
        page.goto(address)
        expect(page.locator(".user-code")).to_have_text(code)
        look(page, "30-allow")
        page.get_by_label("Name", exact=True).fill("laptop")
        page.get_by_role("button", name="Allow", exact=True).click()
        expect(page.locator("#main").get_by_role("status")).to_contain_text("laptop is allowed")
        look(page, "31-allowed")
        assert terminal.end() == 0, terminal.shown
        assert f"the token `laptop` for {me.url} is kept in" in terminal.shown
    assert me.json("token", "list")[0]["name"] == "laptop"
    assert "envwatch_" not in terminal.shown
    me("env", "create", me.file("name: mine\ndependencies: [tiny=1.0]\n"), "--wait")


def test_a_refusal_is_told_and_nothing_is_kept(me: Far, page: Page) -> None:
    with Terminal(me, ("login",)) as terminal:
        code = terminal.find(r"shows (\S+)")
        page.goto(f"{me.url}/device")
        look(page, "32-type-the-code")
        page.get_by_label("Code").fill(code.replace("-", " ").lower())
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Refuse").click()
        expect(page.locator("#main").get_by_role("status")).to_contain_text("was refused")
        assert terminal.end() == 1
        assert "it was refused on the page" in terminal.shown
    assert not (me.home / "config/envwatch/tokens.json").exists()


def test_a_daemon_that_starts_again_meanwhile_is_told_of(me: Far) -> None:
    with Terminal(me, ("login",)) as terminal:
        terminal.find(r"shows (\S+)")
        me.running.kill()
        time.sleep(2.5)  # the program looks at least once while nobody answers
        assert terminal.process.poll() is None, terminal.shown
        me.running.start()
        assert terminal.end() == 1
        assert "the server has started again" in terminal.shown


def test_who_wants_to_paste_is_asked_for_it(me: Far) -> None:
    with Terminal(me, ("login", "--paste")) as terminal:
        wait_for(lambda: "token: " in terminal.shown, 60)
        terminal.type(f"envwatch_{72 * '0'}\n")
        assert terminal.end() == 1
        assert f"make a token at {me.url}/me" in terminal.shown
        assert "0000" not in terminal.shown


def test_where_nobody_can_sign_in_it_is_pasted(far: Far) -> None:
    stranger = Far(far.running, far.home)
    with Terminal(stranger, ("login",)) as terminal:
        wait_for(lambda: "token: " in terminal.shown, 60)
        assert "nobody can sign in here" in terminal.shown
        terminal.type(f"{far.token}\n")
        assert terminal.end() == 0, terminal.shown
        assert far.token not in terminal.shown


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, {"status": "error", "detail": "not found", "hint": "see /api/v1/docs"}),
        Answer(302, "", {"Location": "https://login.example.org/"}),
    ],
    ids=["an older server", "a proxy that lets only tokens pass"],
)
def test_where_no_code_can_be_had_it_is_pasted(tmp_path: Path, far: Far, answer: Answer) -> None:
    with StandIn() as stand:
        stand.fault = lambda _: answer
        stranger = Far(far.running, tmp_path, variables={"ENVWATCH_URL": stand.url})
        with Terminal(stranger, ("login",)) as terminal:
            wait_for(lambda: "token: " in terminal.shown, 60)
            assert "open http" not in terminal.shown


def test_where_it_could_not_be_kept_nobody_is_asked(me: Far) -> None:
    kept = me.home / "config/envwatch/tokens.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    kept.chmod(0o644)
    with Terminal(me, ("login",)) as terminal:
        assert terminal.end() == 1
        assert "others can read it" in terminal.shown
        assert "open http" not in terminal.shown
